"""A cache that several daemons share: what `cache-to` and `cache-from` say, as buildctl is told it.

Rules kept here:

- an export replaces what was under its name, so every image has a name of its own for each platform;
- nothing that could change a digest may be said: blobs are compressed as images are, and nothing is put into configs;
- no credentials, which would stand in the list of processes: they are the daemon's, or in Docker's config.json.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.engine.api import Compression
from pipeline.engine.buildkit.compression import compression_attributes
from pipeline.errors import UsageError
from pipeline.platform import Platform

_REQUIRED = MappingProxyType({"registry": ("ref",), "s3": ("bucket", "region")})
_OURS = frozenset({"name", "compression", "compression-level", "force-compression"})
_CREDENTIALS = frozenset({"access_key_id", "secret_access_key", "session_token"})
_TAGGED = re.compile(r"[@:][^/]*$")
_EXPORT_ONLY = frozenset({"mode", "ignore-error"})


@dataclass(frozen=True, slots=True)
class SharedCache:
    """One place that caches are written to or read from, as its attributes."""

    attributes: Mapping[str, str]

    def imported(self, name: str, platform: Platform) -> str:
        """Return the value of `--import-cache` for what was shared under `name`."""
        return csv_record(
            *(f"{key}={value}" for key, value in self._under(name, platform).items() if key not in _EXPORT_ONLY)
        )

    def exported(self, name: str, platform: Platform) -> str:
        """Return the value of `--export-cache` that shares under `name`; a cache out of order fails no build."""
        told = {"mode": "max", "ignore-error": "true", **self._under(name, platform)}
        return csv_record(*(f"{key}={value}" for key, value in told.items()), *compression_attributes(Compression.ZSTD))

    def _under(self, name: str, platform: Platform) -> dict[str, str]:
        label = f"{name}-{platform}".replace("/", "-")
        if self.attributes["type"] == "registry":
            return {**self.attributes, "ref": f"{self.attributes['ref']}:{label}"}
        return {**self.attributes, "name": label}


def parse_caches(setting: str, entries: Iterable[str]) -> tuple[SharedCache, ...]:
    """Return the places that `entries` of `setting` name; raises UsageError, which shows no value."""
    return tuple(_parse(setting, entry) for entry in entries)


def _parse(setting: str, entry: str) -> SharedCache:
    remedy = f'write {setting} = ["type=registry,ref=HOST/REPOSITORY"], or type=s3 with region and bucket'
    (record,) = csv.reader([entry])
    pairs = [field.partition("=") for field in record]
    if any(not (key and value) for key, _, value in pairs):
        raise UsageError(f"{setting}: an entry is written KEY=VALUE, with commas between", remedy=remedy)
    found = {key.strip(): value.strip() for key, _, value in pairs}
    kind = found.get("type", "")
    if kind == "inline":
        raise UsageError(f"{setting}: an inline cache would change the images' digests", remedy=remedy)
    if kind not in _REQUIRED:
        raise UsageError(f"{setting}: type {kind!r} is none of {', '.join(_REQUIRED)}", remedy=remedy)
    if missing := [key for key in _REQUIRED[kind] if key not in found]:
        raise UsageError(f"{setting}: type={kind} needs {' and '.join(missing)}", remedy=remedy)
    if taken := sorted(_OURS & found.keys()):
        raise UsageError(f"{setting}: {taken[0]} is not for you to say, or digests would differ", remedy=remedy)
    if secret := sorted(_CREDENTIALS & found.keys()):
        raise UsageError(
            f"{setting}: {secret[0]} would be seen by everybody on this machine",
            remedy="give the BuildKit daemon a role, or AWS_* variables in its environment",
        )
    if kind == "registry" and _TAGGED.search(found["ref"]):
        raise UsageError(f"{setting}: ref has a tag, and each image gets one of its own", remedy=remedy)
    return SharedCache(MappingProxyType(found))


def csv_record(*fields: str) -> str:
    """Return one CSV record as Go's encoding/csv reads it: a field with a comma or quote is quoted, quotes doubled."""
    return ",".join(
        '"' + field.replace('"', '""') + '"' if any(mark in field for mark in ',"\n') else field for field in fields
    )
