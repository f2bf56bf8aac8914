"""Definitions that are right one by one and wrong together: two things that want one name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import DefinitionError, Location
from pipeline.models.defined import Defined, Definitions
from pipeline.models.kinds import Base, Matrix


def clashes(definitions: Definitions) -> Iterator[DefinitionError]:
    """Yield an error for each command, package or image name that two things claim; all references must be good."""
    components: list[Defined[Any]] = [*definitions.toolchains.values(), *definitions.agents.values()]
    for component in components:
        yield from _inside(component)
    yield from _commands_on_bases(definitions)
    yield from _image_names(definitions)
    if definitions.matrix:
        yield from _cells(definitions.matrix)


def _cells(matrix: Defined[Matrix]) -> Iterator[DefinitionError]:
    """Yield pairs that stand in the matrix twice: in two cells, or in a cell and among the exclusions."""
    seen: dict[tuple[str, str], Location] = {}
    for at, cell in enumerate(matrix.model.spec.cells):
        for index, agent in enumerate(cell.agents):
            place = matrix.at("spec", "cells", at, "agents", index)
            if first := seen.get((cell.base, agent)):
                yield _twice(f"the cell of {cell.base} and {agent}", place, first)
            seen.setdefault((cell.base, agent), place)
    for at, excluded in enumerate(matrix.model.spec.exclude):
        place = matrix.at("spec", "exclude", at)
        if first := seen.get((excluded.base, excluded.agent)):
            yield _twice(f"the cell of {excluded.base} and {excluded.agent}", place, first)
        seen.setdefault((excluded.base, excluded.agent), place)


def _inside(component: Defined[Any]) -> Iterator[DefinitionError]:
    """Yield packages named twice and commands linked twice within one component."""
    seen: dict[str, Location] = {}
    for index, package in enumerate(component.model.spec.packages):
        place = component.at("spec", "packages", index, "npm")
        if package.npm in seen:
            yield _twice(f"package `{package.npm}`", place, seen[package.npm])
        seen.setdefault(package.npm, place)
    yield from _doubled(_commands(component))


def _commands_on_bases(definitions: Definitions) -> Iterator[DefinitionError]:
    """Yield commands that two toolchains of a base link, or one of them and an agent."""
    for base in _with_images(definitions):
        taken: dict[str, Location] = {}
        for name in base.model.spec.toolchains:
            own = dict(_commands(definitions.toolchains[name]))
            yield from _claimed(own, taken, base.name)
            taken |= own
        for agent in definitions.agents.values():
            yield from _claimed(dict(_commands(agent)), taken, base.name)


def _claimed(own: Mapping[str, Location], taken: Mapping[str, Location], base: str) -> Iterator[DefinitionError]:
    for command in own.keys() & taken.keys():
        yield _twice(f"command `{command}` (on base {base})", own[command], taken[command])


def _image_names(definitions: Definitions) -> Iterator[DefinitionError]:
    """Yield image names that stand for two images: base `a` with agent `b-c`, and base `a-b` with agent `c`."""
    bases = _with_images(definitions)
    found: dict[str, Location] = {base.name: base.at("metadata", "name") for base in bases}
    for base in bases:
        for agent in definitions.agents.values():
            name, place = f"{base.name}-{agent.name}", agent.at("metadata", "name")
            if name in found:
                yield DefinitionError(
                    f"image name `{name}` would stand for two images; the other comes from {found[name]}",
                    location=place,
                    remedy="rename the base or the agent",
                )
            found.setdefault(name, place)


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
