"""Read a layer's blob once, as a stream, for what its files say of packages.

Rules kept here:

- the blob is checked against its digest on the way, and nothing of a damaged one is kept;
- no file is held in memory that is larger than a package's own description; programs are read from a temporary file;
- a file that is not what its name says is passed over: an image may carry broken ones, in tests for one.

Forms of layers: image-spec `layer.md` (whiteouts), with gzip, zstd or no compression, told by their first bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from pipeline.digest import Digest, hex_of
from pipeline.engine.layout import blob_path
from pipeline.errors import IntegrityError, OutputError
from pipeline.files import write_text
from pipeline.supply.sbom.described import describes, read_description
from pipeline.supply.sbom.facts import READER, FileFact, LayerFacts
from pipeline.supply.sbom.programs import ELF, modules

_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_PIECE = 1 << 20
_IN_MEMORY = 16 << 20
_DOCUMENTS = "usr/share/doc/"


def layer_facts(layout: Path, blob: Digest, cache: Path) -> LayerFacts:
    """Return what a layer of `layout` says of packages, from `cache` where it was read before.

    Raises IntegrityError where the blob is absent or damaged.
    """
    kept = cache / "sbom" / f"{hex_of(blob)}-{READER}.json"
    try:
        return LayerFacts.model_validate_json(kept.read_bytes())
    except (OSError, ValidationError):
        facts = read_layer(blob_path(layout, blob), blob)
    try:
        write_text(kept, facts.model_dump_json(exclude_defaults=True))
    except OutputError:
        return facts  # a cache that cannot be written keeps nothing
    return facts


def read_layer(path: Path, digest: Digest) -> LayerFacts:
    """Return the facts of the blob at `path`; raises IntegrityError where it is absent or is not `digest`."""
    try:
        with path.open("rb") as file:
            hashed = _Hashed(file)
            facts = _read(_unpacked(hashed))
            hashed.drain()
    except _damages() as error:
        raise IntegrityError(
            f"{path} cannot be read as a layer: {error}", remedy="delete it and build again"
        ) from error
    if hashed.digest != digest:
        raise IntegrityError(f"{path} does not have the digest of its name", remedy="delete it and build again")
    return facts


class _Hashed:
    """A file that hashes what is read of it; it cannot go back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> Digest:
        """The digest of what was read so far."""
        return Digest(f"sha256:{self._hash.hexdigest()}")

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes."""
        data = self._file.read(size)
        self._hash.update(data)
        return data

    def peek(self, size: int) -> bytes:
        """Return the first bytes, which are still to be read."""
        data = self._file.read(size)
        self._file.seek(0)
        return data

    def drain(self) -> None:
        """Read to the end: a tar may end before its blob does."""
        while self.read(_PIECE):
            pass


def _damages() -> tuple[type[Exception], ...]:
    """Return what is raised where a blob ends early or is no archive."""
    import zstandard

    return (OSError, EOFError, tarfile.TarError, zlib.error, zstandard.ZstdError)


def _unpacked(file: Any) -> Any:
    start = file.peek(4)
    if start == _ZSTD:
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(file, read_size=_PIECE, read_across_frames=True)
    return gzip.GzipFile(fileobj=file) if start.startswith(_GZIP) else file


def _read(stream: Any) -> LayerFacts:
    files: dict[str, FileFact] = {}
    removed, emptied = set(), set()
    with tarfile.open(fileobj=stream, mode="r|", bufsize=_PIECE) as tar:
        for member in tar:
            path = member.name.removeprefix("./").strip("/")
            folder, _, name = path.rpartition("/")
            if name == _OPAQUE:
                emptied.add(folder)
            elif name.startswith(_WHITEOUT):
                removed.add(f"{folder}/{name.removeprefix(_WHITEOUT)}".lstrip("/"))
            else:
                files.update({fact.path: fact for fact in _facts(tar, member, path, files)})
            tar.members = []  # type: ignore[attr-defined]  # it would keep every member it ever saw
    ordered = tuple(files[path] for path in sorted(files))
    return LayerFacts(files=ordered, removed=tuple(sorted(removed)), emptied=tuple(sorted(emptied)))


def _facts(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, seen: dict[str, FileFact]) -> Iterator[FileFact]:
    if member.issym() and path.startswith(_DOCUMENTS):
        yield FileFact(path=path, link=member.linkname)
    elif member.islnk():
        if known := seen.get(member.linkname.removeprefix("./").strip("/")):
            yield known.model_copy(update={"path": path})
    elif member.isreg() and (content := tar.extractfile(member)):
        if describes(path):
            yield read_description(path, content)
        elif member.size > len(ELF) and member.mode & 0o111:
            yield from _program(path, content, member.size)


def _program(path: str, content: IO[bytes], size: int) -> Iterator[FileFact]:
    start = content.read(len(ELF))
    if start != ELF:
        return
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as held:
        held.write(start)
        shutil.copyfileobj(content, held, _PIECE)
        held.seek(0)
        digest = hashlib.file_digest(held, "sha256").hexdigest()
        yield FileFact(path=path, packages=modules(held), sha256=digest, size=size)
