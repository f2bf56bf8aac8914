"""Pack an image an engine exported anew: the same files give the same bytes, whoever built them and when.

Rules kept here:

- the layers of a root that lies on this machine are taken from there, byte for byte;
- the others get a fixed order of entries, and headers that say nothing of the machine that built them; those of our
  making get one timestamp too;
- the config is ours, with the layers' digests filled in;
- a blob is written under a temporary name and moved to its digest.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from pipeline.digest import Digest, canonical_json
from pipeline.engine.api import Compression, ImageContent
from pipeline.engine.layout import INDEX_TYPE, TAR_LAYER_TYPE, Descriptor, blob_path, write_described
from pipeline.errors import IntegrityError

_CHUNK = 1 << 20
_TYPES = {
    Compression.ZSTD: f"{TAR_LAYER_TYPE}+zstd",
    Compression.GZIP: f"{TAR_LAYER_TYPE}+gzip",
    Compression.UNCOMPRESSED: TAR_LAYER_TYPE,
}
_ZSTD_LEVEL = 3
_GZIP_LEVEL = 6
_GZIP_WINDOW = 31


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


def repack(
    archive: Path, layout: Path, content: ImageContent, own_layers: int, root: Sequence[Path] | None = None
) -> Digest:
    """Write the only image of the OCI tar `archive` into `layout` and return the manifest digest.

    The uppermost `own_layers` are of our making; those below are in the files `root` where that is given. Raises
    IntegrityError where the archive is not what an export of uncompressed layers is.
    """
    (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as outer:
        index = json.load(_member(outer, "index.json"))
        manifest = json.load(_blob(outer, index["manifests"][0]["digest"]))
        layers = manifest["layers"]
        below = len(layers) - own_layers
        if below < 0 or (root is not None and below != len(root)):
            raise IntegrityError(f"the engine exported {len(layers)} layers for {content.name}, not those built")
        packed = [_pack_as_it_is(path, layout, content.compression) for path in root or ()]
        for number, layer in enumerate(layers[len(packed) :], start=len(packed)):
            if layer["mediaType"] != TAR_LAYER_TYPE:
                raise IntegrityError(f"the engine exported a layer of the type {layer['mediaType']}")
            with _blob(outer, layer["digest"]) as tar:
                packed.append(_pack_anew(tar, layout, content, own=number >= below))
    config = json.loads(content.config)
    diff_ids = tuple(diff_id for diff_id, _ in packed)
    return write_described(layout, content.name, config, diff_ids, tuple(descriptor for _, descriptor in packed))


def write_archive(file: IO[bytes], manifest: Descriptor, blobs: Mapping[Digest, Path]) -> None:
    """Write an image as an OCI layout in a tar, equal images as equal bytes."""
    index = canonical_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [manifest.as_json()]})
    version = canonical_json({"imageLayoutVersion": "1.0.0"})
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, text in (("index.json", index), ("oci-layout", version)):
            _add(tar, name, len(text), io.BytesIO(text))
        for digest, path in sorted(blobs.items()):
            with path.open("rb") as blob:
                _add(tar, f"blobs/{digest.replace(':', '/')}", path.stat().st_size, blob)


def _add(tar: tarfile.TarFile, name: str, size: int, data: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    entry.mode = 0o644
    tar.addfile(entry, data)


def _pack_as_it_is(path: Path, layout: Path, compression: Compression) -> tuple[Digest, Descriptor]:
    """Write one uncompressed layer as a blob and return the digest of what is in it, and its descriptor."""
    with path.open("rb") as tar, _new_blob(layout, compression) as blob:
        for chunk in iter(lambda: tar.read(_CHUNK), b""):
            blob.write(chunk)
    return blob.diff_id, Descriptor(_TYPES[compression], blob.digest, blob.size)


def _pack_anew(tar: IO[bytes], layout: Path, content: ImageContent, *, own: bool) -> tuple[Digest, Descriptor]:
    with _new_blob(layout, content.compression) as blob:
        _rewrite(tar, blob, content.epoch if own else None)
    return blob.diff_id, Descriptor(_TYPES[content.compression], blob.digest, blob.size)


def _rewrite(source: IO[bytes], target: _Blob, epoch: int | None) -> None:
    with (
        tarfile.open(fileobj=source, mode="r:") as old,
        tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as new,  # type: ignore[call-overload]
    ):
        # A hard link follows what it is a link to, which only an order of their own makes sure of.
        for entry in sorted(old.getmembers(), key=lambda entry: (entry.islnk(), _plain(entry.name))):
            if not (name := _plain(entry.name)):
                continue
            data = old.extractfile(entry) if entry.isreg() else None
            entry.name = name
            entry.linkname = _plain(entry.linkname) if entry.islnk() else entry.linkname
            entry.mtime = int(entry.mtime) if epoch is None else epoch
            entry.uname = entry.gname = ""
            kept = {key: value for key, value in entry.pax_headers.items() if key.startswith("SCHILY.xattr.")}
            entry.pax_headers = kept
            new.addfile(entry, data)


def _plain(name: str) -> str:
    return name.removeprefix(".").lstrip("/") if name in {".", "./"} or name.startswith("./") else name.strip("/")


class _Blob:
    """A blob being written: what goes in is hashed and compressed, what comes out is hashed and counted."""

    def __init__(self, file: IO[bytes], compressor: _Compressor | None) -> None:
        self._file = file
        self._compressor = compressor
        self._content = hashlib.sha256()
        self._written = hashlib.sha256()
        self._position = 0
        self.size = 0

    def write(self, data: bytes) -> int:
        self._content.update(data)
        self._position += len(data)
        self._put(self._compressor.compress(data) if self._compressor else data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def finish(self) -> None:
        if self._compressor:
            self._put(self._compressor.flush())

    def _put(self, data: bytes) -> None:
        self._written.update(data)
        self.size += len(data)
        self._file.write(data)

    @property
    def diff_id(self) -> Digest:
        return Digest(f"sha256:{self._content.hexdigest()}")

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{self._written.hexdigest()}")


@contextmanager
def _new_blob(layout: Path, compression: Compression) -> Iterator[_Blob]:
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=layout / "blobs" / "sha256")
    try:
        with os.fdopen(handle, "wb") as file:
            blob = _Blob(file, _COMPRESSORS[compression]())
            yield blob
            blob.finish()
        Path(temporary).chmod(0o644)
        Path(temporary).replace(blob_path(layout, blob.digest))
    finally:
        Path(temporary).unlink(missing_ok=True)


def _zstd() -> _Compressor:
    import zstandard  # comes with the extra of the one engine whose exports need it

    # One thread, and no size in the header, so that the bytes follow from the content alone.
    compressor: _Compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
    return compressor


_COMPRESSORS: Mapping[Compression, Callable[[], _Compressor | None]] = {
    Compression.ZSTD: _zstd,
    Compression.GZIP: lambda: zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW),
    Compression.UNCOMPRESSED: lambda: None,
}


def _blob(archive: tarfile.TarFile, digest: str) -> IO[bytes]:
    return _member(archive, f"blobs/{digest.replace(':', '/')}")


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        found = archive.extractfile(name)
    except KeyError:
        found = None
    if found is None:
        raise IntegrityError(f"the engine's export has no {name}")
    return found


__all__ = ["repack", "write_archive"]
