"""The operations a build is made of, each a frozen value named after what BuildKit does.

Inputs are `State` values. Fields marked with the metadata `prose` are left out of identity: they help a reader and
change nothing that is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from pipeline.digest import Digest

if TYPE_CHECKING:
    from pipeline.graph.state import State


class Network(StrEnum):
    """What a step may reach: nothing, or what the engine's host reaches."""

    NONE = "none"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Owner:
    """Numeric user and group of a file."""

    uid: int = 0
    gid: int = 0


ROOT = Owner()


@dataclass(frozen=True, slots=True)
class Scratch:
    """The empty file system."""


@dataclass(frozen=True, slots=True)
class Image:
    """The file system of a registry image, named with its manifest digest (`repo@sha256:…`)."""

    ref: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The file system of an image in a local OCI layout; the engine is told where layouts lie when it solves.

    `name` is where the bytes came from, for people; the digest alone is identity.
    """

    digest: Digest
    name: str = field(default="root", compare=False, metadata={"prose": True})


@dataclass(frozen=True, slots=True)
class Http:
    """One file fetched over HTTP(S) and refused unless its SHA-256 is `checksum`; it lies at `/filename`.

    The URL is the public one; mirrors are the engine's business. Where the content is pinned the URL is prose, and
    not identity: without a checksum it is all there is to tell one file from another.
    """

    checksum: Digest | None
    filename: str
    url: str = field(metadata={"prose": True})


@dataclass(frozen=True, slots=True)
class Mount:
    """A state mounted read-only into a step."""

    source: State
    target: str
    path: str = "/"


@dataclass(frozen=True, slots=True)
class Run:
    """One process. The result is the root file system, or the folder `output` where that is given."""

    root: State
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    user: str = "0:0"
    network: Network = Network.NONE
    mounts: tuple[Mount, ...] = ()
    caches: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """A file with the given bytes."""

    path: str
    data: bytes
    mode: int
    owner: Owner
    timestamp: int


@dataclass(frozen=True, slots=True)
class Mkdir:
    """A folder; missing parents are made too, as root."""

    path: str
    mode: int
    owner: Owner
    timestamp: int


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link at `path` that says `target`."""

    path: str
    target: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Copy:
    """Files of another state. `source` may be a folder, whose content is then copied.

    With `unpack`, an archive is unpacked in place of being copied. `mode` is chmod's symbolic form (`u=rwX,go=rX`).
    """

    state: State
    source: str
    path: str
    owner: Owner | None
    timestamp: int | None
    mode: str = ""
    exclude: tuple[str, ...] = ()
    unpack: bool = False


FileAction: TypeAlias = Write | Mkdir | Symlink | Copy


@dataclass(frozen=True, slots=True)
class Files:
    """File actions on top of a state, one after the other, in one step."""

    base: State
    actions: tuple[FileAction, ...]


@dataclass(frozen=True, slots=True)
class Diff:
    """What `upper` has that `lower` has not."""

    lower: State
    upper: State


@dataclass(frozen=True, slots=True)
class Merge:
    """Layers put on top of each other by reference: no file is copied."""

    layers: tuple[State, ...]


Op: TypeAlias = Scratch | Image | Layout | Http | Run | Files | Diff | Merge
