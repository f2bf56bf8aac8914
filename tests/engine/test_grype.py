"""Grype itself on bills of materials, with a small database that it imports as it would any other."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.finding import ScanResult, Severity
from pipeline.verify.vulnerabilities.grype import GrypeScanner
from pipeline.verify.vulnerabilities.judge import GatePolicy, judge
from tests.engine.grype import grype, import_database
from tests.unit.verify.vulnerabilities.samples import (
    BINARY,
    CRATE,
    DJANGO,
    LODASH,
    RUNTIME,
    SCOPED,
    X_NET,
    ZLIB,
    cyclonedx,
    spdx,
)

pytestmark = pytest.mark.timeout(1800)

BUILT = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
MENDED = "1:1.3.dfsg+really1.3.1-1+deb13u1"


@pytest.fixture(scope="module")
def program() -> Path:
    """Return Grype."""
    return grype()


@pytest.fixture
def database(tmp_path: Path, program: Path) -> Path:
    """Return a folder with the small database; `program` comes first, for it may skip the test."""
    return import_database(program, tmp_path, BUILT)


def scan(program: Path, database: Path, *purls: str, form: Callable[..., bytes] = cyclonedx) -> ScanResult:
    """Let it look at an SBOM of some packages."""
    bill = database.parent / "sbom.json"
    bill.write_bytes(form(*purls))
    return anyio.run(functools.partial(GrypeScanner(str(program), database).scan, bill))


@pytest.mark.parametrize("form", [cyclonedx, spdx])
def test_it_finds_what_its_database_has(program: Path, database: Path, form: Callable[..., bytes]) -> None:
    """Of each kind of package; what no database knows of was not looked at, and that is told."""
    others = ("pkg:maven/org.example/tool@1.9", "pkg:gem/rack@2.2.3", "pkg:composer/example/tool@4.0.1")
    result = scan(program, database, ZLIB, LODASH, SCOPED, DJANGO, X_NET, RUNTIME, CRATE, BINARY, *others, form=form)

    assert (result.scanner, result.database.name) == ("grype", "grype-db v6.1.4")
    assert result.database.built == BUILT
    assert result.uncovered == (BINARY,)
    assert {(item.purl.lower(), item.severity, item.fixed) for item in result.findings} == {
        (ZLIB.lower(), Severity.LOW, (MENDED,)),
        (LODASH, Severity.HIGH, ("4.17.21",)),
        (DJANGO.lower(), Severity.HIGH, ("4.2.2",)),
        (X_NET, Severity.HIGH, ("0.18.0",)),
        (RUNTIME.lower(), Severity.HIGH, ("10.0.2",)),
        (CRATE, Severity.HIGH, ("0.2.23",)),
        (others[0], Severity.HIGH, ("2.0",)),
        (others[1], Severity.HIGH, ("3.0",)),
        (others[2], Severity.HIGH, ("5.0.0",)),
    }


@pytest.mark.parametrize("distro", ["debian-13", "debian-13.2"])
def test_a_release_has_many_spellings(program: Path, database: Path, distro: str) -> None:
    """Debian's vulnerabilities are those of its release, not of its point release."""
    purl = ZLIB.replace("distro=debian-13&", f"distro={distro}&")

    assert len(scan(program, database, purl).findings) == 1


def test_what_it_finds_is_judged_by_us(program: Path, database: Path) -> None:
    """Its database is as old as the policy says, whatever Grype thinks of that."""
    result = scan(program, database, LODASH)

    assert not judge("image", result, GatePolicy(), {}, BUILT + timedelta(days=4)).passed
    with pytest.raises(DatabaseError, match=r"grype-db v6\.1\.4 is 400 days old"):
        judge("image", result, GatePolicy(), {}, BUILT + timedelta(days=400))


@pytest.mark.parametrize(("kind", "named"), [("deb", "debian 13"), ("npm", "npm"), ("python", "python")])
def test_a_database_that_knows_nothing_of_a_kind_is_no_pass(
    tmp_path: Path, program: Path, kind: str, named: str
) -> None:
    """Grype itself finds nothing then, and says nothing."""
    database = import_database(program, tmp_path, BUILT, [kind])
    with pytest.raises(DatabaseError, match=f"knows nothing of {named}$"):
        scan(program, database, ZLIB, LODASH, DJANGO)


def test_a_release_that_its_database_does_not_know_is_no_pass(program: Path, database: Path) -> None:
    """All of Debian 14 would be well."""
    with pytest.raises(DatabaseError, match=r"knows nothing of debian 14$"):
        scan(program, database, ZLIB.replace("debian-13", "debian-14"))


def test_no_database_is_no_pass(tmp_path: Path, program: Path) -> None:
    """It is told apart from a failure of Grype."""
    with pytest.raises(DatabaseError, match="database does not exist"):
        scan(program, tmp_path / "none", LODASH)


def test_a_damaged_database_is_no_pass(program: Path, database: Path) -> None:
    """Grype knows its digest."""
    with sqlite3.connect(database / "6" / "vulnerability.db") as connection:
        connection.execute("DELETE FROM affected_package_handles")
    connection.close()
    with pytest.raises(DatabaseError, match="checksum"):
        scan(program, database, LODASH)
