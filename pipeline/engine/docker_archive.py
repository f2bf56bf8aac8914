"""Write an image of a layout as `docker load` reads it: layers uncompressed, and named by `manifest.json`.

Rules kept here:

- it may be written into a pipe: what the size of a layer is, which a tar says first, is found by reading it twice;
- what a layer unpacks to is checked against the config's `diff_ids` before a byte of it is written;
- layers are written uncompressed, because Docker before 23.0 reads no zstd (moby/moby#41759).

The form is that of `docker save` since 1.10 (moby `image/spec/v1.2.md`, "Combined Image JSON + Filesystem Changeset").
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from pipeline.digest import Digest, canonical_json, hex_of
from pipeline.engine.layout import TAR_LAYER_TYPE, Descriptor, blob_path, read_blob, read_manifest
from pipeline.errors import IntegrityError

_CHUNK = 1 << 20


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def write_docker_archive(file: IO[bytes], layout: Path, manifest: Digest, name: str) -> None:
    """Write the image `manifest` of `layout` under `name`, which may have a tag, to `file`.

    Raises IntegrityError where the layout does not hold what it says, OSError where `file` takes no more.
    """
    image = read_manifest(layout, manifest)
    config = read_blob(layout, image.config.digest)
    diff_ids: list[str] = json.loads(config)["rootfs"]["diff_ids"]
    config_name = f"{hex_of(image.config.digest)}.json"
    layers = [f"{hex_of(Digest(diff_id))}.tar" for diff_id in diff_ids]
    listed = canonical_json([{"Config": config_name, "RepoTags": [name], "Layers": layers}])
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK) as tar:
        for path, text in (("manifest.json", listed), (config_name, config)):
            tar.addfile(_entry(path, len(text)), io.BytesIO(text))
        # Equal layers, such as two empty ones, are one file.
        for path, layer in dict(zip(layers, image.layers, strict=True)).items():
            size, digest = _measured(layout, layer)
            if f"{digest}.tar" != path:
                place = blob_path(layout, layer.digest)
                raise IntegrityError(f"{place} is not the layer it was", remedy="delete it and build again")
            with _unpacked(layout, layer) as content:
                tar.addfile(_entry(path, size), content)


def _entry(path: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.size = size
    entry.mode = 0o644
    return entry


def _measured(layout: Path, layer: Descriptor) -> tuple[int, str]:
    """Return how many bytes a layer unpacks to, and their SHA-256."""
    size, digest = 0, hashlib.sha256()
    with _unpacked(layout, layer) as content:
        while chunk := content.read(_CHUNK):
            size += len(chunk)
            digest.update(chunk)
    return size, digest.hexdigest()


@contextmanager
def _unpacked(layout: Path, layer: Descriptor) -> Iterator[_Readable]:
    """Open a layer for reading what it unpacks to; raises IntegrityError where it is none of the kinds we write."""
    import zstandard  # slow to import, and only who carries an image on has use for it

    path = blob_path(layout, layer.digest)
    try:
        with path.open("rb") as blob:
            match layer.media_type.removeprefix(TAR_LAYER_TYPE):
                case "":
                    yield blob
                case "+gzip":
                    with gzip.open(blob) as content:
                        yield content
                case "+zstd":
                    with zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True) as content:
                        yield content
                case _:
                    raise IntegrityError(f"{path} is a layer of the type {layer.media_type}, which Docker cannot load")
    except (zstandard.ZstdError, gzip.BadGzipFile, EOFError, FileNotFoundError) as error:
        raise IntegrityError(f"{path}: {error}", remedy="delete it and build again") from error


__all__ = ["write_docker_archive"]
