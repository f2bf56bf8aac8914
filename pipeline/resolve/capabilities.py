"""What a base provides, what a program requires, and a clear no where they do not fit.

A capability is a name with, where it is known, a version: toolchains provide theirs, and every Debian package a base
asks for is one by its own name. `node >=22` means what it means to npm. What a base lacks, a program may bring: the
layer of a toolchain, whose own Debian packages the base must still have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import nodesemver

from pipeline.errors import DefinitionError, Location
from pipeline.models.defined import Defined, Definitions, Program
from pipeline.models.kinds import Base
from pipeline.resolve.lock import Locks, system_packages

_RELEASE = re.compile(r"(?:\d+:)?v?(\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True)
class Misfit:
    """What is not met, in what way not, and where it is written."""

    requirement: str
    problem: str
    location: Location


def provided(base: Defined[Base], definitions: Definitions, locks: Locks) -> Mapping[str, str]:
    """Return the capabilities of a base, each with its locked version, or "" where none is known."""
    capabilities = dict.fromkeys(system_packages(definitions, base.model.spec), "")
    debian = _debian_versions(base, locks)
    for name in base.model.spec.toolchains:
        capabilities |= _of_toolchain(name, definitions, locks, debian)
    return capabilities


def brought(
    program: Program, base: Defined[Base], capabilities: Mapping[str, str], definitions: Definitions
) -> tuple[str, ...]:
    """Return the toolchains that `program` brings to a base with these `capabilities`: those it cannot do without."""
    needed = {requirement.partition(" ")[0]: requirement for requirement in program.model.spec.requires}
    found = []
    for name in program.model.spec.brings:
        own = definitions.toolchains[name].model.spec.provides
        wanted = [needed.get(capability, capability) for capability in own if capability in needed or not needed]
        if name not in base.model.spec.toolchains and any(_problem(item, capabilities) for item in wanted):
            found.append(name)
    return tuple(found)


def check_fit(program: Program, base: Defined[Base], definitions: Definitions, locks: Locks) -> None:
    """Raise DefinitionError where `base` lacks something `program` requires, naming it and the bases that would do."""
    if found := misfit(program, base, provided(base, definitions, locks), definitions, locks):
        raise DefinitionError(
            f"{kind_of(program)} {program.name} requires `{found.requirement}`, and {found.problem}",
            location=found.location,
            remedy=advice(program, found.requirement, definitions, locks),
        )


def fits(program: Program, base: Defined[Base], definitions: Definitions, locks: Locks) -> bool:
    """Tell whether `base` has all that `program` requires."""
    capabilities = provided(base, definitions, locks)
    return base.model.spec.images and misfit(program, base, capabilities, definitions, locks) is None


def misfit(
    program: Program, base: Defined[Base], capabilities: Mapping[str, str], definitions: Definitions, locks: Locks
) -> Misfit | None:
    """Return the first requirement of `program` that `base`, with the `capabilities` it provides, does not meet."""
    there = dict(capabilities)
    for name in brought(program, base, capabilities, definitions):
        for package in definitions.toolchains[name].model.spec.debian:
            if package not in capabilities:
                place = program.at("spec", "brings", program.model.spec.brings.index(name))
                problem = f"base {base.name} does not have it; toolchain {name}, which {program.name} brings, needs it"
                return Misfit(package, problem, place)
        there |= _of_toolchain(name, definitions, locks, {})
    for index, requirement in enumerate(program.model.spec.requires):
        if problem := _problem(requirement, there):
            return Misfit(requirement, f"base {base.name} {problem}", program.at("spec", "requires", index))
    return None


def advice(program: Program, requirement: str, definitions: Definitions, locks: Locks) -> str:
    """Return what to do where `program` cannot be put on a base for want of `requirement`: the bases that would do."""
    suited = ", ".join(base.name for base in definitions.bases.values() if fits(program, base, definitions, locks))
    return f"bases that would do: {suited}" if suited else f"no base provides `{requirement}`; define one"


def kind_of(program: Program) -> str:
    """Return `agent` or `toolpack`."""
    return program.model.kind.lower()


def _of_toolchain(name: str, definitions: Definitions, locks: Locks, debian: Mapping[str, str]) -> dict[str, str]:
    """Return what a toolchain provides; `debian` has the versions of the Debian packages that are there."""
    lock = locks.toolchains.get(name)
    versions = {**debian, **({pin.name: pin.version for pin in lock.packages} if lock else {})}
    provides = definitions.toolchains[name].model.spec.provides
    return {capability: versions.get(package, "") for capability, package in provides.items()}


def _debian_versions(base: Defined[Base], locks: Locks) -> Mapping[str, str]:
    """Return the releases of the Debian packages locked for a base, on whichever of its platforms comes first."""
    lock = locks.bases.get(base.name)
    return {pin.name: _release(pin.version) for pin in lock.system[0].packages} if lock and lock.system else {}


def _problem(requirement: str, capabilities: Mapping[str, str]) -> str:
    name, _, wanted = requirement.partition(" ")
    if name not in capabilities:
        return f"does not provide `{name}`"
    version = capabilities[name]
    if wanted and version and not _satisfies(version, wanted.strip()):
        return f"has {name} {version}"
    return ""


@cache
def _satisfies(version: str, wanted: str) -> bool:
    # Asked of every pair of a matrix, with few different answers.
    semantic = version if nodesemver.valid(version, False) is not None else _release(version)  # noqa: FBT003
    return bool(nodesemver.satisfies(semantic, wanted, loose=False))


def _release(version: str) -> str:
    """Return a version as npm writes it: of `1:3.13.5-1` and `2026.9`, the release alone, in three parts."""
    found = _RELEASE.match(version)
    return ".".join([*found[1].split(".")[:3], "0", "0"][:3]) if found else version
