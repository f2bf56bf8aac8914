"""A layer is read once, whole, whatever its compression; a damaged one says nothing."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.digest import digest_bytes, hex_of
from pipeline.engine.layout import blob_path
from pipeline.errors import IntegrityError
from pipeline.supply.sbom.facts import FileFact, Found, LayerFacts, layered
from pipeline.supply.sbom.layer import layer_facts, read_layer
from tests.unit.supply.sbom.samples import elf, package_json, tar

LAYER = tar({"a/package.json": package_json("left", "1.0.0"), "a/index.js": "x", "b/run": elf({})})
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "two frames of zstd": lambda data: b"".join(
        zstandard.ZstdCompressor().compress(part) for part in (data[:700], data[700:])
    ),
}


def put(layout: Path, data: bytes) -> Path:
    """Put a blob into a layout and return where it lies."""
    path = blob_path(layout, digest_bytes(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_the_compression_makes_no_difference(name: str, tmp_path: Path) -> None:
    """It is told by the first bytes, as a media type may be wrong or new."""
    data = COMPRESSIONS[name](LAYER)
    facts = read_layer(put(tmp_path, data), digest_bytes(data))

    assert [fact.path for fact in facts.files] == ["a/package.json", "b/run"]
    assert facts.files[0].packages == (Found(kind="npm", name="left", version="1.0.0"),)
    assert facts.files[1].sha256 == hex_of(digest_bytes(elf({})))


def test_a_layer_is_read_once(tmp_path: Path) -> None:
    """What was read is found under the blob's digest, also where the blob is gone."""
    path = put(tmp_path, LAYER)
    first = layer_facts(tmp_path, digest_bytes(LAYER), tmp_path / "cache")
    path.unlink()

    assert layer_facts(tmp_path, digest_bytes(LAYER), tmp_path / "cache") == first


def test_what_was_kept_and_is_damaged_is_read_again(tmp_path: Path) -> None:
    """A cache is never a reason to fail."""
    put(tmp_path, LAYER)
    first = layer_facts(tmp_path, digest_bytes(LAYER), tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / "sbom").iterdir()
    kept.write_text(kept.read_text()[:40])

    assert layer_facts(tmp_path, digest_bytes(LAYER), tmp_path / "cache") == first


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_a_damaged_layer_is_an_error_and_is_not_kept(name: str, part: float, tmp_path: Path) -> None:
    """Cut off anywhere, its digest is another than its name says."""
    data = COMPRESSIONS[name](LAYER)
    path = put(tmp_path, data)
    path.write_bytes(data[: int(len(data) * part)])

    with pytest.raises(IntegrityError):
        layer_facts(tmp_path, digest_bytes(data), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_an_absent_layer_is_an_error(tmp_path: Path) -> None:
    """It names the file that is not there."""
    with pytest.raises(IntegrityError, match="cannot be read as a layer"):
        layer_facts(tmp_path, digest_bytes(LAYER), tmp_path)


def test_whiteouts_are_no_files(tmp_path: Path) -> None:
    """They say what is removed, a file or folder, or everything a folder had before."""
    data = tar({"a/.wh.package.json": "", "b/.wh..wh..opq": "", ".wh.top": ""})
    facts = read_layer(put(tmp_path, data), digest_bytes(data))

    assert facts.removed == ("a/package.json", "top")
    assert facts.emptied == ("b",)
    assert facts.files == ()


def test_a_hard_link_says_what_its_target_says(tmp_path: Path) -> None:
    """A program that is there under two names is one in two places."""
    data = tar({"bin/one": elf({})}, hard={"bin/two": "bin/one"})
    facts = read_layer(put(tmp_path, data), digest_bytes(data))

    assert [(fact.path, fact.sha256) for fact in facts.files] == [
        (name, hex_of(digest_bytes(elf({})))) for name in ("bin/one", "bin/two")
    ]


def test_an_unreadable_name_of_a_small_file_is_passed_over(tmp_path: Path) -> None:
    """Names begin with `./` in some tars, and mean the same."""
    data = tar({"./a/package.json": package_json("left", "1.0.0")})

    assert read_layer(put(tmp_path, data), digest_bytes(data)).files[0].path == "a/package.json"


def facts(*paths: str, removed: tuple[str, ...] = (), emptied: tuple[str, ...] = ()) -> LayerFacts:
    """Return a layer with a fact per path."""
    return LayerFacts(files=tuple(FileFact(path=path) for path in paths), removed=removed, emptied=emptied)


def test_a_higher_layer_replaces_and_removes() -> None:
    """What is left belongs to the layer that put it there last."""
    left = layered(
        [
            facts("a/one", "a/two", "b/x", "b/y/z", "c"),
            facts("a/one", removed=("a/two", "c"), emptied=("b",)),
            facts("b/new"),
        ]
    )

    assert {path: number for path, (number, _) in left.items()} == {"a/one": 1, "b/new": 2}


def test_removing_a_folder_spares_what_begins_like_it() -> None:
    """`a` is not `ab`."""
    left = layered([facts("a/one", "ab/one", "a.txt"), facts(removed=("a",))])

    assert set(left) == {"ab/one", "a.txt"}


PATHS = st.lists(st.sampled_from(["a", "a/b", "a/b/c", "ab", "ab/c", "d"]), unique=True, max_size=4)
LAYERS = st.lists(st.tuples(PATHS, PATHS, PATHS), max_size=4)


@given(LAYERS)
def test_layers_lie_on_each_other_as_file_systems_do(layers: list[tuple[list[str], list[str], list[str]]]) -> None:
    """The same as removing and putting file by file."""
    expected: dict[str, int] = {}
    for number, (paths, removed, emptied) in enumerate(layers):
        for gone in removed:
            expected = {path: at for path, at in expected.items() if path != gone and not path.startswith(f"{gone}/")}
        for folder in emptied:
            expected = {path: at for path, at in expected.items() if not path.startswith(f"{folder}/")}
        expected |= dict.fromkeys(paths, number)

    made = [facts(*paths, removed=tuple(removed), emptied=tuple(emptied)) for paths, removed, emptied in layers]

    assert {path: number for path, (number, _) in layered(made).items()} == expected
