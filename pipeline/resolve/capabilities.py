"""What a base provides, what an agent requires, and a clear no where they do not fit.

A capability is a name with, where it is known, a version: toolchains provide theirs, and every Debian package a base
asks for is one by its own name. `node >=22` means what it means to npm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import nodesemver

from pipeline.errors import DefinitionError, Location
from pipeline.models.defined import Defined, Definitions
from pipeline.models.kinds import Agent, Base
from pipeline.resolve.lock import Locks, system_packages


@dataclass(frozen=True, slots=True)
class Misfit:
    """A requirement that is not met, in what way not, and where it is written."""

    requirement: str
    problem: str
    location: Location


def provided(base: Defined[Base], definitions: Definitions, locks: Locks) -> Mapping[str, str]:
    """Return the capabilities of a base, each with its locked version, or "" where none is known."""
    capabilities = dict.fromkeys(system_packages(definitions, base.model.spec), "")
    for name in base.model.spec.toolchains:
        lock = locks.toolchains.get(name)
        versions = {pin.npm: pin.version for pin in lock.packages} if lock else {}
        for capability, package in definitions.toolchains[name].model.spec.provides.items():
            capabilities[capability] = versions.get(package, "")
    return capabilities


def check_fit(agent: Defined[Agent], base: Defined[Base], definitions: Definitions, locks: Locks) -> None:
    """Raise DefinitionError where `base` lacks something `agent` requires, naming it and the bases that would do."""
    if found := misfit(agent, base, provided(base, definitions, locks)):
        raise DefinitionError(
            f"agent {agent.name} requires `{found.requirement}`, and {found.problem}",
            location=found.location,
            remedy=advice(agent, found.requirement, definitions, locks),
        )


def fits(agent: Defined[Agent], base: Defined[Base], definitions: Definitions, locks: Locks) -> bool:
    """Tell whether `base` has all that `agent` requires."""
    return base.model.spec.images and misfit(agent, base, provided(base, definitions, locks)) is None


def misfit(agent: Defined[Agent], base: Defined[Base], capabilities: Mapping[str, str]) -> Misfit | None:
    """Return the first requirement of `agent` that `base`, with the `capabilities` it provides, does not meet."""
    for index, requirement in enumerate(agent.model.spec.requires):
        if problem := _problem(requirement, capabilities):
            return Misfit(requirement, f"base {base.name} {problem}", agent.at("spec", "requires", index))
    return None


def advice(agent: Defined[Agent], requirement: str, definitions: Definitions, locks: Locks) -> str:
    """Return what to do where `agent` cannot be put on a base for want of `requirement`: the bases that would do."""
    suited = ", ".join(base.name for base in definitions.bases.values() if fits(agent, base, definitions, locks))
    return f"bases that would do: {suited}" if suited else f"no base provides `{requirement}`; define one"


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
    return bool(nodesemver.satisfies(version, wanted, loose=False))
