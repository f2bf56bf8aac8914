"""An exported image packed anew: the same files give the same bytes, and the root's layers are not touched."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard

from pipeline.digest import Digest, canonical_json, digest_bytes
from pipeline.engine.api import Compression, ImageContent
from pipeline.engine.layout import TAR_LAYER_TYPE, blob_path, read_manifest
from pipeline.engine.repack import repack, write_archive
from pipeline.errors import IntegrityError

EPOCH = 1_767_225_600
CONFIG = canonical_json({"architecture": "amd64", "os": "linux", "config": {"StopSignal": "SIGTERM"}})


def tar(*names: str, mtime: int = 1, user: str = "dev") -> bytes:
    """Return a layer with files, made at some time by somebody; `a -> b` is a hard link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            path, _, target = name.partition(" -> ")
            entry = tarfile.TarInfo(path)
            entry.mtime, entry.uname = mtime, user
            if target:
                entry.type, entry.linkname = tarfile.LNKTYPE, target
                archive.addfile(entry)
            else:
                data = path.removeprefix("./").encode()
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def exported(folder: Path, *layers: bytes, kind: str = TAR_LAYER_TYPE) -> Path:
    """Write the archive an engine exports."""
    blobs: dict[str, bytes] = {digest_bytes(layer): layer for layer in layers}
    entries = [{"mediaType": kind, "digest": digest_bytes(one), "size": len(one)} for one in layers]
    manifest = json.dumps({"schemaVersion": 2, "layers": entries}).encode()
    blobs[digest_bytes(manifest)] = manifest
    file = folder / "image.tar"
    with tarfile.open(file, "w") as archive:
        for name, data in (
            ("index.json", json.dumps({"manifests": [{"digest": digest_bytes(manifest)}]}).encode()),
            *((f"blobs/{digest.replace(':', '/')}", data) for digest, data in blobs.items()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file


def packed(
    folder: Path, archive: Path, own: int, kind: Compression = Compression.ZSTD, **more: Sequence[Path]
) -> Digest:
    """Pack `archive` into the layout `folder / "out"`."""
    return repack(archive, folder / "out", ImageContent("x", CONFIG, EPOCH, kind), own, **more)


def content(folder: Path, digest: Digest, at: int) -> bytes:
    """Return a layer of an image, unpacked."""
    layer = read_manifest(folder / "out", digest).layers[at]
    data = blob_path(folder / "out", layer.digest).read_bytes()
    if layer.media_type.endswith("+zstd"):
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    return gzip.decompress(data) if layer.media_type.endswith("+gzip") else data


@pytest.mark.parametrize("kind", list(Compression))
def test_when_and_by_whom_it_was_built_does_not_show(tmp_path: Path, kind: Compression) -> None:
    """Nor in which order the engine wrote the files."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()

    first = packed(one, exported(one, tar("root"), tar("a", "b")), 1, kind)
    second = packed(other, exported(other, tar("root"), tar("./b", "a", mtime=9, user="root")), 1, kind)

    assert first == second
    with tarfile.open(fileobj=io.BytesIO(content(one, first, 1))) as layer:
        assert [(entry.name, entry.mtime, entry.uname) for entry in layer] == [("a", EPOCH, ""), ("b", EPOCH, "")]


def test_a_root_that_lies_here_is_taken_from_here(tmp_path: Path) -> None:
    """Byte for byte: what the engine made of it is of no interest."""
    root = tmp_path / "root.tar"
    root.write_bytes(tar("of the root", mtime=5))

    digest = packed(tmp_path, exported(tmp_path, tar("other bytes"), tar("a")), 1, root=(root,))

    assert content(tmp_path, digest, 0) == root.read_bytes()


def test_a_root_that_does_not_lie_here_keeps_its_times(tmp_path: Path) -> None:
    """They are its own, and not the build's."""
    digest = packed(tmp_path, exported(tmp_path, tar("r", mtime=5), tar("a", mtime=5)), 1)

    with tarfile.open(fileobj=io.BytesIO(content(tmp_path, digest, 0))) as layer:
        assert [entry.mtime for entry in layer] == [5]


def test_a_hard_link_comes_after_its_file(tmp_path: Path) -> None:
    """Whatever their names: who unpacks it could not make it otherwise."""
    digest = packed(tmp_path, exported(tmp_path, tar("b", "a -> b")), 1)

    with tarfile.open(fileobj=io.BytesIO(content(tmp_path, digest, 0))) as layer:
        assert layer.getnames() == ["b", "a"]


def test_the_config_is_the_one_that_was_given(tmp_path: Path) -> None:
    """With the digests of the layers as they are in it."""
    digest = packed(tmp_path, exported(tmp_path, tar("a")), 1)
    config = read_manifest(tmp_path / "out", digest).config

    document = json.loads(blob_path(tmp_path / "out", config.digest).read_bytes())

    assert document["config"] == {"StopSignal": "SIGTERM"}
    assert document["rootfs"]["diff_ids"] == [digest_bytes(content(tmp_path, digest, 0))]


def test_an_export_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Compressed layers, or fewer than were built."""
    with pytest.raises(IntegrityError, match="a layer of the type other"):
        packed(tmp_path, exported(tmp_path, tar("a"), kind="other"), 1)
    with pytest.raises(IntegrityError, match="exported 1 layers"):
        packed(tmp_path, exported(tmp_path, tar("a")), 2)
    assert not (tmp_path / "out" / "index.json").exists()


def test_an_image_is_handed_over_as_the_same_bytes(tmp_path: Path) -> None:
    """An engine knows a file by what is in it."""
    digest = packed(tmp_path, exported(tmp_path, tar("a")), 1, Compression.UNCOMPRESSED)
    manifest = read_manifest(tmp_path / "out", digest)
    blobs = [one.digest for one in (manifest.descriptor, manifest.config, *manifest.layers)]
    files = []
    for order in (blobs, blobs[::-1]):
        file = io.BytesIO()
        write_archive(file, manifest.descriptor, {blob: blob_path(tmp_path / "out", blob) for blob in order})
        files.append(file.getvalue())

    assert files[0] == files[1]
    with tarfile.open(fileobj=io.BytesIO(files[0])) as archive:
        assert archive.getnames()[:2] == ["index.json", "oci-layout"]
