"""What containers run: agents, and the toolpacks that serve them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pipeline.models.packages import Packages
from pipeline.models.parts import Egress, HealthCheck, Licence, Port, Secret, SmokeTests, Volume
from pipeline.models.values import (
    Days,
    Environment,
    FrozenMap,
    Model,
    Name,
    Names,
    OwnedPath,
    Requirement,
    Text,
    Unique,
    empty_environment,
)


class ProgramSpec(Model):
    """What a container runs, in a layer of its own."""

    packages: Packages
    """Where its files come from; the first one's version is the program's."""
    cool_down: Days = 1
    """Days that must pass after a release before `agc lock` takes it; 0 takes it at once."""
    command: Annotated[tuple[Text, ...], Field(min_length=1)]
    """What the container runs."""
    requires: tuple[Requirement, ...] = ()
    """Capabilities the base must provide, with a version range where one matters: `node >=22`, `git`."""
    brings: Names = ()
    """Toolchains whose layer is added, off PATH, where the base does not provide what they do."""
    env: Environment = Field(default_factory=empty_environment)
    """Environment variables; self-update belongs off here."""
    secrets: Annotated[tuple[Secret, ...], Unique] = ()
    """Secrets it wants, by name."""
    volumes: tuple[Volume, ...] = ()
    """Folders that outlive the container."""
    ports: Annotated[tuple[Port, ...], Unique] = ()
    """TCP ports it listens on."""
    egress: tuple[Egress, ...] = ()
    """Hosts it must reach."""
    health: HealthCheck | None = None
    """How a runtime sees that it is well."""
    licence: Licence
    """What may be done with its bytes."""
    smoke: SmokeTests = ()
    """Tests run in every image that has it."""


class ModelEndpoint(Model):
    """How the agent is led to another address of its models; `{url}` stands for that address, without a path."""

    env: Environment = Field(default_factory=empty_environment)
    """Environment variables."""
    files: FrozenMap[OwnedPath, Text] = Field(default_factory=empty_environment)
    """Files that are put in place before it starts, where there are none yet; the agent may change them."""

    @model_validator(mode="after")
    def _names_the_address(self) -> ModelEndpoint:
        if not any("{url}" in text for text in (*self.env.values(), *self.files.values())):
            raise ValueError("neither `env` nor `files` says `{url}`, the address the agent is to use")
        return self


class AgentSpec(ProgramSpec):
    """A coding agent in a layer of its own."""

    model_endpoint: ModelEndpoint | None = None
    """How it is led to models behind a sidecar or a gateway; without it, it cannot be."""


class Sidecar(Model):
    """The toolpack as an image of its own, which carries its name."""

    base: Name
    """The base it is put on."""


class Embedded(Model):
    """The toolpack inside an agent's image, started before the agent."""

    command: Annotated[tuple[Text, ...], Field(min_length=1)]
    """What is started beside the agent; the agent starts once `health` answers, or `startPeriod` is over."""
    env: Environment = Field(default_factory=empty_environment)
    """Environment variables of such images, above those of the agent: what leads it to the toolpack."""
    smoke: SmokeTests = ()
    """Tests run in every such image, started as the container is: by its entry point."""


class ToolpackSpec(ProgramSpec):
    """A program that serves agents, beside them or in their image."""

    sidecar: Sidecar | None = None
    """How it becomes an image of its own."""
    embedded: Embedded | None = None
    """How it becomes part of an agent's image."""

    @model_validator(mode="after")
    def _goes_somewhere(self) -> ToolpackSpec:
        if self.sidecar is None and self.embedded is None:
            raise ValueError("a toolpack is a `sidecar`, `embedded`, or both")
        return self
