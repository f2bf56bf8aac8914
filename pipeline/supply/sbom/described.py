"""Files in which packages describe themselves, known by their names.

dpkg's status (deb822, `dpkg-status(5)`), Debian's copyright files (policy 12.5, DEP-5), npm's package.json, Python's
`METADATA` and `PKG-INFO` (core metadata), `/etc/os-release` (`os-release(5)`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from email.policy import compat32
from typing import IO, Any

from pipeline.supply.sbom.facts import FileFact, Found
from pipeline.supply.sbom.licences import debian_licences

STATUS = "var/lib/dpkg/status"
OS_RELEASE = "usr/lib/os-release"

_LARGEST = 16 << 20
_COPYRIGHT = re.compile(r"usr/share/doc/[^/]+/copyright")
_PYTHON = re.compile(r"(?:.*/)?[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)")
_LONGEST_LICENCE = 80


def describes(path: str) -> bool:
    """Tell whether a file of this name describes packages."""
    return (
        path in {STATUS, OS_RELEASE}
        or path.rpartition("/")[2] == "package.json"
        or bool(_PYTHON.fullmatch(path) or _COPYRIGHT.fullmatch(path))
    )


def read_description(path: str, file: IO[bytes]) -> FileFact:
    """Return what such a file says: nothing where it is larger than any description, or none after all."""
    data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        return FileFact(path=path)
    if path == STATUS:
        return FileFact(path=path, packages=tuple(_debian(data.decode(errors="replace"))))
    if path == OS_RELEASE:
        return FileFact(path=path, packages=tuple(_release(data.decode(errors="replace"))))
    if _COPYRIGHT.fullmatch(path):
        return FileFact(path=path, licence=debian_licences(data.decode(errors="replace")))
    if path.endswith("package.json"):
        return FileFact(path=path, packages=tuple(_npm(data)))
    return FileFact(path=path, packages=tuple(_python(data)))


def _debian(text: str) -> Iterator[Found]:
    for stanza in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] not in " \t")
        if not {"Package", "Version"} <= fields.keys() or not fields.get("Status", "").endswith(" installed"):
            continue
        name, _, version = fields.get("Source", "").partition(" ")
        yield Found(
            kind="deb",
            name=fields["Package"],
            version=fields["Version"],
            architecture=fields.get("Architecture", ""),
            source="=".join(part for part in (name, version.strip("()")) if part),
        )


def _release(text: str) -> Iterator[Found]:
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    name, version = (fields.get(field, "").strip("\"'") for field in ("ID", "VERSION_ID"))
    yield Found(kind="os", name=name, version=version)


def _npm(data: bytes) -> Iterator[Found]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(document, Mapping):
        return
    name, version = document.get("name"), document.get("version")
    if isinstance(name, str) and isinstance(version, str) and name and version:
        yield Found(kind="npm", name=name, version=version, licence=_npm_licence(document))


def _npm_licence(document: Mapping[str, Any]) -> str:
    """Return the licence of package.json: a string; in old packages an object, or a list of such under `licenses`."""
    single, several = document.get("license"), document.get("licenses")
    entries = several if single is None and isinstance(several, list) else [single]
    words = [entry.get("type") if isinstance(entry, Mapping) else entry for entry in entries]
    return " OR ".join(word.strip() for word in words if isinstance(word, str) and word.strip())


def _python(data: bytes) -> Iterator[Found]:
    headers = message_from_bytes(data, policy=compat32)
    name, version = str(headers.get("Name", "")).strip(), str(headers.get("Version", "")).strip()
    if name and version:
        licence = str(headers.get("License-Expression") or headers.get("License") or "").strip()
        short = "\n" not in licence and len(licence) <= _LONGEST_LICENCE and licence != "UNKNOWN"
        yield Found(kind="pypi", name=name, version=version, licence=licence if short else "")
