"""A stack as it is started: its services with all that their images declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pipeline.models.defined import Defined
from pipeline.models.kinds import Stack
from pipeline.models.parts import Egress, HealthCheck, Port, Secret, User, Volume
from pipeline.models.stacks import Published, Service
from pipeline.resolve.matrix import Parts


@dataclass(frozen=True, slots=True)
class NamedVolume:
    """A volume of a service; `name` is its own within the stack."""

    name: str
    volume: Volume


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of a service and where the host has it."""

    port: Port
    published: Published


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """A service with all that its image declares.

    `env` and `files` are what the stack adds to the image: its own variables, and what leads the agent to the service
    it reaches models through. `egress` are all hosts it may reach, in order of name and port. `waits_for` are the
    services that must be healthy before it starts.
    """

    name: str
    service: Service
    parts: Parts
    command: tuple[str, ...]
    user: User
    workspace: str
    volumes: tuple[NamedVolume, ...] = ()
    ports: tuple[Port, ...] = ()
    published: tuple[PublishedPort, ...] = ()
    secrets: tuple[Secret, ...] = ()
    egress: tuple[Egress, ...] = ()
    health: HealthCheck | None = None
    waits_for: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def image(self) -> str:
        """The name of its image."""
        return self.parts.name


@dataclass(frozen=True, slots=True)
class StackPlan:
    """A stack; services are in order of name."""

    defined: Defined[Stack]
    services: tuple[ServicePlan, ...]

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.defined.name

    @property
    def workspace(self) -> str:
        """The folder of the project that services share, `.` for the project itself."""
        return self.defined.model.spec.workspace

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that any of its services wants, each once, in order of name; required if one requires it."""
        found: dict[str, Secret] = {}
        for secret in (secret for service in self.services for secret in service.secrets):
            known = found.get(secret.name)
            if known is None or (secret.required and not known.required):
                found[secret.name] = secret
        return tuple(found[name] for name in sorted(found))

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that services belong to."""
        return tuple(sorted({one.service.profile for one in self.services if one.service.profile}))
