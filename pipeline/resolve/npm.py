"""Choose npm versions and find their archives, by the registry's own documents.

Formats: the abbreviated package document, `application/vnd.npm.install-v1+json`; integrity is Subresource Integrity.
Dist-tags and ranges mean what they mean to npm (node-semver).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

import nodesemver

from pipeline.errors import Location, ResolveError
from pipeline.models.choices import suggest
from pipeline.models.packages import NpmArchive
from pipeline.resolve.pins import ANY_PLATFORM

FetchJson: TypeAlias = Callable[[str], Awaitable[Any]]
"""Return the JSON below the npm registry at a path; None where there is no such document."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An archive that was chosen but not yet looked into."""

    package: str
    path: str
    integrity: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """A version and its archives per platform."""

    npm: str
    version: str
    archives: Mapping[str, Candidate]


async def choose(wanted: NpmArchive, fetch: FetchJson, location: Location) -> Chosen:
    """Return the newest version that fits `wanted` and exists for each of its platforms.

    Raises ResolveError naming the package, and what there is instead.
    """
    document = await document_of(wanted.npm, fetch, location)
    sources = dict(wanted.platforms) if wanted.platforms else {ANY_PLATFORM: wanted.npm}
    documents = {package: await document_of(package, fetch, location) for package in set(sources.values())}
    versions = fitting(document, wanted, location)
    for version in versions:
        if all(version in documents[package]["versions"] for package in sources.values()):
            archives = {
                platform: _candidate(package, documents[package]["versions"][version], location)
                for platform, package in sorted(sources.items())
            }
            return Chosen(wanted.npm, version, archives)
    lacking = sorted(package for package in sources.values() if versions[0] not in documents[package]["versions"])
    raise ResolveError(
        f"{wanted.npm} {versions[0]} is not published for every platform: missing in {', '.join(lacking)}",
        location=location,
        remedy="wait for the release to be complete, or give an older version",
    )


async def document_of(package: str, fetch: FetchJson, location: Location) -> dict[str, Any]:
    """Return the registry's document of a package; raises ResolveError where it knows no version of it."""
    document = await fetch(quote(package, safe="@"))
    if document is None:
        raise ResolveError(f"there is no npm package named {package!r}", location=location, remedy="check its spelling")
    if not isinstance(document, dict) or not isinstance(document.get("versions"), dict) or not document["versions"]:
        raise ResolveError(f"the registry knows no version of {package!r}", location=location)
    return document


def fitting(document: Mapping[str, Any], wanted: NpmArchive, location: Location) -> list[str]:
    """Return the versions that `wanted` allows, newest first; raises ResolveError where there is none."""
    versions = list(document["versions"])
    if wanted.version == "latest":
        latest = document.get("dist-tags", {}).get("latest")
        if latest not in versions:
            raise ResolveError(f"{wanted.npm} has no `latest` version", location=location, remedy="give a version")
        return [str(latest)]
    ordered: list[str] = nodesemver.rsort(
        [version for version in versions if satisfies(version, wanted.version)], loose=False
    )
    if not ordered:
        raise ResolveError(
            f"{wanted.npm} has no version that fits {wanted.version!r}",
            location=location,
            remedy=suggest(wanted.version, versions[-8:]),
        )
    return ordered


def satisfies(version: str, wanted: str) -> bool:
    """Tell whether a version lies in a range."""
    # Old packages have versions that npm itself no longer takes.
    fits: bool = nodesemver.valid(version, False) is not None and nodesemver.satisfies(version, wanted, loose=False)  # noqa: FBT003
    return fits


def _candidate(package: str, version: Mapping[str, Any], location: Location) -> Candidate:
    dist = version.get("dist", {})
    integrity, tarball = str(dist.get("integrity")), str(dist.get("tarball"))
    if not integrity.startswith("sha512-") or "/-/" not in tarball:
        raise ResolveError(f"{package} is published without a SHA-512 integrity", location=location)
    name = tarball.rpartition("/-/")[2]
    return Candidate(package, f"{package}/-/{name}", integrity)
