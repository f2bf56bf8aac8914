"""An OSV database on disk: its index, and what is said where it is damaged."""

from __future__ import annotations

import io
import json
import random
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.osv_store import Ecosystem, open_ecosystem
from tests.unit.verify.vulnerabilities.samples import records, write_database


def opened(folder: Path, name: str = "npm") -> Ecosystem:
    """Return an ecosystem of the database in `folder`/osv."""
    return open_ecosystem(folder / "osv", name, folder / "cache")


def test_the_index_is_made_once(tmp_path: Path) -> None:
    """The second time the archive is only hashed."""
    write_database(tmp_path / "osv")
    first = opened(tmp_path)
    made = first.index.stat().st_mtime_ns

    assert opened(tmp_path) == first
    assert first.index.stat().st_mtime_ns == made
    assert [record.id for record in first.records("lodash")] == ["GHSA-p6mc-m468-83gw"]


def test_nothing_else_is_left_in_the_cache(tmp_path: Path) -> None:
    """A temporary name is not kept."""
    write_database(tmp_path / "osv")
    index = opened(tmp_path).index

    assert list((tmp_path / "cache").iterdir()) == [index]


def test_single_files_do_as_well(tmp_path: Path) -> None:
    """As the bucket has them beside the archive."""
    folder = tmp_path / "osv" / "npm"
    folder.mkdir(parents=True)
    for record in records()["npm"]:
        (folder / f"{record['id']}.json").write_text(json.dumps(record))

    assert len(opened(tmp_path).records("lodash")) == 1


def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    """Whatever became of it, the archive is what counts."""
    write_database(tmp_path / "osv")
    first = opened(tmp_path)
    first.index.write_bytes(b"no database")

    assert len(opened(tmp_path).records("lodash")) == 1


def test_an_index_that_breaks_while_it_is_used_is_told(tmp_path: Path) -> None:
    """And it is gone afterwards, so that the next run makes it anew."""
    write_database(tmp_path / "osv")
    first = opened(tmp_path)
    first.index.write_bytes(b"no database")
    with pytest.raises(DatabaseError, match="damaged"):
        first.records("lodash")

    assert not first.index.exists()


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"id": "X-1"},
        {"id": "X-1", "modified": "yesterday"},
        {"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": {}},
        {"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": [{"package": {"name": "a"}}]},
        {"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": [{"ranges": [{"events": "all"}]}]},
        {"id": ["X-1"], "modified": "2026-01-01T00:00:00Z"},
        [],
        None,
        "text",
    ],
)
def test_a_damaged_record_names_itself(tmp_path: Path, record: Any) -> None:
    """One that cannot be read may be the one that matters."""
    folder = tmp_path / "osv" / "npm"
    folder.mkdir(parents=True)
    (folder / "bad.json").write_text(json.dumps(record))
    with pytest.raises(DatabaseError, match=r"bad\.json is no OSV record"):
        opened(tmp_path)

    assert list((tmp_path / "cache").iterdir()) == []


def test_an_empty_archive_is_no_database(tmp_path: Path) -> None:
    """It would know nothing and find nothing."""
    write_database(tmp_path / "osv", {"npm": []})
    with pytest.raises(DatabaseError, match="no record"):
        opened(tmp_path)


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for record in records()["npm"]:
            archive.writestr(zipfile.ZipInfo(f"{record['id']}.json"), json.dumps(record))
    return buffer.getvalue()


ARCHIVE = _archive()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_no_damaged_archive_ends_the_program_or_passes_for_another(tmp_path: Path, seed: int) -> None:
    """Bytes are changed, cut off or doubled: it is refused in words, or says what the sound one says."""
    chance = random.Random(seed)  # noqa: S311 (it damages files)
    data = bytearray(ARCHIVE)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        match chance.randrange(3):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at : at + chance.randint(1, 200)]
            case _:
                data[at:at] = data[at : at + chance.randint(1, 50)]
    folder = tmp_path / "osv" / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "all.zip").write_bytes(bytes(data))
    with suppress(DatabaseError):
        assert {record.id for record in opened(tmp_path).records("lodash")} <= {"GHSA-p6mc-m468-83gw"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "modified", "affected", "package", "ranges", "events", "versions", "severity", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=JSON)
def test_no_shape_of_a_record_ends_the_program(tmp_path: Path, record: Any) -> None:
    """It is read or refused in words."""
    folder = tmp_path / "osv" / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one.json").write_text(json.dumps(record))
    with suppress(DatabaseError):
        assert opened(tmp_path).built
