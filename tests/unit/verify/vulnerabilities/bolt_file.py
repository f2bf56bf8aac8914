"""bbolt databases made by hand: nothing but empty buckets, on one page or, with a branch above them, on several."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

PAGE = os.sysconf("SC_PAGESIZE")


def fnv(data: bytes) -> int:
    """Return bbolt's checksum."""
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


def meta(number: int, root: int, pages: int, transaction: int, size: int = PAGE) -> bytes:
    """Return a meta page."""
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, size, 0, root, 0, 2, pages, transaction)
    return struct.pack("<QHHI", number, 4, 0, 0) + body + struct.pack("<Q", fnv(body))


def leaf(number: int, names: Sequence[str], more: int = 0) -> bytes:
    """Return a page of empty buckets, as bbolt keeps such: within the page itself; and a key that is no bucket."""
    inside = struct.pack("<QQ", 0, 0) + struct.pack("<QHHI", 0, 2, 0, 0)
    items = [(1, name.encode(), inside) for name in sorted(names)] + [(0, b"~", b"value")]
    heads, data = b"", b""
    for place, (flags, key, value) in enumerate(items):
        heads += struct.pack("<IIII", flags, (len(items) - place) * 16 + len(data), len(key), len(value))
        data += key + value
    return struct.pack("<QHHI", number, 2, len(items), more) + heads + data


def branch(number: int, below: Sequence[int]) -> bytes:
    """Return a page that leads to others."""
    heads = b"".join(struct.pack("<IIQ", (len(below) - place) * 16, 0, page) for place, page in enumerate(below))
    return struct.pack("<QHHI", number, 1, len(below), 0) + heads


def write_bolt(file: Path, *leaves: Sequence[str]) -> Path:
    """Write a database with the buckets named, on as many leaves as there are arguments."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pages = [b"", b"", struct.pack("<QHHI", 2, 16, 0, 0)]
    root = 3
    for names in leaves:
        pages.append(leaf(len(pages), names))
    if len(leaves) > 1:
        root = len(pages)
        pages.append(branch(root, range(3, root)))
    pages[0], pages[1] = meta(0, root, len(pages), 8), meta(1, 99, len(pages), 7)
    file.write_bytes(b"".join(page.ljust(PAGE, b"\0") for page in pages))
    return file
