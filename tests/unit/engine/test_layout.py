"""OCI layouts: what is named is there, whatever happens in between."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.digest import Digest, digest_bytes, hex_of
from pipeline.engine.layout import (
    INDEX_TYPE,
    MANIFEST_TYPE,
    REF_NAME,
    adopt,
    blob_path,
    read_blob,
    read_manifest,
    staged,
    write_image,
    write_single_layer_image,
)
from pipeline.errors import IntegrityError, OutputError

CONFIG = {"architecture": "amd64", "os": "linux", "config": {}}


def add(layout: Path, name: str, *layers: bytes) -> Digest:
    """Build an image of `layers` the way the engine does, in a staged layout, and adopt it."""
    with staged(layout) as staging:
        return adopt(staging, layout, name, {"linux/amd64": write_image(staging, name, CONFIG, layers)})


def names(layout: Path) -> dict[str, str]:
    """Return what the index names, and check that all of it is there, down to the layers."""
    index = json.loads((layout / "index.json").read_bytes())
    found = {}
    for entry in index["manifests"]:
        check(layout, entry)
        found[entry["annotations"][REF_NAME]] = entry["digest"]
    return found


def check(layout: Path, entry: dict[str, Any]) -> None:
    """Read everything below a descriptor."""
    document = json.loads(read_blob(layout, entry["digest"]))
    assert len(read_blob(layout, entry["digest"])) == entry["size"]
    for inner in document.get("manifests", ()):
        check(layout, inner)
    for inner in [*document.get("layers", ()), *filter(None, [document.get("config")])]:
        assert len(read_blob(layout, inner["digest"])) == inner["size"]


def test_a_tar_becomes_an_image_of_one_layer(tmp_path: Path) -> None:
    """The tar is moved, not copied, and its digest is also the layer's diff id."""
    tar = tmp_path / "root.tar"
    tar.write_bytes(b"tar")
    digest = write_single_layer_image(tmp_path / "layout", tar, "arm64")
    manifest = read_manifest(tmp_path / "layout", digest)

    assert not tar.exists()
    assert [layer.digest for layer in manifest.layers] == [digest_bytes(b"tar")]
    assert json.loads(read_blob(tmp_path / "layout", manifest.config.digest)) == {
        "architecture": "arm64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest_bytes(b"tar")]},
    }
    assert manifest.descriptor.media_type == MANIFEST_TYPE
    assert names(tmp_path / "layout") == {"root": digest}


def test_equal_tars_give_equal_images(tmp_path: Path) -> None:
    """No date and no path gets in: the digest is pinned."""
    for folder in ("a", "b"):
        (tmp_path / f"{folder}.tar").write_bytes(b"tar")
    digests = {write_single_layer_image(tmp_path / each, tmp_path / f"{each}.tar", "amd64") for each in ("a", "b")}

    assert digests == {"sha256:1a11446a0a5b927ea3ffd26c835d3a76acbe470cad7d35fd9e67d51de7d25303"}


def test_several_images_live_in_one_layout_and_share_blobs(tmp_path: Path) -> None:
    """A layer that two images have lies there once."""
    layout = tmp_path / "out"
    one = add(layout, "one", b"shared", b"own")
    two = add(layout, "two", b"shared", b"other")

    assert names(layout) == {"one": one, "two": two}
    assert len(list((layout / "blobs" / "sha256").iterdir())) == 3 + 2 + 2
    assert sorted(path.name for path in layout.iterdir()) == [".lock", "blobs", "index.json", "oci-layout"]


def test_a_name_means_the_last_image_it_was_given(tmp_path: Path) -> None:
    """The other names stay."""
    layout = tmp_path / "out"
    add(layout, "one", b"old")
    two = add(layout, "two", b"two")
    new = add(layout, "one", b"new")

    assert names(layout) == {"one": new, "two": two}


def test_the_order_in_which_images_come_is_no_part_of_the_layout(tmp_path: Path) -> None:
    """Equal content, equal index."""
    for folder, order in (("a", "xyz"), ("b", "zxy")):
        for name in order:
            add(tmp_path / folder, name, name.encode())

    assert (tmp_path / "a/index.json").read_bytes() == (tmp_path / "b/index.json").read_bytes()


def test_several_platforms_get_an_index(tmp_path: Path) -> None:
    """Sorted by platform, whatever the order they were built in."""
    layout = tmp_path / "out"
    with staged(layout) as staging:
        manifests = {
            f"linux/{each}": write_image(staging, "x", {**CONFIG, "architecture": each}, [each.encode()])
            for each in ("arm64", "amd64")
        }
        top = adopt(staging, layout, "multi", manifests)
    index = json.loads(read_blob(layout, top))

    assert names(layout) == {"multi": top}
    assert index["mediaType"] == INDEX_TYPE
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]


def test_staging_has_the_blobs_that_are_there_already(tmp_path: Path) -> None:
    """The engine asks for what is missing only; and nothing is left of the folder."""
    layout = tmp_path / "out"
    add(layout, "one", b"layer")
    with staged(layout) as staging:
        assert blob_path(staging, digest_bytes(b"layer")).samefile(blob_path(layout, digest_bytes(b"layer")))

    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_while_building_leaves_the_layout_as_it_was(tmp_path: Path) -> None:
    """Half an image in the staged layout is not seen, and is taken away."""
    layout = tmp_path / "out"
    before = add(layout, "one", b"old")

    def build_half() -> None:
        with staged(layout) as staging:
            write_image(staging, "one", CONFIG, [b"half"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_half()

    assert names(layout) == {"one": before}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_crash_between_blobs_and_index_leaves_the_old_index_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is replaced last and in one piece; the next attempt succeeds."""
    layout = tmp_path / "out"
    before = add(layout, "one", b"old")
    replace = Path.replace

    def crash(self: Path, target: Path) -> Path:
        if target.name == "index.json" and target.parent == layout:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(OutputError, match="No space left") as caught:
            add(layout, "one", b"new")
    assert "free some space" in caught.value.remedy
    assert names(layout) == {"one": before}
    assert not list(layout.glob(".new-*"))

    new = add(layout, "one", b"new")
    assert names(layout) == {"one": new}


def test_an_image_whose_manifest_is_missing_is_not_named(tmp_path: Path) -> None:
    """An engine that lied about its digest changes nothing."""
    layout = tmp_path / "out"
    before = add(layout, "one", b"old")
    with staged(layout) as staging, pytest.raises(IntegrityError):
        adopt(staging, layout, "one", {"linux/amd64": digest_bytes(b"absent")})

    assert names(layout) == {"one": before}


def test_a_blob_that_was_altered_is_not_read(tmp_path: Path) -> None:
    """Its path and a remedy are named."""
    layout = tmp_path / "out"
    digest = add(layout, "one", b"layer")
    blob_path(layout, digest).write_bytes(b"{}")

    with pytest.raises(IntegrityError, match=hex_of(digest)) as caught:
        read_manifest(layout, digest)
    assert "build again" in caught.value.remedy


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    """Here a file lies in the way."""
    (tmp_path / "file").touch()

    with pytest.raises(OutputError), staged(tmp_path / "file" / "out"):
        pass


def test_what_others_wrote_without_a_name_is_left_out_of_the_new_index(tmp_path: Path) -> None:
    """Only named images are kept; nothing breaks on a foreign entry."""
    layout = tmp_path / "out"
    add(layout, "one", b"1")
    index = json.loads((layout / "index.json").read_bytes())
    index["manifests"].append({"mediaType": MANIFEST_TYPE, "digest": digest_bytes(b""), "size": 0})
    (layout / "index.json").write_text(json.dumps(index))
    add(layout, "two", b"2")

    assert set(names(layout)) == {"one", "two"}


def test_files_are_readable_whatever_the_umask(tmp_path: Path) -> None:
    """A layout made by root in a closed shell can be read by a daemon of another user."""
    old = os.umask(0o077)
    try:
        digest = add(tmp_path / "out", "one", b"1")
    finally:
        os.umask(old)

    assert blob_path(tmp_path / "out", digest).stat().st_mode & 0o777 == 0o644


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    """Younger leftovers may be somebody's work; other folders are nobody's business."""
    old, young, other = (tmp_path / name for name in (".out-old", ".out-young", ".other-old"))
    for folder in (old, young, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, (0, 0))

    with staged(tmp_path / "out"):
        pass

    assert not old.exists()
    assert young.exists()
    assert other.exists()
