"""What a bbolt database is about, and whether it is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.bolt import bucket_names
from tests.unit.verify.vulnerabilities.bolt_file import PAGE, branch, leaf, meta, write_bolt

NAMES = frozenset({"debian 13", "npm::GitHub Security Advisory npm", "vulnerability"})


def test_buckets_are_told_and_keys_are_not(tmp_path: Path) -> None:
    """The small page ends with a key that holds a value."""
    assert bucket_names(write_bolt(tmp_path / "trivy.db", sorted(NAMES))) == NAMES


def test_buckets_on_several_pages_are_all_told(tmp_path: Path) -> None:
    """A branch leads to them."""
    assert bucket_names(write_bolt(tmp_path / "trivy.db", *([name] for name in sorted(NAMES)))) == NAMES


def test_a_page_may_take_the_room_of_several(tmp_path: Path) -> None:
    """One that grew is written so, as a whole."""
    names = [f"{'x' * 200} {number}" for number in range(30)]
    long = leaf(3, names, more=1)
    file = write_bolt(tmp_path / "trivy.db", [])
    data = meta(0, 3, 5, 8).ljust(PAGE, b"\0") + file.read_bytes()[PAGE : 3 * PAGE] + long.ljust(2 * PAGE, b"\0")
    file.write_bytes(data)

    assert len(long) > PAGE
    assert bucket_names(file) == frozenset(names)


@pytest.mark.parametrize("damaged", [0, 1])
def test_one_sound_meta_page_is_enough(tmp_path: Path, damaged: int) -> None:
    """As it is for bbolt, which writes them in turn."""
    file = write_bolt(tmp_path / "trivy.db", sorted(NAMES))
    data = bytearray(file.read_bytes())
    data[PAGE : PAGE + 80] = meta(1, 3, 4, 9)
    data[damaged * PAGE + 50] ^= 1
    file.write_bytes(data)

    assert bucket_names(file) == NAMES


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: b"", "no page that says what it is"),
        (lambda _: b"a database", "no page that says what it is"),
        (lambda _: bytes(5 * PAGE), "no page that says what it is"),
        (lambda data: data[: 3 * PAGE], "cut off"),
        (lambda data: data[:-1], "cut off"),
        (lambda data: data[: 3 * PAGE] + bytes(PAGE), "page 3 is another"),
        (lambda data: data[: 3 * PAGE] + data[2 * PAGE : 3 * PAGE], "page 3 is another"),
        (lambda data: data[: 3 * PAGE] + branch(3, [3]).ljust(PAGE, b"\0"), "page 3 is not where it should be"),
        (lambda data: data[: 3 * PAGE] + branch(3, [9]).ljust(PAGE, b"\0"), "page 9 is not where it should be"),
        (lambda data: data[: 3 * PAGE + 10] + b"\xff\xff" + data[3 * PAGE + 12 :], "too short"),
        (lambda data: data[: 3 * PAGE + 20] + b"\xff\xff" + data[3 * PAGE + 22 :], "a name in it is cut off"),
    ],
)
def test_a_damaged_file_is_no_database(tmp_path: Path, change: object, words: str) -> None:
    """Whatever is wrong with it, it is told by its path."""
    file = write_bolt(tmp_path / "trivy.db", ["debian 13"])
    file.write_bytes(change(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DatabaseError, match=words) as caught:
        bucket_names(file)

    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_no_database(tmp_path: Path) -> None:
    """Nor is a folder."""
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DatabaseError, match="cannot be read"):
            bucket_names(path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_bytes_end_the_program(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any few of them may be anything: names are told, or it is said to be damaged."""
    file = write_bolt(tmp_path_factory.getbasetemp() / "any" / "trivy.db", ["debian 13"], ["npm::x"])
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        page = data.draw(st.integers(0, 5))
        at = page * PAGE + data.draw(st.integers(0, 100))
        content[at] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    try:
        names = bucket_names(file)
    except DatabaseError:
        return
    assert all(isinstance(name, str) for name in names)
