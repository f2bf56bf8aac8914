"""What npm's registry says of the releases of a package.

Format: the full package document (github.com/npm/registry, docs/responses/package-metadata.md): `time` per version,
and in each version `maintainers`, `_npmUser`, `scripts`, `deprecated` and `dist.attestations`. A mirror may leave any
of it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import nodesemver

from pipeline.errors import Location
from pipeline.models.packages import NpmArchive
from pipeline.resolve.cooldown import Caution, Decision, decide
from pipeline.resolve.npm import FetchJson, document_of, fitting
from pipeline.resolve.release import Part, Release

_INSTALLERS = ("preinstall", "install", "postinstall")


@dataclass(frozen=True, slots=True)
class NpmLocked:
    """The version of a package that is locked, and whether for the definition as it is now."""

    version: str
    current: bool


async def decide_npm(
    wanted: NpmArchive,
    locked: NpmLocked | None,
    caution: Caution,
    fetch: FetchJson,
    fetch_history: FetchJson,
    location: Location,
) -> Decision:
    """Decide which release of `wanted` to lock.

    `fetch` returns abbreviated documents, `fetch_history` full ones, which are asked for only where there is something
    to decide. Raises ResolveError where nothing fits or there is no such package.
    """
    short = await document_of(wanted.npm, fetch, location)
    newest = fitting(short, wanted, location)[0]
    if locked and locked.current and locked.version == newest:
        here = Release(wanted.npm, newest)
        note = _note(wanted, locked, newest, short["versions"], fits=True)
        return Decision(wanted.npm, here, fits=True, chosen=here, note=note)
    names = {wanted.npm, *(wanted.platforms or {}).values()}
    documents = {name: await document_of(name, fetch_history, location) for name in sorted(names)}
    # Not a version of the main package alone: the files come from those of its platforms.
    versions = documents[wanted.npm]["versions"]
    old = release_of(wanted, locked.version, documents) if locked else None
    fits = locked is not None and _fits(locked, newest, wanted, versions)
    candidates = _candidates(documents[wanted.npm], wanted, newest, location)
    if locked and fits:
        candidates = [version for version in candidates if nodesemver.gt(version, locked.version, loose=False)]
    return decide(
        wanted.npm,
        (release_of(wanted, version, documents) for version in candidates),
        caution,
        locked=old,
        fits=fits,
        by_hand=bool(nodesemver.valid(wanted.version, False)),  # noqa: FBT003  # its name differs between releases
        note=_note(wanted, locked, newest, versions, fits=fits),
    )


def release_of(wanted: NpmArchive, version: str, documents: Mapping[str, Mapping[str, Any]]) -> Release:
    """Return what the full documents say of a version and of the packages its files come from."""
    names = list(dict.fromkeys([wanted.npm, *(wanted.platforms or {}).values()]))
    found = [name for name in names if version in documents[name]["versions"]]
    missing = tuple(name for name in names if name not in found)
    return Release(wanted.npm, version, tuple(_part(name, version, documents[name]) for name in found), missing)


def _part(package: str, version: str, document: Mapping[str, Any]) -> Part:
    entry = document["versions"][version]
    scripts = entry.get("scripts")
    found = {name: str(scripts[name]) for name in _INSTALLERS if name in scripts} if isinstance(scripts, dict) else {}
    if not found and entry.get("hasInstallScript"):
        found = {"install": "(the registry does not say which)"}
    return Part(
        package,
        published=_time(document.get("time"), version),
        publishers=_publishers(entry),
        scripts=MappingProxyType(found),
        attested=bool(entry.get("dist", {}).get("attestations")),
        deprecated=_deprecated(entry),
    )


def _deprecated(entry: Mapping[str, Any]) -> str:
    told = entry.get("deprecated")
    return told if isinstance(told, str) else "the registry does not say why" if told else ""


def _time(times: Any, version: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(times[version])
    except (TypeError, KeyError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _publishers(entry: Mapping[str, Any]) -> frozenset[str] | None:
    people: Iterable[Any] = [*(entry.get("maintainers") or ()), *([entry["_npmUser"]] if "_npmUser" in entry else [])]
    names = {str(one.get("name", "")) if isinstance(one, dict) else str(one).partition(" <")[0] for one in people}
    return frozenset(names - {""}) or None


def _candidates(document: Mapping[str, Any], wanted: NpmArchive, newest: str, location: Location) -> list[str]:
    """Return the versions that fit, newest first; for `latest` also the stable ones before it, which might do."""
    versions = fitting(document, wanted, location)
    if wanted.version != "latest":
        return versions
    older = [version for version in document["versions"] if _is_stable_before(version, newest)]
    return [*versions, *nodesemver.rsort(older, loose=False)]


def _is_stable_before(version: str, newest: str) -> bool:
    if nodesemver.valid(version, False) is None or "-" in version.partition("+")[0]:  # noqa: FBT003
        return False
    return bool(nodesemver.lt(version, newest, loose=False))


def _fits(locked: NpmLocked, newest: str, wanted: NpmArchive, versions: Mapping[str, Any]) -> bool:
    """Tell whether what is locked may stay."""
    if locked.current:
        return True
    if locked.version not in versions:
        return False
    if wanted.version == "latest":
        return not nodesemver.gt(locked.version, newest, loose=False)
    return bool(nodesemver.satisfies(locked.version, wanted.version, loose=False))


def _note(wanted: NpmArchive, locked: NpmLocked | None, newest: str, versions: Mapping[str, Any], *, fits: bool) -> str:
    if locked is None:
        return ""
    if locked.version not in versions:
        return f"the registry no longer has {wanted.npm} {locked.version}"
    if fits and wanted.version == "latest" and nodesemver.gt(locked.version, newest, loose=False):
        return f"`latest` went back to {newest}; to follow it, write that version in the definition"
    if told := _deprecated(versions[locked.version]):
        return f"{wanted.npm} {locked.version}, which was locked, is deprecated: {told}"
    return ""
