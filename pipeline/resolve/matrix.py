"""Which images a project has: every base, and the agents on it that the matrix names, or all that fit without one.

A pair that fits and stands in no cell is no image of the project, and can still be asked for by its name. One that the
matrix excludes cannot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.errors import DefinitionError, ErrorGroup, Location
from pipeline.models.defined import Defined, Definitions
from pipeline.models.kinds import Agent, Base
from pipeline.resolve.capabilities import advice, misfit, provided
from pipeline.resolve.lock import Locks

TIERS = ("v1", "extra")
"""The tiers there are, the weightiest first."""
_IN_NO_CELL = "in no cell of the matrix; it can be built by its name"


@dataclass(frozen=True, slots=True)
class Combination:
    """A base, alone or with an agent, its tier, and the platforms it exists for.

    Where it is no image of the project, `reason` says why not, and `location` where that is written.
    """

    base: Defined[Base]
    agent: Defined[Agent] | None
    tier: str
    platforms: tuple[str, ...]
    reason: str = ""
    location: Location | None = None

    @property
    def name(self) -> str:
        """The name of the image."""
        return f"{self.base.name}-{self.agent.name}" if self.agent else self.base.name


def combinations(definitions: Definitions, locks: Locks) -> tuple[Combination, ...]:
    """Return every base and every pair of base and agent, in the order of their names."""
    bases = [base for base in definitions.bases.values() if base.model.spec.images]
    found = (item for base in bases for item in _on_base(base, definitions, locks))
    return tuple(sorted(found, key=lambda item: item.name))


def image_names(definitions: Definitions, locks: Locks) -> tuple[str, ...]:
    """Return the name of every image of the project: each base, and its cells, or what fits without a matrix."""
    return tuple(item.name for item in combinations(definitions, locks) if not item.reason)


def check_cells(definitions: Definitions, locks: Locks) -> None:
    """Raise ErrorGroup with every cell whose base lacks something its agent requires."""
    capabilities = {base.name: provided(base, definitions, locks) for base in definitions.bases.values()}
    errors = []
    for (base, agent), (_, place) in _cells(definitions).items():
        there = definitions.agents[agent]
        if not definitions.bases[base].model.spec.images:
            text = f"no image {base}-{agent} can be: base {base} says `images: false`"
            errors.append(DefinitionError(text, location=place, remedy="take the cell out"))
        elif found := misfit(there, definitions.bases[base], capabilities[base]):
            errors.append(
                DefinitionError(
                    f"no image {base}-{agent} can be: agent {agent} requires `{found.requirement}`"
                    f" ({found.location}), and {found.problem}",
                    location=place,
                    remedy=advice(there, found.requirement, definitions, locks),
                )
            )
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


def _on_base(base: Defined[Base], definitions: Definitions, locks: Locks) -> Iterator[Combination]:
    cells = _cells(definitions)
    exclusions = _exclusions(definitions)
    capabilities = provided(base, definitions, locks)
    tiers = {tier for (name, _), (tier, _) in cells.items() if name == base.name}
    # A base matters as much as the weightiest image on it.
    yield Combination(
        base, None, next((tier for tier in TIERS if tier in tiers), ""), _platforms(base, None, definitions)
    )
    for agent in definitions.agents.values():
        tier, _ = cells.get((base.name, agent.name), ("", None))
        reason, place = exclusions.get((base.name, agent.name), ("", None))
        if not tier and not reason:
            if found := misfit(agent, base, capabilities):
                reason, place = f"{agent.name} requires `{found.requirement}`, and {found.problem}", found.location
            elif definitions.matrix:
                reason, place = _IN_NO_CELL, definitions.matrix.at("spec", "cells")
        yield Combination(base, agent, tier, _platforms(base, agent, definitions), reason, place)


def _cells(definitions: Definitions) -> Mapping[tuple[str, str], tuple[str, Location]]:
    """Return tier and place of each pair of base and agent that is a cell."""
    matrix = definitions.matrix
    if matrix is None:
        return {}
    return {
        (cell.base, agent): (cell.tier, matrix.at("spec", "cells", at, "agents", index))
        for at, cell in enumerate(matrix.model.spec.cells)
        for index, agent in enumerate(cell.agents)
    }


def _exclusions(definitions: Definitions) -> Mapping[tuple[str, str], tuple[str, Location]]:
    """Return reason and place of each pair of base and agent that is excluded."""
    matrix = definitions.matrix
    if matrix is None:
        return {}
    return {
        (item.base, item.agent): (item.reason, matrix.at("spec", "exclude", at))
        for at, item in enumerate(matrix.model.spec.exclude)
    }


def _platforms(base: Defined[Base], agent: Defined[Agent] | None, definitions: Definitions) -> tuple[str, ...]:
    """Return the platforms of the root for which every package exists."""
    spec = base.model.spec
    packages = [package for name in spec.toolchains for package in definitions.toolchains[name].model.spec.packages]
    packages += agent.model.spec.packages if agent else ()
    limits = [package.platforms for package in packages if package.platforms]
    return tuple(name for name in definitions.roots[spec.root].model.spec.platforms if all(name in it for it in limits))
