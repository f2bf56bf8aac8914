"""An image of a layout as Docker loads it: what its config says it is made of, layer for layer."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import zstandard

from pipeline.digest import Digest, digest_bytes, hex_of
from pipeline.engine.docker_archive import write_docker_archive
from pipeline.engine.layout import TAR_LAYER_TYPE, Descriptor, blob_path, read_manifest, write_described
from pipeline.errors import IntegrityError

CONFIG = {"architecture": "amd64", "os": "linux", "config": {"User": "dev"}}
LAYERS = (b"first layer " * 1000, b"", b"third layer")


def _zstd_frames(data: bytes) -> bytes:
    """Compress as two frames, as writers that work in pieces do."""
    half = len(data) // 2
    return b"".join(zstandard.ZstdCompressor().compress(part) for part in (data[:half], data[half:]))


KINDS: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, "+gzip": gzip.compress, "+zstd": _zstd_frames}


def layout_of(folder: Path, kind: str, layers: tuple[bytes, ...] = LAYERS) -> Digest:
    """Write an image of `layers`, compressed by `kind`, and return the manifest digest."""
    (folder / "blobs/sha256").mkdir(parents=True)
    described = []
    for layer in layers:
        blob = KINDS.get(kind, bytes)(layer)
        blob_path(folder, digest_bytes(blob)).write_bytes(blob)
        described.append(Descriptor(f"{TAR_LAYER_TYPE}{kind}", digest_bytes(blob), len(blob)))
    return write_described(folder, "x", CONFIG, tuple(digest_bytes(layer) for layer in layers), tuple(described))


def written(layout: Path, digest: Digest, name: str = "x:latest") -> dict[str, bytes]:
    """Return the files of the archive."""
    buffer = io.BytesIO()
    write_docker_archive(buffer, layout, digest, name)
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
        return {entry.name: file.read() for entry in tar if (file := tar.extractfile(entry))}


@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_unpacked_and_in_their_order(tmp_path: Path, kind: str) -> None:
    """Whichever way they were compressed, Docker gets the bytes that the config names."""
    files = written(tmp_path, layout_of(tmp_path, kind))
    (image,) = json.loads(files["manifest.json"])

    assert tuple(files[layer] for layer in image["Layers"]) == LAYERS
    assert image["RepoTags"] == ["x:latest"]


def test_the_config_keeps_its_digest(tmp_path: Path) -> None:
    """By which Docker calls the image: it is the same one that a registry has."""
    digest = layout_of(tmp_path, "+zstd")
    files = written(tmp_path, digest)
    (image,) = json.loads(files["manifest.json"])

    assert digest_bytes(files[image["Config"]]) == read_manifest(tmp_path, digest).config.digest


def test_equal_layers_are_written_once(tmp_path: Path) -> None:
    """And named twice."""
    digest = layout_of(tmp_path, "", (b"same", b"same"))
    buffer = io.BytesIO()

    write_docker_archive(buffer, tmp_path, digest, "x")

    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
        names = tar.getnames()
        (image,) = json.loads((tar.extractfile("manifest.json") or io.BytesIO()).read())
    assert len(names) == len(set(names)) == 3
    assert len(image["Layers"]) == 2


def test_the_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whenever it is written."""
    digest = layout_of(tmp_path, "+gzip")
    archives = [io.BytesIO(), io.BytesIO()]

    for archive in archives:
        write_docker_archive(archive, tmp_path, digest, "x")

    assert archives[0].getvalue() == archives[1].getvalue()


def _shortened(blob: Path) -> None:
    blob.write_bytes(blob.read_bytes()[:-3])


def _exchanged(blob: Path) -> None:
    blob.write_bytes(zstandard.ZstdCompressor().compress(b"other"))


@pytest.mark.parametrize("damage", [_shortened, _exchanged, Path.unlink], ids=["cut short", "exchanged", "missing"])
def test_a_damaged_layer_is_refused_and_not_written(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """Docker never sees a byte of it, and the file is named."""
    digest = layout_of(tmp_path, "+zstd")
    blob = blob_path(tmp_path, read_manifest(tmp_path, digest).layers[0].digest)
    damage(blob)
    buffer = io.BytesIO()

    with pytest.raises(IntegrityError, match=blob.name):
        write_docker_archive(buffer, tmp_path, digest, "x")

    assert hex_of(digest_bytes(LAYERS[0])).encode() + b".tar\0" not in buffer.getvalue()


def test_a_layer_of_another_kind_is_refused(tmp_path: Path) -> None:
    """By its type."""
    digest = layout_of(tmp_path, "+lz4")

    with pytest.raises(IntegrityError, match=r"v1\.tar\+lz4"):
        written(tmp_path, digest)
