"""What the lock says: one frozen document per component, `registry/lock/<folder>/<name>.json`.

Addresses are kept relative to the registry or archive they belong to, so a lock names no mirror and no host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

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

    @property
    def name(self) -> str:
        """What its definition calls it."""
        return self.npm

    def branches(self, platform: str) -> tuple[TreePin, ...]:
        """Return the packages of the tree that are for `platform`."""
        return tuple(pin for pin in self.tree if not pin.platforms or platform in pin.platforms)

    def archive(self, platform: str) -> ArchivePin | None:
        """Return the archive for `platform`, if there is one."""
        return self.archives.get(platform) or self.archives.get(ANY_PLATFORM)


class WheelPin(_Pin):
    """One wheel of PyPI: its path below the index's files, and its platforms, none meaning all."""

    package: str
    version: str
    path: str
    sha256: Sha256
    platforms: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


class PypiPin(_Pin):
    """A package of PyPI at a version, for a Python: its wheel and those of its dependencies."""

    pypi: str
    version: str
    python: str
    wheels: tuple[WheelPin, ...]

    @property
    def name(self) -> str:
        """What its definition calls it."""
        return self.pypi

    def wheels_for(self, platform: str) -> tuple[WheelPin, ...]:
        """Return the wheels that are for `platform`."""
        return tuple(pin for pin in self.wheels if not pin.platforms or platform in pin.platforms)


class ImageFilesPin(_Pin):
    """A registry image whose files are used: its repository, the version it says it holds, its index digest."""

    image: str
    version: str
    index: Sha256

    @property
    def name(self) -> str:
        """What its definition calls it."""
        return self.image


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
    """The Debian packages a base adds to one root on one platform.

    `tools` names those of them that its common tools need: the same on every base of that root that has these tools.
    """

    source: Literal["image", "bootstrap"]
    platform: str
    root: Sha256
    packages: tuple[DebPin, ...]
    tools: tuple[str, ...] = ()

    @property
    def of_tools(self) -> tuple[DebPin, ...]:
        """The packages that common tools need."""
        return tuple(pin for pin in self.packages if pin.name in self.tools)

    @property
    def of_base(self) -> tuple[DebPin, ...]:
        """The packages that the base adds to these."""
        return tuple(pin for pin in self.packages if pin.name not in self.tools)


class ComponentLock(_Pin):
    """Head of every lock file. `inputs` is the digest of what in the definition the pins answer."""

    lock_schema: Literal["agentcontainers/lock/v1"] = Field(alias="schema", default="agentcontainers/lock/v1")
    component: str
    inputs: Sha256


PackagePin: TypeAlias = NpmPin | PypiPin | ImageFilesPin


class PackagesLock(ComponentLock):
    """Lock of a toolchain, an agent or a toolpack."""

    packages: tuple[PackagePin, ...]

    @property
    def version(self) -> str:
        """The version of the component: that of its first package."""
        return self.packages[0].version

    def find(self, name: str) -> PackagePin | None:
        """Return the pin of package `name`, if it is locked."""
        return next((pin for pin in self.packages if pin.name == name), None)

    def pin(self, name: str) -> PackagePin:
        """Return the pin of package `name`; raises KeyError where it is not locked."""
        if (pin := self.find(name)) is None:
            raise KeyError(name)
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
