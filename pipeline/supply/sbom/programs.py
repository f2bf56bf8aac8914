"""What a program says it was linked from: Go's build info and the list that `cargo auditable` leaves behind.

Formats: ELF (gABI chapter 4, section headers); Go's `debug/buildinfo` (inline strings, Go 1.18 and later);
`cargo-auditable` PARSING.md: the section `.dep-v0`, zlib over JSON.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import IO

from pipeline.supply.sbom.facts import Found

ELF = b"\x7fELF"

_GO_MAGIC = b"\xff Go buildinf:"
_GO_INLINE = 2
_GO_HEADER = 32
_GO_MARKS = 16
_LIMIT = 16 << 20
_WIDE, _LITTLE = 2, 1
_HEADER = struct.Struct("<40xQ10xHHH")
_SECTION = struct.Struct("<II16xQQ")


def modules(file: IO[bytes]) -> tuple[Found, ...]:
    """Return the modules and crates that a 64-bit ELF program is made of, as far as it says so."""
    try:
        return tuple(dict.fromkeys((*_go(_section(file, ".go.buildinfo")), *_cargo(_section(file, ".dep-v0")))))
    except (struct.error, zlib.error, ArithmeticError, ValueError, OSError, LookupError, TypeError, AttributeError):
        return ()  # a program that is cut off or made to look like one says nothing


def _section(file: IO[bytes], wanted: str) -> bytes:
    """Return the content of a section, nothing where there is none or it is larger than any that is meant."""
    file.seek(0)
    head = file.read(64)
    if head[4] != _WIDE or head[5] != _LITTLE:
        return b""
    start, size, count, names = _HEADER.unpack_from(head)
    file.seek(start)
    table = file.read(size * count)
    entries = [_SECTION.unpack_from(table, at * size) for at in range(count)]
    if names >= count:
        return b""
    _, _, offset, length = entries[names]
    file.seek(offset)
    strings = file.read(min(length, _LIMIT))
    for name, _, offset, length in entries:
        if strings[name : strings.index(b"\0", name)] == wanted.encode() and length <= _LIMIT:
            file.seek(offset)
            return file.read(length)
    return b""


def _go(section: bytes) -> Iterator[Found]:
    if not section.startswith(_GO_MAGIC) or not section[len(_GO_MAGIC) + 1] & _GO_INLINE:
        return
    version, at = _text(section, _GO_HEADER)
    described, _ = _text(section, at)
    yield Found(kind="golang", name="stdlib", version=version.decode().partition(" ")[0].removeprefix("go"))
    lines = described[_GO_MARKS:-_GO_MARKS].decode(errors="replace").splitlines()
    held: Found | None = None
    for word, *rest in (line.split("\t") for line in lines):
        if word == "=>" and held:
            held = _module(rest)
        elif word in {"mod", "dep"}:
            if held:
                yield held
            held = _module(rest)
    if held:
        yield held


def _module(words: list[str]) -> Found:
    name, version, checksum = (*words, "", "")[:3]
    return Found(kind="golang", name=name, version=version, checksum=checksum)


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the string at `at` (a varint, then so many bytes) and where it ends."""
    length = shift = 0
    while True:
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 1 << 7:
            return data[at : at + length], at + length


def _cargo(section: bytes) -> Iterator[Found]:
    if not section:
        return
    text = zlib.decompressobj().decompress(section, _LIMIT)
    for package in json.loads(text)["packages"]:
        if package.get("kind", "runtime") == "runtime":
            yield Found(kind="cargo", name=str(package["name"]), version=str(package["version"]))
