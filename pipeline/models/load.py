"""Load every definition of a project, or report everything that is wrong with them, each with its place.

A project's own folder lies on top of the definitions this package ships: the same kind and name replaces. Bases and
combos share their names. A matrix and stacks are for what was defined with them: only those of the uppermost folder
count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import AgcError, DefinitionError, ErrorGroup, Location
from pipeline.models.choices import suggest
from pipeline.models.clashes import clashes
from pipeline.models.defined import Defined, Definitions, Kind
from pipeline.models.document import Document, KeyPath, read_document
from pipeline.models.inherit import Inheritance, Written, parents, resolve_bases
from pipeline.models.kinds import (
    API_VERSION,
    KINDS,
    Agent,
    Base,
    Combo,
    CommonTools,
    Definition,
    Matrix,
    Policy,
    Root,
    Stack,
    TagPolicy,
    Toolchain,
    Toolpack,
    Vex,
)
from pipeline.models.packages import SOURCES
from pipeline.models.references import broken_references
from pipeline.models.values import EXAMPLES, without_credentials

Single = TypeVar("Single", bound=Definition)

_SHARED_NAMES: Mapping[str, str] = MappingProxyType({"Combo": "Base"})
"""Kinds whose names are taken from another kind's: both may stand in the same place."""
_OF_THE_UPPERMOST = frozenset({"Matrix", "Stack"})
"""Kinds whose definitions are for what lies in the same folder."""

# pydantic's words are Python's; a person who writes YAML knows lists and mappings.
_EXPECTED: Mapping[str, str] = MappingProxyType(
    {
        "bool_type": "`true` or `false`",
        "dict_type": "a mapping",
        "int_type": "a whole number",
        "mapping_type": "a mapping",
        "model_type": "a mapping",
        "string_type": "text",
        "tuple_type": "a list",
    }
)


def load_definitions(folders: Iterable[Path], project: Path) -> Definitions:
    """Return the definitions below `folders`, later folders replacing what earlier ones named.

    Raises ErrorGroup with everything that is wrong. Files below `project` are shown relative to it.
    """
    errors: list[AgcError] = []
    found: dict[tuple[str, str], Defined[Definition]] = {}
    own: dict[tuple[str, str], Defined[Definition]] = {}
    unusable: set[str] = set()
    for folder in folders:
        found = {key: one for key, one in found.items() if key[0] not in _OF_THE_UPPERMOST}
        here: dict[tuple[str, str], Defined[Definition]] = {}
        for path in sorted([*folder.rglob("*.yaml"), *folder.rglob("*.yml")]):
            defined, problems = _load(path, _shown(path, project), KINDS)
            errors.extend(problems)
            if defined is None:
                unusable.add(path.stem)
                continue
            kind = type(defined.model).__name__
            key = (_SHARED_NAMES.get(kind, kind), defined.name)
            if key in here:
                errors.append(_duplicate(defined, here[key]))
            here.setdefault(key, defined)
        found |= here
        own = here
    written, inherited = _without_outdated(_written(found), _written(own))
    definitions = _definitions({key: one for key, one in found.items() if _is_used(key, written)}, inherited)
    # What refers to a definition that cannot be used is not wrong itself.
    errors.extend(error for name, error in broken_references(definitions, written) if name not in unusable)
    errors.extend(inherited.errors)
    if not errors:
        errors.extend(clashes(definitions))
    if errors:
        raise ErrorGroup(tuple(sorted(errors, key=_order)))
    return definitions


def read_definition(path: Path, shown: str, model: type[Single]) -> Single:
    """Return the one definition in a file that is no part of a project; raises ErrorGroup with all that is wrong."""
    kind = model.__name__
    found, errors = _load(path, shown, {kind: model})
    if found is None:
        raise ErrorGroup(tuple(errors))
    return found.model


def _without_outdated(
    written: Mapping[str, Written], own: Mapping[str, Written]
) -> tuple[Mapping[str, Written], Inheritance]:
    """Return the bases but for those below the project's `own` that no longer fit what it put in another's place.

    With them comes what they inherit.

    Who replaces a shipped base need not mend the shipped combos of it; they are gone unless the project has its own.
    """
    kept, inherited = dict(written), resolve_bases(written)
    if not inherited.errors:
        return kept, inherited
    for name in [name for name in written if name not in own and _ancestors(name, written) & own.keys()]:
        others = {other: one for other, one in kept.items() if other != name}
        if len((without := resolve_bases(others)).errors) < len(inherited.errors):
            kept, inherited = others, without
    return kept, inherited


def _ancestors(name: str, written: Mapping[str, Written]) -> set[str]:
    found: set[str] = set()
    pending = [name]
    while pending:
        above = [parent for parent, _ in parents(written[pending.pop()]) if parent in written and parent not in found]
        found.update(above)
        pending += above
    return found


def _is_used(key: tuple[str, str], written: Mapping[str, Written]) -> bool:
    kind, name = key
    return kind != "Base" or name in written


def _written(found: Mapping[tuple[str, str], Defined[Definition]]) -> Mapping[str, Written]:
    """Return the bases and combos as they were written."""
    written: dict[str, Written] = {**_of(found, Base), **_of(found, Combo)}
    return written


def _definitions(found: Mapping[tuple[str, str], Defined[Definition]], inherited: Inheritance) -> Definitions:
    return Definitions(
        _of(found, Root),
        _of(found, Toolchain),
        _of(found, CommonTools),
        inherited.bases,
        _of(found, Agent),
        _of(found, Combo),
        next(iter(_of(found, Matrix).values()), None),
        _of(found, Toolpack),
        _of(found, TagPolicy),
        _of(found, Vex),
        _of(found, Policy),
        _of(found, Stack),
    )


def _load(path: Path, shown: str, kinds: Mapping[str, type[Single]]) -> tuple[Defined[Single] | None, list[AgcError]]:
    document, problems = read_document(path, shown)
    errors = list(problems)
    if document is None:
        return None, errors
    if not isinstance(document.data, dict):
        return None, [*errors, DefinitionError("a definition is a mapping", location=document.places.locate(()))]
    if unknown := _head_errors(document, kinds):
        return None, [*errors, *unknown]
    kind = document.data["kind"]
    try:
        model = kinds[kind].model_validate(document.data)
    except ValidationError as error:
        parts = [dict(part) for part in error.errors(include_url=False)]
        return None, [*errors, *(_explain(document, kinds[kind], part) for part in parts if not _follows(part, parts))]
    return (None if errors else Defined(model, document.places)), errors


def _head_errors(document: Document, kinds: Iterable[str]) -> list[AgcError]:
    """Return what is wrong with the two keys that say what the rest means."""
    errors: list[AgcError] = []
    version, kind = document.data.get("apiVersion"), document.data.get("kind")
    if version != API_VERSION:
        place = document.places.locate(("apiVersion",))
        errors.append(DefinitionError(f"`apiVersion` must be `{API_VERSION}`", location=place))
    if not isinstance(kind, str) or kind not in kinds:
        place = document.places.locate(("kind",))
        text = "`kind` is missing" if kind is None else f"unknown kind {_shorten(kind)}"
        errors.append(DefinitionError(text, location=place, remedy=suggest(str(kind), kinds)))
    return errors


def _follows(part: dict[str, Any], parts: list[dict[str, Any]]) -> bool:
    """Tell whether a list is called too short because its items, which are reported too, are wrong."""
    place = part["loc"]
    return part["type"] == "too_short" and any(
        other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in parts
    )


def _explain(document: Document, model: type[BaseModel], part: dict[str, Any]) -> DefinitionError:
    """Return what pydantic found in the words of this format, without anything that looks like a credential."""
    path, source = _without_tag(tuple(step for step in part["loc"] if step != "[key]"))
    text, remedy = _words(model, path, part, source)
    return DefinitionError(without_credentials(text), location=document.places.locate(path), remedy=remedy)


def _without_tag(path: KeyPath) -> tuple[KeyPath, str]:
    """Return a path as it is written, and of which source the package on it is: pydantic puts that after its index."""
    for at, step in enumerate(path[2:], 2):
        if path[at - 2] == "packages" and isinstance(path[at - 1], int) and step in SOURCES:
            return (*path[:at], *path[at + 1 :]), str(step)
    return path, ""


def _words(model: type[BaseModel], path: KeyPath, part: dict[str, Any], source: str) -> tuple[str, str]:
    """Return message and remedy."""
    shown = ".".join(str(step) for step in path)
    text, remedy = "", ""
    match part["type"]:
        case "extra_forbidden":
            known = _known_keys(SOURCES[source], ()) if source else _known_keys(model, path[:-1])
            text, remedy = f"unknown key `{shown}`", suggest(str(path[-1]), known)
        case "no_source":
            text, remedy = f"`{shown}`: {part['msg']}", f"add one of {', '.join(f'`{key}:`' for key in SOURCES)}"
        case "missing":
            text, remedy = f"`{shown}` is missing", f"add `{path[-1]}:` here"
        case "too_short":
            text = f"`{shown}` must not be empty"
        case "value_error":
            text = f"`{shown}`: {part['ctx']['error']}"
        case "string_pattern_mismatch":
            text = f"`{shown}`: {_shorten(part['input'])} does not have the right form"
            remedy = f"write it like {EXAMPLES[part['ctx']['pattern']]}"
        case kind if kind in _EXPECTED:
            text = f"`{shown}` must be {_EXPECTED[kind]}, not {_shorten(part['input'])}"
        case _:
            text = f"`{shown}`: {part['msg'][:1].lower()}{part['msg'][1:]}, not {_shorten(part['input'])}"
    return text, remedy


def _known_keys(model: type[BaseModel], path: KeyPath) -> set[str]:
    """Return the keys allowed at `path`, by following the JSON Schema of `model`."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    current: dict[str, Any] = schema
    for step in path:
        current = _resolve(current, definitions)
        current = current.get("items", {}) if isinstance(step, int) else current.get("properties", {}).get(step, {})
    return set(_resolve(current, definitions).get("properties", {}))


def _resolve(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    for option in (schema, *schema.get("anyOf", ()), *schema.get("allOf", ())):
        if reference := option.get("$ref"):
            resolved: dict[str, Any] = definitions[reference.rpartition("/")[2]]
            return resolved
    return schema


def _duplicate(defined: Defined[Definition], first: Defined[Definition]) -> DefinitionError:
    kind = type(defined.model).__name__
    return DefinitionError(
        f"duplicate name: {kind} `{defined.name}` is defined in {first.at('metadata', 'name')} already",
        location=defined.at("metadata", "name"),
        remedy="rename one of them",
    )


def _of(found: Mapping[tuple[str, str], Defined[Definition]], kind: type[Kind]) -> Mapping[str, Defined[Kind]]:
    picked: dict[str, Any] = {name: item for (_, name), item in found.items() if isinstance(item.model, kind)}
    return MappingProxyType(dict(sorted(picked.items())))


def _order(error: AgcError) -> tuple[str, int, int]:
    place = error.location or Location("")
    return (place.file, place.line, place.column)


def _shown(path: Path, project: Path) -> str:
    absolute, root = path.resolve(), project.resolve()
    return str(absolute.relative_to(root)) if absolute.is_relative_to(root) else str(path)


def _shorten(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            # Before it is cut: half a credential is not known as one.
            text = without_credentials(repr(value))
            return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004
