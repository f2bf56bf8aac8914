"""What is in an image on one platform: the one source of both bill of materials formats, and of the provenance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from packageurl import PackageURL

from pipeline.digest import Digest
from pipeline.platform import Platform


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distribution that an image says it is (`/etc/os-release`: ID, VERSION_ID)."""

    name: str = "debian"
    release: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A package that is in an image.

    `kind` is the type of its package URL. `licence` is an SPDX expression, or what its files say where that is none.
    `checksums` are of the file it was installed from, hexadecimal, by algorithm; `location` is where that file is.
    `component` is the layer that brings it, `paths` where it lies. Debian's has the `source` it was made from.
    """

    kind: str
    name: str
    version: str
    architecture: str = ""
    component: str = ""
    licence: str = ""
    source: str = ""
    checksums: tuple[tuple[str, str], ...] = ()
    location: str = ""
    paths: tuple[str, ...] = ()
    locked: bool = False

    @property
    def origin(self) -> tuple[str, str]:
        """Name and version of the source package: its own where no other is told."""
        name, _, version = self.source.partition("=")
        return name or self.name, version or self.version

    def purl(self, distribution: Distribution) -> PackageURL:
        """Return its package URL, with the qualifiers by which scanners find advisories."""
        qualifiers: dict[str, str] = {}
        namespace: str | None = None
        name = self.name
        match self.kind:
            case "deb":
                namespace = distribution.name
                qualifiers["arch"] = self.architecture
                if distribution.release:
                    qualifiers["distro"] = f"{distribution.name}-{distribution.release}"
                if self.source:
                    qualifiers["upstream"] = self.source.replace("=", "@")
            case "npm" | "golang" | "nuget":
                head, _, name = name.strip("/").rpartition("/")
                namespace = head.strip("/") or None
            case "generic":
                qualifiers["checksum"] = ",".join(f"{kind}:{value}" for kind, value in self.checksums)
        return PackageURL(self.kind, namespace, name, self.version or None, qualifiers or None)


@dataclass(frozen=True, slots=True, order=True)
class Component:
    """A part of an image: `agents/claude`, its version, its licence, its title, and the blobs of its layers."""

    name: str
    version: str
    licence: str = ""
    homepage: str = ""
    blobs: tuple[Digest, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """Everything in an image on one platform; `manifest` is the digest of what it describes. All of it is sorted."""

    image: str
    platform: Platform
    manifest: Digest
    distribution: Distribution
    components: tuple[Component, ...]
    packages: tuple[Package, ...]

    @property
    def purl(self) -> PackageURL:
        """The image's own package URL; where it is published is no part of what it is."""
        qualifiers = {"arch": self.platform.architecture}
        return PackageURL("oci", None, self.image, str(self.manifest), qualifiers)

    @cached_property
    def names(self) -> frozenset[tuple[str, str, str]]:
        """Kind, name and version of every package."""
        return frozenset((package.kind, package.name, package.version) for package in self.packages)
