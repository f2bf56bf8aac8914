"""Which images a project has.

Every base, the agents on it that the matrix names (or all that fit without one), what the matrix embeds in them, and
the toolpacks that are images of their own. What fits and stands in no cell is no image of the project, and can still
be asked for by its name. A pair that the matrix excludes cannot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.errors import DefinitionError, ErrorGroup, Location
from pipeline.models.defined import Defined, Definitions, Program
from pipeline.models.kinds import Agent, Base, Toolpack
from pipeline.models.packages import NpmArchive
from pipeline.resolve.capabilities import advice, brought, kind_of, misfit, provided
from pipeline.resolve.lock import Locks

TIERS = ("v1", "extra")
"""The tiers there are, the weightiest first."""
_IN_NO_CELL = "in no cell of the matrix; it can be built by its name"


@dataclass(frozen=True, slots=True)
class Parts:
    """What an image is made of: a base, alone or with an agent, a toolpack, or both.

    A toolpack without an agent is a sidecar: an image of its own, by its own name.
    """

    base: Defined[Base]
    agent: Defined[Agent] | None = None
    toolpack: Defined[Toolpack] | None = None

    @property
    def name(self) -> str:
        """The name of the image."""
        if self.toolpack and not self.agent:
            return self.toolpack.name
        return "-".join(part.name for part in (self.base, self.agent, self.toolpack) if part)

    @property
    def programs(self) -> tuple[Program, ...]:
        """What runs in it, the one the container is for last."""
        return tuple(part for part in (self.toolpack, self.agent) if part)


@dataclass(frozen=True, slots=True)
class Combination:
    """Parts of an image, its tier, and the platforms it exists for.

    Where it is no image of the project, `reason` says why not, and `location` where that is written.
    """

    parts: Parts
    tier: str
    platforms: tuple[str, ...]
    reason: str = ""
    location: Location | None = None

    @property
    def name(self) -> str:
        """The name of the image."""
        return self.parts.name

    @property
    def can_be_named(self) -> bool:
        """Whether it is no image of the project and can still be built by its name."""
        return self.reason == _IN_NO_CELL


_Cell: TypeAlias = tuple[str, Parts, Location]


def combinations(definitions: Definitions, locks: Locks) -> tuple[Combination, ...]:
    """Return every base, every pair of base and agent, what cells embed, and every sidecar, ordered by name."""
    bases = [base for base in definitions.bases.values() if base.model.spec.images]
    cells = tuple(_cells(definitions))
    found = [item for base in bases for item in _on_base(base, cells, definitions, locks)]
    found += _with_toolpacks(cells, definitions, locks)
    return tuple(sorted(found, key=lambda item: item.name))


def image_names(definitions: Definitions, locks: Locks) -> tuple[str, ...]:
    """Return the name of every image of the project: each base, and its cells, or what fits without a matrix."""
    return tuple(item.name for item in combinations(definitions, locks) if not item.reason)


def check_cells(definitions: Definitions, locks: Locks) -> None:
    """Raise ErrorGroup with every image of the matrix, or sidecar, whose base lacks something that runs on it needs."""
    asked = [(parts, place) for (_, parts, place) in _cells(definitions)]
    asked += [(parts, place) for _, parts, place in _sidecar_cells(definitions)]
    capabilities = {base.name: provided(base, definitions, locks) for base in definitions.bases.values()}
    errors: list[DefinitionError] = []
    for parts, place in asked:
        base = parts.base
        if not base.model.spec.images:
            text = f"no image {parts.name} can be: base {base.name} says `images: false`"
            errors.append(DefinitionError(text, location=place, remedy="take it out"))
            continue
        for program in parts.programs:
            if found := misfit(program, base, capabilities[base.name], definitions, locks):
                text = (
                    f"no image {parts.name} can be: {kind_of(program)} {program.name} requires"
                    f" `{found.requirement}` ({found.location}), and {found.problem}"
                )
                remedy = advice(program, found.requirement, definitions, locks)
                errors.append(DefinitionError(text, location=place, remedy=remedy))
        if parts.agent and parts.toolpack and parts.toolpack.model.spec.embedded is None:
            text = f"no image {parts.name} can be: toolpack {parts.toolpack.name} is not `embedded`"
            errors.append(DefinitionError(text, location=place, remedy="say how it is started, under `spec.embedded`"))
    if errors:
        raise ErrorGroup(tuple(errors))


def check_exclusion(agent: Defined[Agent], base: Defined[Base], definitions: Definitions) -> None:
    """Raise DefinitionError where the matrix excludes `agent` on `base`."""
    if found := _exclusions(definitions).get((base.name, agent.name)):
        reason, place = found
        raise DefinitionError(
            f"the matrix excludes agent {agent.name} on base {base.name}: {reason}",
            location=place,
            remedy="choose another base, or take it out of `exclude`",
        )


def sidecars(definitions: Definitions) -> Iterator[Parts]:
    """Yield every toolpack that can be an image of its own."""
    for toolpack in definitions.toolpacks.values():
        if sidecar := toolpack.model.spec.sidecar:
            yield Parts(definitions.bases[sidecar.base], toolpack=toolpack)


def _sidecar_cells(definitions: Definitions) -> Iterator[_Cell]:
    """Yield the sidecars that the matrix names, or all without one."""
    matrix = definitions.matrix
    places = {item.toolpack: (item.tier, at) for at, item in enumerate(matrix.model.spec.sidecars if matrix else ())}
    for parts in sidecars(definitions):
        if matrix is None:
            yield "", parts, parts.programs[0].at("spec", "sidecar")
        elif parts.name in places:
            tier, at = places[parts.name]
            yield tier, parts, matrix.at("spec", "sidecars", at)


def _on_base(
    base: Defined[Base], cells: Sequence[_Cell], definitions: Definitions, locks: Locks
) -> Iterator[Combination]:
    here = [(tier, parts) for tier, parts, _ in cells if parts.base is base]
    tiers = {parts.agent.name: tier for tier, parts in here if parts.agent and not parts.toolpack}
    exclusions = _exclusions(definitions)
    capabilities = provided(base, definitions, locks)
    # A base matters as much as the weightiest image on it.
    own = _weightiest(tier for tier, _ in here)
    yield Combination(Parts(base), own, _platforms(Parts(base), definitions, locks))
    for agent in definitions.agents.values():
        parts = Parts(base, agent)
        tier = tiers.get(agent.name, "")
        reason, place = exclusions.get((base.name, agent.name), ("", None))
        if not tier and not reason:
            if found := misfit(agent, base, capabilities, definitions, locks):
                reason, place = f"{agent.name} requires `{found.requirement}`, and {found.problem}", found.location
            elif definitions.matrix:
                reason, place = _IN_NO_CELL, definitions.matrix.at("spec", "cells")
        yield Combination(parts, tier, _platforms(parts, definitions, locks), reason, place)


def _with_toolpacks(cells: Sequence[_Cell], definitions: Definitions, locks: Locks) -> Iterator[Combination]:
    for tier, parts, _ in (*cells, *_sidecar_cells(definitions)):
        if parts.toolpack:
            yield Combination(parts, tier, _platforms(parts, definitions, locks))


def _weightiest(tiers: Iterator[str]) -> str:
    """Return the weightiest of `tiers`; "" where there is none."""
    return min(tiers, key=TIERS.index, default="")


def _cells(definitions: Definitions) -> Iterator[_Cell]:
    """Yield tier, parts and place of every image that a cell names."""
    matrix = definitions.matrix
    if matrix is None:
        return
    for at, cell in enumerate(matrix.model.spec.cells):
        for index, agent in enumerate(cell.agents):
            place = matrix.at("spec", "cells", at, "agents", index)
            for toolpack in cell.toolpacks or (None,):
                pack = definitions.toolpacks[toolpack] if toolpack else None
                yield cell.tier, Parts(definitions.bases[cell.base], definitions.agents[agent], pack), place


def _exclusions(definitions: Definitions) -> Mapping[tuple[str, str], tuple[str, Location]]:
    """Return reason and place of each pair of base and agent that is excluded."""
    matrix = definitions.matrix
    if matrix is None:
        return {}
    return {
        (item.base, item.agent): (item.reason, matrix.at("spec", "exclude", at))
        for at, item in enumerate(matrix.model.spec.exclude)
    }


def _platforms(parts: Parts, definitions: Definitions, locks: Locks) -> tuple[str, ...]:
    """Return the platforms of the root for which every package exists."""
    spec = parts.base.model.spec
    names = [*spec.toolchains]
    for program in parts.programs if any(item.model.spec.brings for item in parts.programs) else ():
        names += brought(program, parts.base, provided(parts.base, definitions, locks), definitions)
    packages = [package for name in names for package in definitions.toolchains[name].model.spec.packages]
    packages += [package for program in parts.programs for package in program.model.spec.packages]
    limits = [package.platforms for package in packages if isinstance(package, NpmArchive) and package.platforms]
    return tuple(name for name in definitions.roots[spec.root].model.spec.platforms if all(name in it for it in limits))
