"""What a stack may say: services made of images of ours, and how they meet.

What an image declares itself (volumes, ports, secrets, hosts, health, user) is not said again here.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from pipeline.models.parts import Egress
from pipeline.models.values import (
    MEMORY,
    Environment,
    EnvName,
    Flag,
    FrozenMap,
    Model,
    Name,
    Names,
    ProjectPath,
    Seconds,
    Text,
    Unique,
    empty_environment,
)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ValueError("is no IP address; write `127.0.0.1`, or `0.0.0.0` for all of the host's") from error


Memory = Annotated[str, StringConstraints(pattern=MEMORY)]


class Published(Model):
    """A port of a service that is reached from the host."""

    name: Name
    """The port's name, as the agent or toolpack declares it."""
    host: Annotated[int, Field(ge=1, le=65535, strict=True)]
    """Its number on the host."""
    address: Annotated[Text, AfterValidator(_address)] = "127.0.0.1"
    """The host's address it is taken on; only the host itself reaches `127.0.0.1`."""


class Service(Model):
    """A container: an image of ours, said by its name or by what it is made of."""

    image: Name | None = None
    """The image, by its name: `node-bun-claude`, `headroom`."""
    program: Name | None = None
    """The agent, where the image is not named."""
    base: Name | None = None
    """The base it is put on, with `program`."""
    command: tuple[Text, ...] = ()
    """What runs in place of the program's own command."""
    profile: Name | None = None
    """The service is there only where this profile is asked for."""
    depends_on: Names = ()
    """Services that must be healthy before it starts."""
    workspace: Flag = False
    """Whether the stack's workspace is mounted."""
    env: Environment = Field(default_factory=empty_environment)
    """Environment variables beside the image's. No secrets: those the image declares are read from files."""
    without_secrets: Annotated[tuple[EnvName, ...], Unique] = ()
    """Secrets the image declares that have no use in this stack; they are not asked for."""
    ports: Annotated[tuple[Published, ...], Unique] = ()
    """Ports that are reached from the host."""
    memory: Memory = "2g"
    """How much memory it may use: `512m`, `4g`."""
    pids: Annotated[int, Field(ge=16, le=65536, strict=True)] = 512
    """How many processes and threads it may have."""
    cpus: Annotated[float, Field(gt=0, le=1024, strict=True, allow_inf_nan=False)] | None = None
    """How many processors' time it may use; no limit where it is not said."""
    read_only: Flag = True
    """Whether everything but volumes, the workspace, /tmp and the home folder is read-only."""
    via: Name | None = None
    """The service through which alone it reaches models: a toolpack with a port. It waits for that to be healthy."""
    egress: tuple[Egress, ...] = ()
    """Hosts it may reach beside those that its image declares; with `via`, these alone."""
    check_every: Seconds = 15
    """Seconds between two health checks."""

    @model_validator(mode="after")
    def _is_one_image(self) -> Service:
        if (self.image is None) == (self.program is None) or (self.program is None) != (self.base is None):
            raise ValueError("a service says either its `image`, or its `program` and the `base` it is put on")
        return self


class StackSpec(Model):
    """Services that are started together."""

    workspace: ProjectPath = "workspace"
    """The folder of the project that services share."""
    services: Annotated[FrozenMap[Name, Service], Field(min_length=1)]
    """The services, by the names under which they reach each other."""
