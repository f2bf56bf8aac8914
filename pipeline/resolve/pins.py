"""What the lock says: one frozen document per component, `registry/lock/<folder>/<name>.json`.

Addresses are kept relative to the registry or archive they belong to, so a lock names no mirror and no host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.digest import Digest
from pipeline.models.values import FrozenMap

ANY_PLATFORM = "any"

Sha256 = Annotated[Digest, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Pin(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ArchivePin(_Pin):
    """One archive of the npm registry: package, path below the registry, npm's integrity, SHA-256, size in bytes.

    `folder` is the one folder its content lies in.
    """

    package: str
    path: str
    integrity: str
    sha256: Sha256
    size: int
    folder: str = "package"


class TreePin(_Pin):
    """One package of a tree: its folder below the tree (`node_modules/…`), and its platforms, none meaning all."""

    path: str
    archive: ArchivePin
    platforms: tuple[str, ...] = ()


class NpmPin(_Pin):
    """A package at a version: its archive per platform (or for `any`), or the tree of it and its dependencies."""

    npm: str
    version: str
    archives: FrozenMap[str, ArchivePin] = Field(default_factory=dict)
    tree: tuple[TreePin, ...] = ()

    def branches(self, platform: str) -> tuple[TreePin, ...]:
        """Return the packages of the tree that are for `platform`."""
        return tuple(pin for pin in self.tree if not pin.platforms or platform in pin.platforms)

    def archive(self, platform: str) -> ArchivePin | None:
        """Return the archive for `platform`, if there is one."""
        return self.archives.get(platform) or self.archives.get(ANY_PLATFORM)


class DebPin(_Pin):
    """One Debian package file: `archive` says below which of the root's archives `path` lies; size in bytes."""

    name: str
    version: str
    architecture: str
    archive: Literal["main", "security"]
    path: str
    sha256: Sha256
    size: int


class BootstrapPin(_Pin):
    """A bootstrapped root: digest of the one-layer image it becomes, and what is installed in it."""

    digest: Sha256
    packages: FrozenMap[str, str]


class ImagePin(_Pin):
    """A registry image: its index digest and the manifest digest per platform."""

    ref: str
    index: Sha256
    platforms: FrozenMap[str, Sha256]


class SystemPin(_Pin):
    """The Debian packages a base adds to one root on one platform."""

    source: Literal["image", "bootstrap"]
    platform: str
    root: Sha256
    packages: tuple[DebPin, ...]


class ComponentLock(_Pin):
    """Head of every lock file. `inputs` is the digest of what in the definition the pins answer."""

    lock_schema: Literal["agentcontainers/lock/v1"] = Field(alias="schema", default="agentcontainers/lock/v1")
    component: str
    inputs: Sha256


class PackagesLock(ComponentLock):
    """Lock of a toolchain or an agent."""

    packages: tuple[NpmPin, ...]

    @property
    def version(self) -> str:
        """The version of the component: that of its first package."""
        return self.packages[0].version

    def find(self, npm: str) -> NpmPin | None:
        """Return the pin of package `npm`, if it is locked."""
        return next((pin for pin in self.packages if pin.npm == npm), None)

    def pin(self, npm: str) -> NpmPin:
        """Return the pin of package `npm`; raises KeyError where it is not locked."""
        if (pin := self.find(npm)) is None:
            raise KeyError(npm)
        return pin


class RootLock(ComponentLock):
    """Lock of a root: the sources that could be resolved."""

    image: ImagePin | None = None
    bootstrap: FrozenMap[str, BootstrapPin] = Field(default_factory=dict)

    def digest(self, source: str, platform: str) -> Digest | None:
        """Return the manifest digest of the root from `source` (`image` or `bootstrap`) on `platform`."""
        if source == "image":
            return self.image.platforms.get(platform) if self.image else None
        pin = self.bootstrap.get(platform)
        return pin.digest if pin else None

    def digests(self) -> Iterator[tuple[tuple[str, str], Digest]]:
        """Yield source and platform of every locked root, with its digest."""
        for platform, digest in self.image.platforms.items() if self.image else ():
            yield ("image", platform), digest
        for platform, pin in self.bootstrap.items():
            yield ("bootstrap", platform), pin.digest

    def source(self, wanted: str) -> Literal["image", "bootstrap"]:
        """Return which source a build uses: the wanted one, or with `auto` the image where it is locked."""
        if wanted == "image" or (wanted == "auto" and self.image is not None):
            return "image"
        return "bootstrap"


class SystemLock(ComponentLock):
    """Lock of a base: Debian packages per root source and platform."""

    system: tuple[SystemPin, ...]

    def pin(self, source: str, platform: str) -> SystemPin | None:
        """Return the packages for a root from `source` on `platform`."""
        for pin in self.system:
            if (pin.source, pin.platform) == (source, platform):
                return pin
        return None
