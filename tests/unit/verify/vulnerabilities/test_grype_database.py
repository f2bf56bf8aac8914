"""What Grype's database must know of."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.component import Component, read_components
from pipeline.verify.vulnerabilities.grype_database import ECOSYSTEMS, unknown_to
from pipeline.verify.vulnerabilities.subjects import Subjects, subjects_of
from tests.engine.grype import write_grype_database
from tests.unit.verify.vulnerabilities.samples import BINARY, CRATE, LODASH, RUNTIME, ZLIB, cyclonedx

EVERYTHING = Subjects((), ("dotnet", "npm", "rust-crate"), ("13",), (BINARY,))


def subjects(folder: Path, *purls: str) -> Subjects:
    """Return what an SBOM of some packages is about."""
    file = folder / "sbom.json"
    file.write_bytes(cyclonedx(*purls))
    return subjects_of(read_components(file), ECOSYSTEMS, "Grype")


def database(folder: Path, *without: str) -> Path:
    """Return a database without some ecosystems."""
    write_grype_database(folder / "vulnerability.db", datetime(2026, 11, 20, tzinfo=UTC), without)
    return folder / "vulnerability.db"


def test_an_sbom_is_about_ecosystems_and_releases(tmp_path: Path) -> None:
    """Each once, and what no database knows of is told."""
    purls = (ZLIB, CRATE, LODASH, RUNTIME, "pkg:npm/other@1.0.0")
    found = subjects(tmp_path, *purls, BINARY)

    assert sorted(one.purl for one in found.components) == sorted(purls)
    assert replace(found, components=()) == EVERYTHING


def test_a_package_without_a_version_is_not_looked_at() -> None:
    """There is nothing to compare."""
    listed = [Component("pkg:gem/rack", "rack", ""), Component(LODASH, "lodash", "4.17.20")]

    assert subjects_of(listed, ECOSYSTEMS, "Grype").uncovered == ("pkg:gem/rack",)


def test_an_image_of_which_nothing_is_known_is_no_pass(tmp_path: Path) -> None:
    """No finding would look like a clean image."""
    with pytest.raises(DatabaseError, match="nothing that Grype knows of"):
        subjects(tmp_path, BINARY)


def test_a_debian_package_of_no_release_is_no_pass(tmp_path: Path) -> None:
    """It would be compared with nothing."""
    with pytest.raises(DatabaseError, match="Debian release"):
        subjects(tmp_path, "pkg:deb/debian/zlib1g@1.3")


@pytest.mark.parametrize(
    ("without", "unknown"),
    [
        ((), ()),
        (("npm",), ("npm",)),
        (("deb",), ("debian 13",)),
        (("dotnet", "rust-crate", "deb"), ("dotnet", "rust-crate", "debian 13")),
    ],
)
def test_what_a_database_lacks_is_told(tmp_path: Path, without: tuple[str, ...], unknown: tuple[str, ...]) -> None:
    """A name without a record is none."""
    assert unknown_to(database(tmp_path, *without), EVERYTHING) == unknown


def test_another_release_is_not_known(tmp_path: Path) -> None:
    """Debian 13's records say nothing of Debian 14."""
    assert unknown_to(database(tmp_path), Subjects((), (), ("13", "14"), ())) == ("debian 14",)


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    """Nor is one made where there is none."""
    (tmp_path / "text").write_text("no database")
    for name in ("text", "absent"):
        with pytest.raises(sqlite3.Error):
            unknown_to(tmp_path / name, EVERYTHING)
    assert not (tmp_path / "absent").exists()
