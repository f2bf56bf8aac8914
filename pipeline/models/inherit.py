"""Bases with everything they inherit: from the base they extend, or from all that a combo joins.

Rules kept here:

- what is inherited comes first, in the order it is named, and each thing once: a diamond changes nothing;
- whoever inherits adds and never changes: a variable or a test that is there with another value, or another root, user
  or workspace, is an error that names both places;
- a chain has three levels at most, itself included, and a cycle is named whole;
- every key of the result knows where it was written, in whatever file that is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from pipeline.errors import DefinitionError, Location
from pipeline.models.defined import Defined
from pipeline.models.document import KeyPath, Places
from pipeline.models.kinds import Base, BaseSpec, Combo

LEVELS = 3
Written: TypeAlias = "Defined[Base] | Defined[Combo]"

_LISTS: Mapping[str, str] = MappingProxyType(
    {"toolchains": "toolchains", "common_tools": "commonTools", "debian": "debian"}
)
"""Fields that are put together item by item, each with its key in YAML."""
_ONE_OF_A_KIND = ("root", "user", "workspace")
_Choice: TypeAlias = "tuple[Any, Location]"


@dataclass(frozen=True, slots=True)
class Inheritance:
    """The bases that could be resolved, and what is wrong with the others."""

    bases: Mapping[str, Defined[Base]]
    errors: tuple[DefinitionError, ...]


def parents(written: Written) -> tuple[tuple[str, Location], ...]:
    """Return the names of what a definition inherits from, each with the place that says so."""
    if isinstance(written.model, Combo):
        return tuple((name, written.at("spec", "bases", at)) for at, name in enumerate(written.model.spec.bases))
    extended = written.model.spec.extends
    return ((extended, written.at("spec", "extends")),) if extended else ()


def resolve_bases(written: Mapping[str, Written]) -> Inheritance:
    """Return every base and combo with what it inherits.

    A definition whose parent is unknown or wrong is left out without an error of its own.
    """
    above = _above(written)
    resolving = _Resolving()
    order = _parents_first(above)
    for name in order:
        resolving.add(written[name])
    # Whoever is left is on a cycle, or inherits from one that is.
    left = {name: [parent for parent in above[name] if parent not in order] for name in above if name not in order}
    cycles = tuple(_cycles(left))
    named = (_cycle_error(cycle, written) for cycle in cycles)
    return Inheritance(MappingProxyType(dict(sorted(resolving.done.items()))), (*named, *resolving.errors))


@dataclass
class _Resolving:
    """Bases so far, how far each inherits, and the errors met on the way."""

    done: dict[str, Defined[Base]] = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    errors: list[DefinitionError] = field(default_factory=list)

    def add(self, written: Written) -> None:
        """Resolve a definition whose parents were added before, unless one of them could not be had."""
        inherited = parents(written)
        known = [self.done[name] for name, _ in inherited if name in self.done]
        if len(known) < len(inherited):
            return
        chain = (written.name, *max((self.chains[base.name] for base in known), key=len, default=()))
        self.chains[written.name] = chain
        if len(chain) > LEVELS:
            self.errors.append(_too_deep(chain, written))
        elif isinstance(written.model, Base) and not known:
            self.done[written.name] = Defined(written.model, written.places)
        else:
            union = _Union([*known, written])
            self.errors.extend(union.errors)
            if not union.errors:
                self.done[written.name] = union.base(written)


class _Union:
    """What several definitions have together, the last of them being the one that inherits."""

    def __init__(self, members: Sequence[Written]) -> None:
        self.name = members[-1].name
        self.errors: list[DefinitionError] = []
        self.lists = {name: _items(members, name, key) for name, key in _LISTS.items()}
        self.env = self._agreed("variable", _variables(members))
        self.smoke = self._agreed("smoke test", _smoke_tests(members))
        self.single = self._agreed("", _singles(members))

    def base(self, written: Written) -> Defined[Base]:
        """Return the base this makes of `written`."""
        places = {path: place for path, place in written.places.known.items() if path[:1] != ("spec",) or _own(path)}
        values: dict[str, Any] = {}
        for name, items in self.lists.items():
            values[name] = tuple(items)
            places |= {("spec", _LISTS[name], at): place for at, place in enumerate(items.values())}
        places |= {("spec", "env", name): place for name, (_, place) in self.env.items()}
        places |= {("spec", "smoke", at): place for at, (_, place) in enumerate(self.smoke.values())}
        places |= {("spec", name): place for name, (_, place) in self.single.items()}
        values |= {name: value for name, (value, _) in self.single.items()}
        values["env"] = MappingProxyType({name: self.env[name][0] for name in sorted(self.env)})
        values["smoke"] = tuple(test for test, _ in self.smoke.values())
        # These two are said of a base itself, and its heirs do not have them.
        own = written.model.spec if isinstance(written.model, Base) else None
        values |= {"extends": own.extends if own else None, "images": own.images if own else True}
        # Every value was checked where it was read.
        spec = BaseSpec.model_construct(**values)
        head = written.model
        model = Base.model_construct(api_version=head.api_version, kind="Base", metadata=head.metadata, spec=spec)
        return Defined(model, Places(written.places.file, MappingProxyType(places)))

    def _agreed(self, what: str, choices: Iterable[tuple[str, _Choice]]) -> dict[str, _Choice]:
        """Return one value for each name, noting an error for each that has two."""
        found: dict[str, _Choice] = {}
        for name, (value, place) in choices:
            first = found.setdefault(name, (value, place))
            if first[0] != value:
                self.errors.append(self._conflict(f"{what} `{name}`".lstrip(), value, place, first))
        return found

    def _conflict(self, what: str, value: object, place: Location, first: _Choice) -> DefinitionError:
        plain = isinstance(value, str)
        here, there = (f"`{value}`", f"`{first[0]}`") if plain else ("one thing", "another")
        return DefinitionError(
            f"{what} of {self.name} is {here} here and {there} in {first[1]}",
            location=place,
            remedy="whoever inherits may add, not change; make the two equal, or remove one",
        )


def _own(path: KeyPath) -> bool:
    """Tell whether what stands at `path` of a spec is its own, and not put together."""
    return len(path) == 1 or path[1] in {"extends", "bases", "images"}


def _items(members: Iterable[Written], name: str, key: str) -> dict[str, Location]:
    """Return the items of a list field in the order of their first mention, each with its place."""
    found: dict[str, Location] = {}
    for member in members:
        for at, item in enumerate(getattr(member.model.spec, name)):
            found.setdefault(item, member.at("spec", key, at))
    return found


def _variables(members: Iterable[Written]) -> Iterator[tuple[str, _Choice]]:
    for member in members:
        for name, value in member.model.spec.env.items():
            yield name, (value, member.at("spec", "env", name))


def _smoke_tests(members: Iterable[Written]) -> Iterator[tuple[str, _Choice]]:
    for member in members:
        for at, test in enumerate(member.model.spec.smoke):
            yield test.name, (test, member.at("spec", "smoke", at))


def _singles(members: Sequence[Written]) -> Iterator[tuple[str, _Choice]]:
    """Yield root, user and workspace of all that say something of them; the heir may leave each to its parents."""
    for member in members:
        spec = member.model.spec
        if isinstance(spec, BaseSpec):
            inherits = member is members[-1]
            for name in _ONE_OF_A_KIND:
                if not inherits or name in spec.model_fields_set:
                    yield name, (getattr(spec, name), member.at("spec", name))


def _cycles(above: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Yield each cycle once, beginning with the first of its names, in the order in which they inherit."""
    seen: set[frozenset[str]] = set()
    for name in sorted(above):
        way = _way_back(name, above)
        if way and frozenset(way) not in seen:
            seen.add(frozenset(way))
            first = way.index(min(way))
            yield (*way[first:], *way[:first])


def _way_back(name: str, above: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the shortest way from `name` over its parents to itself, without the end; nothing if there is none."""
    came_from: dict[str, str] = {}
    pending = deque([name])
    while pending:
        current = pending.popleft()
        for parent in above[current]:
            if parent == name:
                way = [current]
                while way[-1] != name:
                    way.append(came_from[way[-1]])
                return tuple(reversed(way))
            if parent not in came_from:
                came_from[parent] = current
                pending.append(parent)
    return ()


def _above(written: Mapping[str, Written]) -> dict[str, tuple[str, ...]]:
    """Return the parents of each definition, as far as they are defined."""
    return {
        name: tuple(parent for parent, _ in parents(written[name]) if parent in written) for name in sorted(written)
    }


def _parents_first(above: Mapping[str, Sequence[str]]) -> dict[str, None]:
    """Return the names in an order in which parents come before their heirs, without those that wait for themselves."""
    heirs: dict[str, list[str]] = {name: [] for name in above}
    for name, found in above.items():
        for parent in found:
            heirs[parent].append(name)
    waiting = {name: len(found) for name, found in above.items()}
    ordered = dict.fromkeys(name for name, count in waiting.items() if count == 0)
    pending = deque(ordered)
    while pending:
        for heir in heirs[pending.popleft()]:
            waiting[heir] -= 1
            if waiting[heir] == 0:
                ordered[heir] = None
                pending.append(heir)
    return ordered


def _cycle_error(cycle: tuple[str, ...], written: Mapping[str, Written]) -> DefinitionError:
    following = cycle[1] if len(cycle) > 1 else cycle[0]
    place = next(place for name, place in parents(written[cycle[0]]) if name == following)
    return DefinitionError(
        f"bases inherit in a circle: {' → '.join((*cycle, cycle[0]))}", location=place, remedy="take one of them out"
    )


def _too_deep(chain: tuple[str, ...], written: Written) -> DefinitionError:
    return DefinitionError(
        f"{written.name} inherits over {len(chain)} levels, and {LEVELS} are allowed: {' → '.join(chain)}",
        location=next(place for name, place in parents(written) if name == chain[1]),
        remedy=f"extend {chain[2]} instead, or move what is needed up",
    )
