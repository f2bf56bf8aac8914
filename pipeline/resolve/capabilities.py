"""What a base provides, what an agent requires, and a clear no where they do not fit.

A capability is a name with, where it is known, a version: toolchains provide theirs, and every Debian package a base
asks for is one by its own name. `node >=22` means what it means to npm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import nodesemver

from pipeline.errors import DefinitionError
from pipeline.models.defined import Defined, Definitions
from pipeline.models.kinds import Agent, Base
from pipeline.resolve.lock import Locks, system_packages


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
    for index, requirement in enumerate(agent.model.spec.requires):
        problem = _problem(requirement, provided(base, definitions, locks))
        if problem:
            suited = ", ".join(_suited(agent, definitions, locks))
            raise DefinitionError(
                f"agent {agent.name} requires `{requirement}`, and base {base.name} {problem}",
                location=agent.at("spec", "requires", index),
                remedy=f"bases that would do: {suited}" if suited else f"no base provides `{requirement}`; define one",
            )


def fits(agent: Defined[Agent], base: Defined[Base], definitions: Definitions, locks: Locks) -> bool:
    """Tell whether `base` has all that `agent` requires."""
    if not base.model.spec.images:
        return False
    capabilities = provided(base, definitions, locks)
    return not any(_problem(requirement, capabilities) for requirement in agent.model.spec.requires)


def _suited(agent: Defined[Agent], definitions: Definitions, locks: Locks) -> Iterator[str]:
    return (base.name for base in definitions.bases.values() if fits(agent, base, definitions, locks))


def _problem(requirement: str, capabilities: Mapping[str, str]) -> str:
    name, _, wanted = requirement.partition(" ")
    if name not in capabilities:
        return f"does not provide `{name}`"
    version = capabilities[name]
    if wanted and version and not nodesemver.satisfies(version, wanted.strip(), loose=False):
        return f"has {name} {version}"
    return ""
