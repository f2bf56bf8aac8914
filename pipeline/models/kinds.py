"""The kinds of definition there are. `KINDS` is the one table of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.models.exceptions import PolicySpec, VexSpec
from pipeline.models.packages import Packages
from pipeline.models.parts import Metadata, SmokeTests, User
from pipeline.models.programs import AgentSpec, ToolpackSpec
from pipeline.models.stacks import StackSpec
from pipeline.models.values import (
    Days,
    DebianPackage,
    Environment,
    Flag,
    FrozenMap,
    ImageRef,
    Model,
    Name,
    Names,
    OwnedPath,
    PlatformName,
    TagPattern,
    Text,
    Unique,
    Url,
    empty_environment,
)

API_VERSION = "agentcontainers/v1"
DebianPackages = tuple[DebianPackage, ...]
Tier = Literal["v1", "extra"]


class Bootstrap(Model):
    """How the root is made out of the Debian archive where no image registry is reached."""

    variant: Literal["minbase", "essential"] = "minbase"
    """mmdebstrap's variant: how small the system starts."""
    include: DebianPackages = ()
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

    packages: Packages
    """Where its files come from; the first one's version is the toolchain's."""
    cool_down: Days = 1
    """Days that must pass after a release before `agc lock` takes it; 0 takes it at once."""
    provides: FrozenMap[Name, Annotated[Text, Field(min_length=1)]]
    """Capabilities, each with the package whose version it has: one of `packages` or of `debian`."""
    debian: DebianPackages = ()
    """Debian packages it needs at run time."""
    env: Environment = Field(default_factory=empty_environment)
    """Environment variables it needs."""
    smoke: SmokeTests = ()
    """Tests run in every image that has it."""


class CommonToolsSpec(Model):
    """Debian packages that every base with this set has."""

    debian: Annotated[DebianPackages, Field(min_length=1)]
    """The packages; each is a capability by its own name."""
    smoke: SmokeTests = ()
    """Tests run in every image that has them."""


class _Share(Model):
    """What a base and a combo may both bring along."""

    common_tools: Names = ()
    """Sets of common tools."""
    toolchains: Names = ()
    """Toolchains, in the order of their layers; those of what it extends come first."""
    debian: DebianPackages = ()
    """Further Debian packages."""
    env: Environment = Field(default_factory=empty_environment)
    """Environment variables."""
    smoke: SmokeTests = ()
    """Tests run in every image on it."""


def _without_default(schema: dict[str, Any]) -> None:
    """Say nothing of a default that only means "not written": it is no value one could write."""
    schema.pop("default")


class BaseSpec(_Share):
    """A root, Debian packages, toolchains and a user: what agents are put on.

    Once loaded, it holds also what it inherits, and its root is always named.
    """

    extends: Name | None = None
    """A base or combo it has everything of; it adds to that and changes nothing."""
    root: Name = Field(default="", json_schema_extra=_without_default)
    """The root it stands on; what it extends says so where it is not written."""
    user: User = User()
    """Whom images run as."""
    workspace: OwnedPath = "/workspace"
    """The folder work is mounted at; it is where the container starts."""
    images: Flag = True
    """Whether there are images of it, alone and with agents; not of one that only tests use."""

    @model_validator(mode="after")
    def _stands_on_something(self) -> BaseSpec:
        if not self.root and not self.extends:
            raise ValueError("a base names its `root`, or the base it `extends`")
        return self


class ComboSpec(_Share):
    """A base that has everything of several others."""

    bases: Names
    """The bases and combos it joins, two at least; their toolchains come in this order."""

    @model_validator(mode="after")
    def _joins_several(self) -> ComboSpec:
        if len(self.bases) < 2:  # noqa: PLR2004  # several
            raise ValueError("a combo joins two `bases` at least; to build on one, define a Base that `extends` it")
        return self


class Cell(Model):
    """Agents on one base that are images of this project."""

    base: Name
    """The base or combo."""
    agents: Annotated[Names, Field(min_length=1)]
    """The agents put on it, each in an image of its own."""
    toolpacks: Names = ()
    """Toolpacks, each embedded in an image of its own for each agent; without any, the agent stands alone."""
    tier: Tier
    """How much these images matter: `v1` belongs to the release, `extra` is there as well."""


class SidecarCell(Model):
    """A toolpack that is an image of this project."""

    toolpack: Name
    """The toolpack."""
    tier: Tier
    """How much its image matters."""


class Exclusion(Model):
    """An agent that is not put on a base, though it might fit."""

    base: Name
    """The base or combo."""
    agent: Name
    """The agent."""
    reason: Annotated[Text, Field(min_length=1)]
    """Why not; shown to whoever asks for the image."""


class MatrixSpec(Model):
    """Which agents on which bases are images of this project."""

    cells: Annotated[tuple[Cell, ...], Field(min_length=1)]
    """The combinations there are."""
    sidecars: tuple[SidecarCell, ...] = ()
    """The toolpacks that are images of their own."""
    exclude: tuple[Exclusion, ...] = ()
    """Combinations there shall not be."""


class MatrixMetadata(Metadata):
    """What the matrix is called: there is one."""

    name: Literal["default"]
    """Always `default`."""


class TagPolicySpec(Model):
    """Which tags a published image gets."""

    tags: Annotated[tuple[TagPattern, ...], Field(min_length=1), Unique]
    """Tags, with `{date}`, `{commit}`, `{version}`, `{minor}` and `{major}` filled in."""


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


class Combo(Definition):
    """Several bases in one."""

    kind: Literal["Combo"]
    """What this document defines."""
    spec: ComboSpec
    """What it is made of."""


class Matrix(Definition):
    """The combinations a project consists of."""

    kind: Literal["Matrix"]
    """What this document defines."""
    metadata: MatrixMetadata
    """Its name, always `default`, and what people read about it."""
    spec: MatrixSpec
    """What it is made of."""


class Agent(Definition):
    """A coding agent."""

    kind: Literal["Agent"]
    """What this document defines."""
    spec: AgentSpec
    """What it is made of."""


class Toolpack(Definition):
    """A program that serves agents."""

    kind: Literal["Toolpack"]
    """What this document defines."""
    spec: ToolpackSpec
    """What it is made of."""


class Stack(Definition):
    """Services that are started together."""

    kind: Literal["Stack"]
    """What this document defines."""
    spec: StackSpec
    """What it is made of."""


class TagPolicy(Definition):
    """Which tags images get when they are published."""

    kind: Literal["TagPolicy"]
    """What this document defines."""
    spec: TagPolicySpec
    """What it says."""


class Vex(Definition):
    """What a vulnerability means here, until when, and why."""

    kind: Literal["Vex"]
    """What this document defines."""
    spec: VexSpec
    """What it says."""


class Policy(Definition):
    """Checks that are let pass, and why."""

    kind: Literal["Policy"]
    """What this document defines."""
    spec: PolicySpec
    """What it lets pass."""


KINDS: Mapping[str, type[Definition]] = MappingProxyType(
    {
        "Root": Root,
        "Toolchain": Toolchain,
        "CommonTools": CommonTools,
        "Base": Base,
        "Combo": Combo,
        "Agent": Agent,
        "Toolpack": Toolpack,
        "Matrix": Matrix,
        "Stack": Stack,
        "TagPolicy": TagPolicy,
        "Vex": Vex,
        "Policy": Policy,
    }
)
FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        "Root": "roots",
        "Toolchain": "toolchains",
        "CommonTools": "common-tools",
        "Base": "bases",
        "Combo": "combos",
        "Agent": "agents",
        "Toolpack": "toolpacks",
        "Matrix": "matrix",
        "Stack": "stacks",
        "TagPolicy": "tag-policies",
        "Vex": "vex",
        "Policy": "policies",
    }
)
