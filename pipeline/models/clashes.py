"""Definitions that are right one by one and wrong together: two things that want one name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import DefinitionError, Location
from pipeline.models.defined import Defined, Definitions
from pipeline.models.kinds import Base, Matrix


def clashes(definitions: Definitions) -> Iterator[DefinitionError]:
    """Yield an error for each command, package or image name that two things claim; all references must be good."""
    components: list[Defined[Any]] = [
        *definitions.toolchains.values(),
        *definitions.agents.values(),
        *definitions.toolpacks.values(),
    ]
    for component in components:
        yield from _inside(component)
    yield from _commands_on_bases(definitions)
    yield from _image_names(definitions)
    if definitions.matrix:
        yield from _cells(definitions.matrix)


def _cells(matrix: Defined[Matrix]) -> Iterator[DefinitionError]:
    """Yield what stands in the matrix twice: in two cells, or in a cell and among the exclusions."""
    seen: dict[tuple[str, str, str], Location] = {}
    pairs: dict[tuple[str, str], Location] = {}
    for at, cell in enumerate(matrix.model.spec.cells):
        for index, agent in enumerate(cell.agents):
            place = matrix.at("spec", "cells", at, "agents", index)
            pairs.setdefault((cell.base, agent), place)
            for toolpack in cell.toolpacks or ("",):
                if first := seen.get((cell.base, agent, toolpack)):
                    yield _twice(f"the cell of {_words(cell.base, agent, toolpack)}", place, first)
                seen.setdefault((cell.base, agent, toolpack), place)
    for at, item in enumerate(matrix.model.spec.sidecars):
        place = matrix.at("spec", "sidecars", at)
        if first := seen.get(("", "", item.toolpack)):
            yield _twice(f"sidecar {item.toolpack}", place, first)
        seen.setdefault(("", "", item.toolpack), place)
    for at, excluded in enumerate(matrix.model.spec.exclude):
        place = matrix.at("spec", "exclude", at)
        if first := pairs.get((excluded.base, excluded.agent)):
            yield _twice(f"the cell of {_words(excluded.base, excluded.agent, '')}", place, first)
        pairs.setdefault((excluded.base, excluded.agent), place)


def _words(base: str, agent: str, toolpack: str) -> str:
    return f"{base}, {agent} and {toolpack}" if toolpack else f"{base} and {agent}"


def _inside(component: Defined[Any]) -> Iterator[DefinitionError]:
    """Yield packages named twice and commands linked twice within one component."""
    seen: dict[str, Location] = {}
    for index, package in enumerate(component.model.spec.packages):
        place = component.at("spec", "packages", index, package.key)
        if package.name in seen:
            yield _twice(f"package `{package.name}`", place, seen[package.name])
        seen.setdefault(package.name, place)
    yield from _doubled(_commands(component))


def _commands_on_bases(definitions: Definitions) -> Iterator[DefinitionError]:
    """Yield commands that two toolchains of a base link, or one of them and an agent."""
    for base in _with_images(definitions):
        taken: dict[str, Location] = {}
        for name in base.model.spec.toolchains:
            own = dict(_commands(definitions.toolchains[name]))
            yield from _claimed(own, taken, base.name)
            taken |= own
        programs: list[Defined[Any]] = [*definitions.agents.values(), *definitions.toolpacks.values()]
        for program in programs:
            yield from _claimed(dict(_commands(program)), taken, base.name)


def _claimed(own: Mapping[str, Location], taken: Mapping[str, Location], base: str) -> Iterator[DefinitionError]:
    for command in own.keys() & taken.keys():
        yield _twice(f"command `{command}` (on base {base})", own[command], taken[command])


def _image_names(definitions: Definitions) -> Iterator[DefinitionError]:
    """Yield image names that stand for two images: base `a` with agent `b-c`, and base `a-b` with agent `c`."""
    found: dict[str, Location] = {}
    for name, place in _every_name(definitions):
        if name in found:
            yield DefinitionError(
                f"image name `{name}` would stand for two images; the other comes from {found[name]}",
                location=place,
                remedy="rename one of them",
            )
        found.setdefault(name, place)


def _every_name(definitions: Definitions) -> Iterator[tuple[str, Location]]:
    """Yield the name of everything that could be an image, with what gave it."""
    bases = _with_images(definitions)
    toolpacks = definitions.toolpacks.values()
    yield from ((base.name, base.at("metadata", "name")) for base in bases)
    yield from ((pack.name, pack.at("metadata", "name")) for pack in toolpacks if pack.model.spec.sidecar)
    for base in bases:
        for agent in definitions.agents.values():
            yield f"{base.name}-{agent.name}", agent.at("metadata", "name")
            for pack in toolpacks:
                if pack.model.spec.embedded:
                    yield f"{base.name}-{agent.name}-{pack.name}", pack.at("metadata", "name")


def _with_images(definitions: Definitions) -> tuple[Defined[Base], ...]:
    return tuple(base for base in definitions.bases.values() if base.model.spec.images)


def _commands(component: Defined[Any]) -> list[tuple[str, Location]]:
    return [
        (command, component.at("spec", "packages", index, "binaries", command))
        for index, package in enumerate(component.model.spec.packages)
        for command in package.binaries
    ]


def _doubled(commands: Sequence[tuple[str, Location]]) -> Iterator[DefinitionError]:
    seen: dict[str, Location] = {}
    for command, place in commands:
        if command in seen:
            yield _twice(f"command `{command}`", place, seen[command])
        seen.setdefault(command, place)


def _twice(what: str, place: Location, first: Location) -> DefinitionError:
    return DefinitionError(f"{what} is claimed twice, first in {first}", location=place, remedy="keep one of them")
