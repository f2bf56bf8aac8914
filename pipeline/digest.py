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

Canonical: TypeAlias = "bool | int | str | Sequence[Canonical] | Mapping[str, Canonical] | None"


def canonical_json(value: Canonical) -> bytes:
    """Return the one encoding of `value`; raises TypeError on a float, a key that is no string, or a foreign type."""
    _require_canonical(value)
    return _ENCODER.encode(value).encode()


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


def _require_canonical(value: object) -> None:
    """Raise TypeError where `value` holds anything but the types that json writes in one way only."""
    pending = [value]
    while pending:
        item = pending.pop()
        if item is None or isinstance(item, (str, int)):
            continue
        if isinstance(item, (list, tuple)):
            pending.extend(item)
        elif isinstance(item, Mapping):
            # json would turn the key 1 into "1", and two values into one.
            if foreign := [key for key in item if not isinstance(key, str)]:
                raise TypeError(f"a key must be a string, not {foreign[0]!r}")
            pending.extend(item.values())
        else:
            kind = type(item).__name__
            raise TypeError(f"{kind} has no canonical form; write integers, strings, sequences and mappings")


# What json asks about is a mapping that is no dict: the rest was looked at before.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=dict)
