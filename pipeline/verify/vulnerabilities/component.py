"""Packages as scanners look for them, read from an SBOM in CycloneDX or SPDX (both as JSON).

A package is known by its package URL. Debian's vulnerabilities are filed under *source* packages, so a `deb` tells its
own by the qualifier `upstream` (`pkg:deb/debian/libc6@2.41-12?distro=debian-13&upstream=glibc`), where that differs.
Trivy's SBOMs tell it beside the package URL, and the epoch of a version by a qualifier; that is read too, or nothing
would be found in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import Location, ScannerError

SBOM_LIMIT = 256 << 20
_SPDX_PURL = "purl"
_TRIVY = "aquasecurity:trivy:Src"
_TRIVY_SPDX = "built package from: "
_REMEDY = "give an SBOM in CycloneDX or SPDX JSON"


@dataclass(frozen=True, slots=True, order=True)
class Component:
    """One package of an image; `source` is what it was made from, `name` or `name@version`, where that is told."""

    purl: str
    name: str
    version: str
    source: str = ""


def read_components(path: Path) -> tuple[Component, ...]:
    """Return the packages that the SBOM in `path` lists, sorted, each once; raises ScannerError."""
    try:
        if path.stat().st_size > SBOM_LIMIT:
            raise ScannerError("is larger than 256 MiB", location=Location(str(path)), remedy=_REMEDY)
        return parse_components(path.read_bytes(), str(path))
    except OSError as error:
        raise ScannerError(f"cannot be read: {error.strerror}", location=Location(str(path))) from error


def parse_components(data: bytes, shown: str) -> tuple[Component, ...]:
    """Return the packages that an SBOM lists; an SBOM without any is an error, for nothing would be looked at."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ScannerError("is no JSON", location=Location(shown), remedy=_REMEDY) from error
    if not isinstance(document, dict):
        raise ScannerError("is no SBOM", location=Location(shown), remedy=_REMEDY)
    if document.get("bomFormat") == "CycloneDX":
        found = set(_of_cyclonedx(document.get("components"), shown))
    elif str(document.get("spdxVersion", "")).startswith("SPDX-2"):
        found = set(_of_spdx(document.get("packages"), shown))
    else:
        raise ScannerError("is neither CycloneDX nor SPDX 2", location=Location(shown), remedy=_REMEDY)
    if not found:
        raise ScannerError("lists no package by a package URL", location=Location(shown), remedy=_REMEDY)
    return tuple(sorted(found))


def _of_cyclonedx(items: Any, shown: str) -> Iterator[Component]:
    """Yield components and those within them, without following them into any depth by recursion."""
    pending = [items]
    while pending:
        for item in _entries(pending.pop(), shown):
            pending.append(item.get("components"))
            # A part without a package URL is a file or the system, which no database has entries for.
            if purl := item.get("purl"):
                yield _component(purl, item, "version", _source_in_properties(item.get("properties")), shown)


def _of_spdx(items: Any, shown: str) -> Iterator[Component]:
    for item in _entries(items, shown):
        for reference in _entries(item.get("externalRefs"), shown):
            if reference.get("referenceType") == _SPDX_PURL:
                purl = reference.get("referenceLocator")
                yield _component(purl, item, "versionInfo", _source_in_words(item.get("sourceInfo")), shown)


def _source_in_properties(items: Any) -> str:
    """Return the source package that Trivy's properties name in CycloneDX: epoch, version and release are apart."""
    entries = items if isinstance(items, list) else ()
    told = {
        item["name"].removeprefix(_TRIVY): item["value"]
        for item in entries
        if isinstance(item, dict)
        and isinstance(item.get("name"), str)
        and isinstance(item.get("value"), str)
        and item["name"].startswith(_TRIVY)
    }
    epoch, release = told.get("Epoch", "0"), told.get("Release", "")
    version = ("" if epoch == "0" else f"{epoch}:") + told.get("Version", "") + (f"-{release}" if release else "")
    return f"{told['Name']}@{version}" if told.get("Name") and told.get("Version") else told.get("Name", "")


def _source_in_words(text: Any) -> str:
    """Return the source package that Trivy names in SPDX, as name and version."""
    if not isinstance(text, str) or not text.startswith(_TRIVY_SPDX):
        return ""
    return "@".join(text.removeprefix(_TRIVY_SPDX).split()[:2])


def _entries(items: Any, shown: str) -> Sequence[Mapping[str, Any]]:
    if items is None:
        return ()
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ScannerError("is no SBOM: a list of packages is not one", location=Location(shown), remedy=_REMEDY)
    return items


def _component(purl: Any, item: Mapping[str, Any], version_key: str, told: str, shown: str) -> Component:
    """Return a package; `told` is its source package by what stands beside the package URL."""
    from packageurl import PackageURL  # 30 ms, and `agc plan` scans nothing

    try:
        parsed = PackageURL.from_string(purl)
    except (ValueError, TypeError, AttributeError) as error:
        raise ScannerError(f"has a malformed package URL: {purl!r:.100}", location=Location(shown)) from error
    name, version = item.get("name"), item.get(version_key)
    own = parsed.version or (version if isinstance(version, str) else "")
    if not own and parsed.type in {"cargo", "deb", "golang", "npm", "nuget", "pypi"}:
        text = f"does not say which version of {parsed.name} there is"
        raise ScannerError(text, location=Location(shown), remedy="make the SBOM anew")
    source = ""
    if parsed.type == "deb":
        qualifiers: Mapping[str, str] = parsed.qualifiers if isinstance(parsed.qualifiers, dict) else {}
        source = qualifiers.get("upstream") or told
        if ":" not in own and (epoch := qualifiers.get("epoch", "0")) != "0":
            own = f"{epoch}:{own}"
    return Component(purl, name if isinstance(name, str) and name else parsed.name, own, source)
