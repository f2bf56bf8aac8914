"""What files that are made per agent start from: the agent, an image of it, and what all of its parts need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.models.defined import Defined, Program
from pipeline.models.kinds import Agent
from pipeline.models.parts import Egress, Port, Secret, User, Volume
from pipeline.outputs.subject import Subject
from pipeline.resolve.matrix import Combination, Parts


@dataclass(frozen=True, slots=True)
class Chosen:
    """An agent with the image of it that files are made for."""

    agent: Defined[Agent]
    parts: Parts

    @property
    def user(self) -> User:
        """Whom the image runs as."""
        return self.parts.base.model.spec.user

    @property
    def workspace(self) -> str:
        """Where its work is."""
        return self.parts.base.model.spec.workspace


def chosen(subject: Subject, *, suited: Iterable[str] = ()) -> Iterator[Chosen]:
    """Yield every agent that has an image, with the one of the first cell of the matrix that names it.

    Where it has an image on one of the `suited` bases, it is that one.
    """
    bases = frozenset(suited)
    images = [item for item in subject.project.combinations if not item.reason and not item.parts.toolpack]
    for agent in subject.project.definitions.agents.values():
        own = [item for item in images if item.parts.agent is agent]
        if own:
            first = min(own, key=lambda item: (item.parts.base.name not in bases, _rank(subject, item)))
            yield Chosen(agent, first.parts)


def hosts(programs: Iterable[Program]) -> tuple[Egress, ...]:
    """Return the hosts that programs must reach, each port of each once, ordered by name."""
    found = {(one.host, one.port): one for program in programs for one in program.model.spec.egress}
    return tuple(found[key] for key in sorted(found))


def secrets(programs: Iterable[Program]) -> tuple[Secret, ...]:
    """Return the secrets that programs want, each once, in their order; required where any of them requires it."""
    found: dict[str, Secret] = {}
    for program in programs:
        for secret in program.model.spec.secrets:
            before = found.get(secret.name)
            if before is None or (secret.required and not before.required):
                found[secret.name] = secret
    return tuple(found.values())


def volumes(programs: Iterable[Program]) -> tuple[Volume, ...]:
    """Return the folders of programs that outlive a container, ordered by path."""
    found = {one.path: one for program in programs for one in program.model.spec.volumes}
    return tuple(found[path] for path in sorted(found))


def ports(programs: Iterable[Program]) -> tuple[Port, ...]:
    """Return the ports that programs listen on, ordered by number."""
    found = {one.port: one for program in programs for one in program.model.spec.ports}
    return tuple(found[number] for number in sorted(found))


def _rank(subject: Subject, item: Combination) -> tuple[int, str]:
    """Return where the matrix first names an image: what stands first there is what most people want."""
    matrix = subject.project.definitions.matrix
    cells = matrix.model.spec.cells if matrix else ()
    agent = item.parts.agent.name if item.parts.agent else ""
    places = (at for at, cell in enumerate(cells) if cell.base == item.parts.base.name and agent in cell.agents)
    return next(places, len(cells)), item.name
