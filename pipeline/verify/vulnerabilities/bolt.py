"""The names of the topmost buckets of a bbolt database (go.etcd.io/bbolt), which is what Trivy's is kept in.

Only what is needed to see that a file is such a database, whole, and what it is about: the two meta pages, and the
pages of the root bucket. The format is that of bbolt's `internal/common`: `meta.go`, `page.go`, `bucket.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import SEEK_END
from pathlib import Path
from struct import Struct
from typing import BinaryIO, NamedTuple

from pipeline.errors import DatabaseError

_MAGIC = 0xED0CDAED
_VERSION = 2
_PAGE = Struct("<QHHI")  # its number, what it is, how many elements, how many pages more it takes
_META = Struct("<IIIIQQQQQQ")
_LEAF = Struct("<IIII")  # flags; then where the key is, counted from here, and the lengths of key and value
_BRANCH = Struct("<IIQ")  # where the key is, its length, the page below
_IS_BRANCH, _IS_LEAF = 0x01, 0x02
_IS_BUCKET = 0x01
_SIZES = tuple(1024 << power for power in range(15))


class _Meta(NamedTuple):
    magic: int
    version: int
    page_size: int
    flags: int
    root: int
    sequence: int
    freelist: int
    pages: int
    transaction: int
    checksum: int


class _Damage(Exception):  # noqa: N818 (it becomes a DatabaseError before anybody sees it)
    pass


def bucket_names(file: Path) -> frozenset[str]:
    """Return the names of the topmost buckets of the database in `file`.

    Raises DatabaseError where it is none, where it is cut off, or where the pages that hold the names are damaged.
    """
    try:
        with file.open("rb") as stream:
            return frozenset(_names(stream, _meta(stream)))
    except _Damage as error:
        raise DatabaseError(f"{file} is no sound database: {error}", remedy="get it again") from error
    except OSError as error:
        raise DatabaseError(f"{file} cannot be read: {error.strerror}", remedy="get it again") from error


def _meta(stream: BinaryIO) -> _Meta:
    """Return the meta page that was written last, of those that are sound."""
    sound = [meta for at in (0, *_SIZES) if (meta := _meta_at(stream, at)) and at in {0, meta.page_size}]
    if not sound:
        raise _Damage("it has no page that says what it is")
    meta = max(sound, key=lambda meta: meta.transaction)
    if stream.seek(0, SEEK_END) < meta.pages * meta.page_size:
        raise _Damage("it is cut off")
    return meta


def _meta_at(stream: BinaryIO, offset: int) -> _Meta | None:
    stream.seek(offset + _PAGE.size)
    data = stream.read(_META.size)
    if len(data) < _META.size:
        return None
    meta = _Meta(*_META.unpack(data))
    good = meta.magic == _MAGIC and meta.version == _VERSION and meta.page_size in _SIZES
    return meta if good and meta.checksum == _fnv(data[:-8]) else None


def _fnv(data: bytes) -> int:
    """Return the FNV-1a hash, 64 bits."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def _names(stream: BinaryIO, meta: _Meta) -> Iterator[str]:
    """Yield the names, from the leaves of the root bucket's tree; no page is looked at twice."""
    pending, seen = [meta.root], set[int]()
    while pending:
        number = pending.pop()
        if number in seen or not 1 < number < meta.pages:
            raise _Damage(f"its page {number} is not where it should be")
        seen.add(number)
        kind, elements = _elements(stream, meta, number)
        for element in elements:
            if kind == _IS_BRANCH:
                pending.append(_BRANCH.unpack_from(element)[2])
            elif _LEAF.unpack_from(element)[0] & _IS_BUCKET:
                yield _key(element)


def _elements(stream: BinaryIO, meta: _Meta, number: int) -> tuple[int, list[memoryview]]:
    """Return what a page is, and the rest of it from each of its elements on."""
    stream.seek(number * meta.page_size)
    head = stream.read(_PAGE.size)
    own, flags, count, more = _PAGE.unpack(head) if len(head) == _PAGE.size else (0, 0, 0, 0)
    if own != number or flags not in {_IS_BRANCH, _IS_LEAF} or number + more >= meta.pages:
        raise _Damage(f"its page {number} is another")
    rest = memoryview(stream.read((more + 1) * meta.page_size - _PAGE.size))
    size = _LEAF.size  # the same as a branch's
    if count * size > len(rest):
        raise _Damage(f"its page {number} is too short")
    return flags, [rest[at * size :] for at in range(count)]


def _key(element: memoryview) -> str:
    _, start, length, _ = _LEAF.unpack_from(element)
    key = bytes(element[start : start + length])
    if len(key) != length or not key:
        raise _Damage("a name in it is cut off")
    return key.decode(errors="replace")
