"""The kinds of definition there are. `KINDS` is the one table of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from pipeline.models.parts import (
    Egress,
    HealthCheck,
    Licence,
    Metadata,
    NpmArchive,
    Secret,
    SmokeTest,
    User,
    Volume,
)
from pipeline.models.values import (
    DebianPackage,
    Environment,
    Flag,
    FrozenMap,
    ImageRef,
    Model,
    Name,
    NpmPackage,
    OwnedPath,
    PlatformName,
    Requirement,
    Text,
    Unique,
    Url,
    empty_environment,
)

API_VERSION = "agentcontainers/v1"
Packages = tuple[DebianPackage, ...]
Names = Annotated[tuple[Name, ...], Unique]
SmokeTests = Annotated[tuple[SmokeTest, ...], Unique]


class Bootstrap(Model):
    """How the root is made out of the Debian archive where no image registry is reached."""

    variant: Literal["minbase", "essential"] = "minbase"
    """mmdebstrap's variant: how small the system starts."""
    include: Packages = ()
    """Packages added to it."""


class RootSpec(Model):
    """A distribution's root file system, from one of two sources."""

    distribution: Literal["debian"]
    """Which distribution."""
    suite: Name
    """Which release of it."""
    image: ImageRef
    """The registry image; the lock pins its digest."""
    bootstrap: Bootstrap
    """How to make it from the archive instead."""
    archive: Url = "http://deb.debian.org/debian"
    """The package archive's public address; mirrors are configured in agc.toml."""
    security: Url = "http://deb.debian.org/debian-security"
    """The same for security updates."""
    platforms: Annotated[tuple[PlatformName, ...], Field(min_length=1)] = ("linux/amd64", "linux/arm64")
    """Platforms it exists for."""


class ToolchainSpec(Model):
    """A language runtime in a layer of its own."""

    packages: Annotated[tuple[NpmArchive, ...], Field(min_length=1)]
    """Where its files come from."""
    provides: FrozenMap[Name, NpmPackage]
    """Capabilities, each with the package whose version it has."""
    debian: Packages = ()
    """Debian packages it needs at run time."""
    env: Environment = Field(default_factory=empty_environment)
    """Environment variables it needs."""
    smoke: SmokeTests = ()
    """Tests run in every image that has it."""


class CommonToolsSpec(Model):
    """Debian packages that every base with this set has."""

    debian: Annotated[Packages, Field(min_length=1)]
    """The packages; each is a capability by its own name."""
    smoke: SmokeTests = ()
    """Tests run in every image that has them."""


class BaseSpec(Model):
    """A root, Debian packages, toolchains and a user: what agents are put on."""

    root: Name
    """The root it stands on."""
    common_tools: Names = ()
    """Sets of common tools."""
    toolchains: Names = ()
    """Toolchains, in the order of their layers."""
    debian: Packages = ()
    """Further Debian packages."""
    user: User = User()
    """Whom images run as."""
    workspace: OwnedPath = "/workspace"
    """The folder work is mounted at; it is where the container starts."""
    env: Environment = Field(default_factory=empty_environment)
    """Environment variables."""
    images: Flag = True
    """Whether there are images of it, alone and with agents; not of one that only tests use."""
    smoke: SmokeTests = ()
    """Tests run in every image on this base."""


class AgentSpec(Model):
    """A coding agent in a layer of its own."""

    packages: Annotated[tuple[NpmArchive, ...], Field(min_length=1)]
    """Where its files come from; the first one's version is the agent's."""
    command: Annotated[tuple[Text, ...], Field(min_length=1)]
    """What the container runs."""
    requires: tuple[Requirement, ...] = ()
    """Capabilities the base must provide, with a version range where one matters: `node >=22`, `git`."""
    env: Environment = Field(default_factory=empty_environment)
    """Environment variables; self-update belongs off here."""
    secrets: Annotated[tuple[Secret, ...], Unique] = ()
    """Secrets it wants, by name."""
    volumes: tuple[Volume, ...] = ()
    """Folders that outlive the container."""
    egress: tuple[Egress, ...] = ()
    """Hosts it must reach."""
    health: HealthCheck | None = None
    """How a runtime sees that it is well."""
    licence: Licence
    """What may be done with its bytes."""
    smoke: SmokeTests = ()
    """Tests run in every image that has it."""


class Definition(Model):
    """One document: which version of the format, which kind, its name, what it says."""

    api_version: Literal["agentcontainers/v1"]
    """The version of this format."""
    metadata: Metadata
    """Its name and what people read about it."""


class Root(Definition):
    """A distribution's root file system."""

    kind: Literal["Root"]
    """What this document defines."""
    spec: RootSpec
    """What it is made of."""


class Toolchain(Definition):
    """A language runtime."""

    kind: Literal["Toolchain"]
    """What this document defines."""
    spec: ToolchainSpec
    """What it is made of."""


class CommonTools(Definition):
    """A set of Debian packages."""

    kind: Literal["CommonTools"]
    """What this document defines."""
    spec: CommonToolsSpec
    """What it is made of."""


class Base(Definition):
    """What agents are put on."""

    kind: Literal["Base"]
    """What this document defines."""
    spec: BaseSpec
    """What it is made of."""


class Agent(Definition):
    """A coding agent."""

    kind: Literal["Agent"]
    """What this document defines."""
    spec: AgentSpec
    """What it is made of."""


KINDS: Mapping[str, type[Definition]] = MappingProxyType(
    {"Root": Root, "Toolchain": Toolchain, "CommonTools": CommonTools, "Base": Base, "Agent": Agent}
)
FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "Root": "roots",
        "Toolchain": "toolchains",
        "CommonTools": "common-tools",
        "Base": "bases",
        "Agent": "agents",
    }
)
