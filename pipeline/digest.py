"""The one hash of this project: SHA-256, written as `sha256:<hex>`, over bytes or canonical JSON.

Canonical JSON is UTF-8, keys sorted by code point, no white space, no NaN: equal values give equal bytes on any
machine and any Python. Numbers are limited to integers, whose JSON form has one spelling.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NewType, TypeAlias

Digest = NewType("Digest", str)

Canonical: TypeAlias = "None | bool | int | str | Sequence[Canonical] | Mapping[str, Canonical]"


def canonical_json(value: Canonical) -> bytes:
    """Return the one encoding of `value`; raises TypeError on a float or any foreign type."""
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_bytes(data: bytes) -> Digest:
    """Return the digest of `data`."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def digest_json(value: Canonical) -> Digest:
    """Return the digest of the canonical encoding of `value`."""
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> Digest:
    """Return the digest of a file's content, read in pieces."""
    with path.open("rb") as file:
        return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())


def hex_of(digest: str) -> str:
    """Return the part after `sha256:`."""
    return digest.partition(":")[2]


def _refuse_floats(value: Canonical) -> None:
    if isinstance(value, float):
        raise TypeError("a float has no canonical form here; write an integer or a string")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_floats(item)
