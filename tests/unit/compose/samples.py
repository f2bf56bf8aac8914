"""A small project with fixed pins, for all tests that need a plan or a graph."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pipeline.compose.image import Composition, compose
from pipeline.digest import Digest, digest_bytes
from pipeline.models.defined import Definitions
from pipeline.models.load import load_definitions
from pipeline.models.packages import ImageFiles, NpmArchive, Package, PypiPackage
from pipeline.platform import AMD64, ARM64, Platform
from pipeline.resolve.lock import Locks, packages_inputs, root_inputs, system_inputs, system_packages, tool_packages
from pipeline.resolve.pins import (
    ArchivePin,
    BootstrapPin,
    DebPin,
    ImageFilesPin,
    ImagePin,
    NpmPin,
    PackagePin,
    PackagesLock,
    PypiPin,
    RootLock,
    SystemLock,
    SystemPin,
    WheelPin,
)
from pipeline.resolve.plan import ImagePlan, plan_images

PROJECT = Path(__file__).parent / "project"
VERSIONS = {
    "node": "26.10.0",
    "npm": "12.2.0",
    "bun": "1.4.5",
    "uv": "0.13.9",
    "headroom-ai": "0.42.0",
    "claw": "1.2.3",
    "picky": "1.0.0",
    "@anthropic-ai/claude-code": "2.1.330",
}
DEBIAN_VERSIONS = {"python3": "3.13.5-1"}
PLATFORMS = (AMD64, ARM64)


def definitions(folder: Path = PROJECT) -> Definitions:
    """Return the definitions of a project."""
    return load_definitions([folder / "definitions"], folder)


def archive(package: str, version: str) -> ArchivePin:
    """Return the pin of an archive whose bytes are its name."""
    path = f"{package}/-/{package.rpartition('/')[2]}-{version}.tgz"
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(path.encode()).digest()).decode()
    return ArchivePin(package=package, path=path, integrity=integrity, sha256=digest_bytes(path.encode()), size=1000)


def npm_pin(package: NpmArchive) -> NpmPin:
    """Return the pin of a package at its version of this table."""
    version = VERSIONS[package.npm]
    sources = package.platforms or {"any": package.npm}
    archives = {platform: archive(source, version) for platform, source in sources.items()}
    return NpmPin(npm=package.npm, version=version, archives=archives)


def of_npm(pin: PackagePin) -> NpmPin:
    """Return a pin that is known to be one of npm."""
    assert isinstance(pin, NpmPin)
    return pin


def pypi_pin(package: PypiPackage) -> PypiPin:
    """Return the pin of a package of PyPI at its version of this table: its own wheel per platform, and one for all."""
    own = tuple(wheel_pin(package.pypi, VERSIONS[package.pypi], f"{platform}") for platform in PLATFORMS)
    wheels = (*own, wheel_pin("typing-extensions", "4.16.0"))
    return PypiPin(pypi=package.pypi, version=VERSIONS[package.pypi], python=package.python, wheels=wheels)


def wheel_pin(package: str, version: str, platform: str = "") -> WheelPin:
    """Return the pin of a wheel whose bytes are its name."""
    tag = platform.replace("/", "_") or "any"
    path = f"packages/{package.replace('-', '_')}-{version}-py3-none-{tag}.whl"
    platforms = (platform,) if platform else ()
    return WheelPin(
        package=package, version=version, path=path, sha256=digest_bytes(path.encode()), platforms=platforms
    )


def pin_of(package: Package) -> PackagePin:
    """Return the pin of a package from wherever it comes."""
    match package:
        case NpmArchive():
            return npm_pin(package)
        case PypiPackage():
            return pypi_pin(package)
        case ImageFiles():
            return ImageFilesPin(image=package.name, version="10.0.103", index=digest_bytes(package.image.encode()))


def packages_lock(component: str, packages: Iterable[Package]) -> PackagesLock:
    """Return the lock of a toolchain or an agent."""
    wanted = tuple(packages)
    return PackagesLock(
        component=component, inputs=packages_inputs(wanted), packages=tuple(pin_of(package) for package in wanted)
    )


def deb_pin(name: str, version: str = "1.0-1", archive: Literal["main", "security"] = "main") -> DebPin:
    """Return the pin of a Debian package whose bytes are its name and version."""
    path = f"pool/main/{name[0]}/{name}/{name}_{version}_amd64.deb"
    digest = digest_bytes(path.encode())
    return DebPin(
        name=name, version=version, architecture="amd64", archive=archive, path=path, sha256=digest, size=1000
    )


def root_digest(source: str, platform: Platform) -> Digest:
    """Return the digest of the root."""
    return digest_bytes(f"{source} {platform}".encode())


def root_lock(found: Definitions, sources: Iterable[str] = ("bootstrap",)) -> RootLock:
    """Return the lock of the root, from the sources given."""
    spec = found.roots["tiny"].model.spec
    image = ImagePin(
        ref=spec.image,
        index=digest_bytes(b"index"),
        platforms={str(platform): root_digest("image", platform) for platform in PLATFORMS},
    )
    bootstrap = {
        str(platform): BootstrapPin(digest=root_digest("bootstrap", platform), packages={"apt": "3.0.4", "dash": "1"})
        for platform in PLATFORMS
    }
    return RootLock(
        component="roots/tiny",
        inputs=root_inputs(spec),
        image=image if "image" in sources else None,
        bootstrap=bootstrap if "bootstrap" in sources else {},
    )


def system_lock(found: Definitions, base: str, sources: Iterable[Literal["image", "bootstrap"]]) -> SystemLock:
    """Return the lock of a base: what it asks for, one package of it from the security archive."""
    spec = found.bases[base].model.spec
    debs = tuple(
        deb_pin(name, DEBIAN_VERSIONS.get(name, "1.0-1"), "security" if name == "git" else "main")
        for name in system_packages(found, spec)
    )
    tools = tool_packages(found.common_tools[name].model.spec for name in spec.common_tools)
    system = tuple(
        SystemPin(source=source, platform=str(platform), root=root_digest(source, platform), packages=debs, tools=tools)
        for source in sources
        for platform in PLATFORMS
    )
    return SystemLock(component=f"bases/{base}", inputs=system_inputs(found, spec), system=system)


def locks(found: Definitions, sources: tuple[Literal["image", "bootstrap"], ...] = ("bootstrap",)) -> Locks:
    """Return locks that answer every definition."""
    return Locks(
        roots={"tiny": root_lock(found, sources)},
        toolchains={
            name: packages_lock(f"toolchains/{name}", item.model.spec.packages)
            for name, item in found.toolchains.items()
        },
        bases={name: system_lock(found, name, sources) for name in found.bases},
        agents={name: packages_lock(f"agents/{name}", item.model.spec.packages) for name, item in found.agents.items()},
        toolpacks={
            name: packages_lock(f"toolpacks/{name}", item.model.spec.packages) for name, item in found.toolpacks.items()
        },
    )


def plan(
    name: str = "node-bun-claude",
    platform: Platform = AMD64,
    found: Definitions | None = None,
    pins: Locks | None = None,
    root_source: str = "auto",
) -> ImagePlan:
    """Return the plan of one image on one platform."""
    known = found or definitions()
    return plan_images([name], [platform], known, pins or locks(known), root_source)[0]


def composed(name: str = "node-bun-claude", platform: Platform = AMD64) -> Composition:
    """Return one image of the project, put together."""
    return compose(plan(name, platform))
