"""What the lock says of an image's packages: the file each was installed from, and its checksums.

An image's own files say what is in it; only the lock says from where and with which bytes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from pipeline.digest import hex_of
from pipeline.models.defined import Defined, Program
from pipeline.models.kinds import Toolchain
from pipeline.platform import Platform
from pipeline.resolve.pins import ArchivePin, ImageFilesPin, NpmPin, PackagesLock, PypiPin
from pipeline.resolve.plan import ImagePlan
from pipeline.settings import DEBIAN_ARCHIVE, DEBIAN_SECURITY, NPM_REGISTRY, PYPI_FILES


@dataclass(frozen=True, slots=True)
class Pinned:
    """A file that the lock pins, and the package in it; `checksums` in hexadecimal, by algorithm."""

    component: str
    kind: str
    name: str
    version: str
    location: str
    checksums: tuple[tuple[str, str], ...]
    architecture: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it has in common with the package that the image's files describe."""
        return package_key(self.component, self.kind, self.name, self.version)


@dataclass(frozen=True, slots=True)
class Command:
    """A program of a component: its path in the image, its name, and the version of the package it is of."""

    component: str
    path: str
    name: str
    version: str


def package_key(component: str, kind: str, name: str, version: str) -> tuple[str, str, str, str]:
    """Return what tells packages of an image apart, without the spelling that does not count (PEP 503 for Python).

    dpkg has one database, so the same package of Debian is one, whichever layer brings it.
    """
    place = "" if kind == "deb" else component
    return place, kind, canonicalize_name(name) if kind == "pypi" else name, version


def parts(plan: ImagePlan) -> Iterator[tuple[str, Defined[Toolchain] | Program, PackagesLock]]:
    """Yield the components of an image that are made of packages: name, definition and lock."""
    for toolchain, lock in (*plan.toolchains, *plan.brought):
        yield f"toolchains/{toolchain.name}", toolchain, lock
    for program, lock in plan.programs:
        yield lock.component, program, lock


def pinned(plan: ImagePlan) -> Iterator[Pinned]:
    """Yield every package file an image is made of, without those its root was made of."""
    for deb in plan.system.packages:
        archive = DEBIAN_SECURITY if deb.archive == "security" else DEBIAN_ARCHIVE
        checksums = (("sha256", hex_of(deb.sha256)),)
        component = f"bases/{plan.base.name}"
        location = f"{archive}/{deb.path}"
        yield Pinned(component, "deb", deb.name, deb.version, location, checksums, deb.architecture)
    for component, _, lock in parts(plan):
        for pin in lock.packages:
            yield from _package(component, pin, plan.platform)


def commands(plan: ImagePlan) -> Iterator[Command]:
    """Yield the commands of an image's components, each with the file it runs."""
    for component, defined, lock in parts(plan):
        for package in defined.model.spec.packages:
            version = lock.pin(package.name).version
            for name, file in package.binaries.items():
                path = "/".join(part for part in ("opt", component, package.folder, file) if part)
                yield Command(component, path, name, version)


def _package(component: str, pin: NpmPin | PypiPin | ImageFilesPin, platform: Platform) -> Iterator[Pinned]:
    match pin:
        case NpmPin() if pin.tree:
            for branch in pin.branches(str(platform)):
                yield _archive(component, branch.archive)
        case NpmPin():
            if archive := pin.archive(str(platform)):
                yield _archive(component, archive)
        case PypiPin():
            for wheel in pin.wheels_for(str(platform)):
                checksums = (("sha256", hex_of(wheel.sha256)),)
                yield Pinned(component, "pypi", wheel.package, wheel.version, PYPI_FILES + wheel.path, checksums)
        case ImageFilesPin():
            name = pin.image.rpartition("/")[2]
            location = f"{pin.image}@{pin.index}"
            yield Pinned(component, "oci", name, pin.version, location, (("sha256", hex_of(pin.index)),))


def _archive(component: str, archive: ArchivePin) -> Pinned:
    """Return an archive of npm; its version is in its file name, after the last part of the package's."""
    file = archive.path.rpartition("/")[2].removesuffix(".tgz")
    version = file.removeprefix(archive.package.rpartition("/")[2] + "-")
    checksums = (("sha256", hex_of(archive.sha256)), *_integrity(archive.integrity))
    return Pinned(component, "npm", archive.package, version, NPM_REGISTRY + archive.path, checksums)


def _integrity(text: str) -> Iterator[tuple[str, str]]:
    """Yield the SHA-512 of npm's integrity, which it writes in base64."""
    for word in text.split():
        algorithm, _, value = word.partition("-")
        if algorithm == "sha512":
            try:
                yield algorithm, base64.b64decode(value, validate=True).hex()
            except binascii.Error:
                return
