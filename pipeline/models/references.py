"""Names that definitions refer to and nobody defines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.errors import DefinitionError, Location
from pipeline.models.choices import suggest
from pipeline.models.defined import Defined, Definitions, Program
from pipeline.models.inherit import Written, parents
from pipeline.models.kinds import BaseSpec, Matrix


def broken_references(
    definitions: Definitions, written: Mapping[str, Written]
) -> Iterable[tuple[str, DefinitionError]]:
    """Yield each name that is not defined, with its error."""
    for base in written.values():
        yield from _broken_base(base, definitions, written)
    yield from _broken_versions(definitions)
    yield from _broken_programs(definitions, written)
    if definitions.matrix:
        yield from _broken_cells(definitions.matrix, definitions, written)


def _broken_versions(definitions: Definitions) -> Iterable[tuple[str, DefinitionError]]:
    """Yield each package that a capability takes its version from and that its toolchain has not."""
    for toolchain in definitions.toolchains.values():
        spec = toolchain.model.spec
        packages = {*(package.name for package in spec.packages), *spec.debian}
        for capability, package in spec.provides.items():
            if package not in packages:
                place = toolchain.at("spec", "provides", capability)
                text = f"`{capability}` takes its version from {package!r}, which is not among `packages` or `debian`"
                yield package, DefinitionError(text, location=place, remedy=suggest(package, packages))


def _broken_programs(definitions: Definitions, written: Mapping[str, Written]) -> Iterable[tuple[str, DefinitionError]]:
    """Yield each toolchain that a program brings, and each base of a sidecar, that nobody defines."""
    programs: list[Program] = [*definitions.agents.values(), *definitions.toolpacks.values()]
    for program in programs:
        for index, name in enumerate(program.model.spec.brings):
            if name not in definitions.toolchains:
                yield name, _missing(program.at("spec", "brings", index), "toolchain", name, definitions.toolchains)
    for toolpack in definitions.toolpacks.values():
        sidecar = toolpack.model.spec.sidecar
        if sidecar and sidecar.base not in written:
            yield sidecar.base, _missing(toolpack.at("spec", "sidecar", "base"), "base", sidecar.base, written)


def _broken_base(
    base: Written, definitions: Definitions, written: Mapping[str, Written]
) -> Iterable[tuple[str, DefinitionError]]:
    """Yield each name that a base or combo refers to and nobody defines."""
    spec = base.model.spec
    groups: tuple[tuple[str, str, tuple[str, ...], Mapping[str, object]], ...] = (
        ("toolchains", "toolchain", spec.toolchains, definitions.toolchains),
        ("commonTools", "set of common tools", spec.common_tools, definitions.common_tools),
    )
    if isinstance(spec, BaseSpec) and spec.root and spec.root not in definitions.roots:
        yield spec.root, _missing(base.at("spec", "root"), "root", spec.root, definitions.roots)
    for key, what, names, choices in groups:
        for index, name in enumerate(names):
            if name not in choices:
                yield name, _missing(base.at("spec", key, index), what, name, choices)
    for name, place in parents(base):
        if name not in written:
            yield name, _missing(place, "base", name, {*written} - {base.name})


def _broken_cells(
    matrix: Defined[Matrix], definitions: Definitions, bases: Mapping[str, object]
) -> Iterable[tuple[str, DefinitionError]]:
    """Yield each base and agent that cells or exclusions name and nobody defines."""
    spec = matrix.model.spec
    named: list[tuple[str, str, tuple[str | int, ...]]] = []
    for at, cell in enumerate(spec.cells):
        named.append(("base", cell.base, ("cells", at, "base")))
        named.extend(("agent", agent, ("cells", at, "agents", index)) for index, agent in enumerate(cell.agents))
        named.extend(("toolpack", name, ("cells", at, "toolpacks", index)) for index, name in enumerate(cell.toolpacks))
    named.extend(("toolpack", item.toolpack, ("sidecars", at, "toolpack")) for at, item in enumerate(spec.sidecars))
    for at, excluded in enumerate(spec.exclude):
        named.append(("base", excluded.base, ("exclude", at, "base")))
        named.append(("agent", excluded.agent, ("exclude", at, "agent")))
    known: Mapping[str, Mapping[str, object]] = {
        "base": bases,
        "agent": definitions.agents,
        "toolpack": definitions.toolpacks,
    }
    for what, name, path in named:
        if name not in known[what]:
            yield name, _missing(matrix.at("spec", *path), what, name, known[what])
    for at, item in enumerate(spec.sidecars):
        toolpack = definitions.toolpacks.get(item.toolpack)
        if toolpack and toolpack.model.spec.sidecar is None:
            place = matrix.at("spec", "sidecars", at, "toolpack")
            text = f"toolpack {toolpack.name} is no sidecar"
            yield toolpack.name, DefinitionError(text, location=place, remedy="say its base, under `spec.sidecar`")


def _missing(place: Location, what: str, name: str, choices: Iterable[str]) -> DefinitionError:
    return DefinitionError(f"there is no {what} named `{name}`", location=place, remedy=suggest(name, choices))
