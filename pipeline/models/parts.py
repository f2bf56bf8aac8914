"""Parts that several kinds of definition share: smoke tests, health checks, volumes, ports, secrets, egress."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.models.values import (
    AbsolutePath,
    Environment,
    EnvName,
    FilePath,
    Flag,
    FrozenMap,
    Host,
    Model,
    Name,
    OwnedPath,
    Seconds,
    Text,
    Unique,
    empty_environment,
)


class Metadata(Model):
    """What a definition is called and what people read about it."""

    name: Name
    """The name by which other definitions and commands refer to it."""
    title: Text = ""
    """A name for people, where the plain one does not do."""
    description: Text = ""
    """One sentence: what it is."""
    homepage: Text = ""
    """Where its own documentation is."""


class ExpectedFile(Model):
    """A file the agent is to write, or to change."""

    path: FilePath
    """Where, below the workspace."""
    content: Annotated[Text, Field(min_length=1)]
    """What it must hold; one newline at the end is left out of account."""
    before: Text = ""
    """What it holds before, where it is there already and the agent is to change it."""


class SmokeTest(Model):
    """A command run in the finished image as its user; it passes if it exits 0 and prints what is expected."""

    name: Name
    """What the test is called in reports."""
    run: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The command and its arguments; no shell unless you name one."""
    contains: Text = ""
    """Text its output must contain; `{version}` stands for the locked version.

    In a work test it is the mock's last words where nothing else is given.
    """
    timeout: Seconds = 60
    """Seconds after which it has failed; five times as many where its platform is emulated."""
    emulated: bool = True
    """Whether it can pass where its platform is emulated; where it cannot, it is not run there, and a note says so."""
    network: Literal["none", "host"] = "none"
    """What it may reach. A test that needs the network is not repeatable; prefer none."""
    depth: Literal["presence", "answer", "work"] = "answer"
    """`presence`: it is there; `answer`: it runs; `work`: the agent does its work, beside a mock of its model's API.

    In a work test, `{mock}` in `run`, `env` and `files` is the address of the mock.
    """
    env: Environment = Field(default_factory=empty_environment)
    """Environment variables beside the image's."""
    files: FrozenMap[OwnedPath, Text] = Field(default_factory=empty_environment)
    """Files the image's user puts in place before, with their text; only in a work test."""
    expect_file: ExpectedFile | None = None
    """The file that a work test has the agent write."""

    @model_validator(mode="after")
    def _works_beside_a_mock(self) -> SmokeTest:
        if (self.depth == "work") != (self.expect_file is not None):
            raise ValueError("`depth: work` and `expectFile` go together: the agent is to write it")
        if self.depth == "work" and self.network != "none":
            raise ValueError("a work test has no network; the mock is all it may reach")
        if self.depth != "work" and self.files:
            raise ValueError("only a work test may put `files` in place")
        return self


SmokeTests = Annotated[tuple[SmokeTest, ...], Unique]


class HealthCheck(Model):
    """How a container runtime finds out whether the container is well."""

    command: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The command; exit 0 means healthy."""
    interval: Seconds = 30
    """Seconds between checks."""
    timeout: Seconds = 10
    """Seconds after which one check has failed."""
    start_period: Seconds = 10
    """Seconds after the start in which failures do not count."""
    retries: Annotated[int, Field(ge=1, le=20, strict=True)] = 3
    """Failures in a row that make the container unhealthy."""


class Volume(Model):
    """A folder whose content outlives the container; it belongs to the image's user."""

    path: OwnedPath
    """Where it is in the image."""
    purpose: Literal["config", "state", "cache", "workspace"]
    """What is kept in it."""
    description: Text = ""
    """What a person should know of it."""


class Port(Model):
    """A TCP port something listens on in the container."""

    name: Name
    """What it is for, in a word."""
    port: Annotated[int, Field(ge=1, le=65535, strict=True)]
    """Its number."""


class Secret(Model):
    """A secret the agent wants at run time: the name of a variable, never a value."""

    name: EnvName
    """The environment variable it reads."""
    description: Text
    """What it is and where one gets it."""
    required: Flag = False
    """Whether the agent is of no use without it."""
    generate: Flag = False
    """Whether any long random text does: one's own choice, nothing that somebody else gives out."""


class Egress(Model):
    """A host the agent must reach to do its work."""

    host: Host
    """Its name; `*.` at the start covers all names below."""
    port: Annotated[int, Field(ge=1, le=65535, strict=True)] = 443
    """Its TCP port."""
    purpose: Text
    """What it is reached for."""
    verified: date
    """The day somebody last saw that it is needed."""


class Licence(Model):
    """What may be done with the agent's bytes when an image is published."""

    publish: Literal["baked", "late-bound", "private"]
    """`baked`: in the image; `late-bound`: fetched at first run; `private`: only to registries marked private."""
    name: Text
    """SPDX identifier, or `LicenseRef-…`."""
    url: Text = ""
    """Where its text is."""


class User(Model):
    """Whom the image runs as."""

    name: Name = "dev"
    """Login name."""
    uid: Annotated[int, Field(ge=1, le=60000, strict=True)] = 1000
    """User id; never root."""
    gid: Annotated[int, Field(ge=1, le=60000, strict=True)] = 1000
    """Group id."""
    home: OwnedPath = "/home/dev"
    """Home folder."""
    shell: AbsolutePath = "/bin/bash"
    """Login shell."""
