"""What OSV's data says of the packages of an SBOM."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.finding import Severity
from pipeline.verify.vulnerabilities.osv_record import Affected, Event, Range
from pipeline.verify.vulnerabilities.versions import compare
from tests.unit.verify.vulnerabilities.samples import (
    BINARY,
    CRATE,
    DJANGO,
    LIBSSL,
    LODASH,
    RUNTIME,
    SCOPED,
    X_NET,
    ZLIB,
    records,
    scan,
)


def test_a_debian_package_is_found_under_its_source_package_and_release(tmp_path: Path) -> None:
    """zlib1g is made of zlib, and what Debian 12 has not mended is no matter on Debian 13."""
    (found,) = scan(tmp_path, ZLIB).findings

    assert found.id == "CVE-2026-1001"
    assert found.aliases == ("DEBIAN-CVE-2026-1001",)
    assert (found.severity, found.score) == (Severity.HIGH, "7.5")
    assert found.fixed == ("1:1.3.dfsg+really1.3.1-1+deb13u1",)
    assert found.purl == ZLIB


def test_a_mended_debian_package_is_not_found(tmp_path: Path) -> None:
    """The fixed version is the first that is well."""
    mended = ZLIB.replace("3.1-1?", "3.1-1%2Bdeb13u1?")

    assert scan(tmp_path, mended).findings == ()


def test_a_security_advisory_adds_to_its_vulnerabilities_and_lends_them_no_other_name(tmp_path: Path) -> None:
    """Or a statement on one of them would let pass the others."""
    (found,) = scan(tmp_path, LIBSSL).findings

    assert found.id == "CVE-2026-1002"
    assert found.aliases == ("DEBIAN-CVE-2026-1002", "DSA-6001-1")
    assert found.severity == Severity.LOW
    assert found.fixed == ("3.5.1-1+deb13u1", "3.5.1-1+deb13u2")


def test_an_older_advisory_has_its_vulnerabilities_as_aliases(tmp_path: Path) -> None:
    """They are still not the same vulnerability."""
    content = records()
    for item in content["Debian"]:
        if item["id"].startswith("DSA-"):
            item["aliases"] = item.pop("upstream")
    (found,) = scan(tmp_path, LIBSSL, content=content).findings

    assert found.aliases == ("DEBIAN-CVE-2026-1002", "DSA-6001-1")


def test_a_security_advisory_without_records_of_its_vulnerabilities_stands_alone(tmp_path: Path) -> None:
    """What a database leaves out is not taken for well."""
    content = records()
    content["Debian"] = [item for item in content["Debian"] if item["id"] == "DSA-6001-1"]
    (found,) = scan(tmp_path, LIBSSL, content=content).findings

    assert (found.id, found.severity) == ("DSA-6001-1", Severity.UNKNOWN)


def test_records_of_one_vulnerability_are_one_finding(tmp_path: Path) -> None:
    """GHSA and PYSEC tell of the same CVE; the rating of either counts."""
    (found,) = scan(tmp_path, DJANGO).findings

    assert found.id == "CVE-2026-2001"
    assert found.aliases == ("GHSA-djan-go11-2222", "PYSEC-2026-1")
    assert (found.severity, found.score) == (Severity.CRITICAL, "9.3")


def test_the_worst_rating_of_a_record_counts(tmp_path: Path) -> None:
    """A database's own word may be milder than the vector beside it."""
    (found,) = scan(tmp_path, LODASH).findings

    assert (found.id, found.severity, found.fixed) == ("CVE-2020-8203", Severity.HIGH, ())


def test_a_malicious_package_is_as_bad_as_can_be(tmp_path: Path) -> None:
    """Nobody rates it, and nobody wants it."""
    (found,) = scan(tmp_path, SCOPED).findings

    assert (found.id, found.severity) == ("MAL-2026-7", Severity.CRITICAL)


def test_a_go_module_is_found_in_a_binary(tmp_path: Path) -> None:
    """Its version is written with a `v` in SBOMs, and without one by OSV."""
    (found,) = scan(tmp_path, X_NET).findings

    assert (found.id, found.severity) == ("CVE-2023-44487", Severity.LOW)


def test_a_package_of_nuget_is_found_however_it_is_spelt(tmp_path: Path) -> None:
    """Its names have no case, and a word will do where there is no vector."""
    (found,) = scan(tmp_path, RUNTIME).findings

    assert (found.id, found.severity, found.score) == ("CVE-2026-3001", Severity.HIGH, "")
    assert found.fixed == ("10.0.2",)


def test_a_crate_is_found_in_a_binary(tmp_path: Path) -> None:
    """As `cargo auditable` left its name there."""
    (found,) = scan(tmp_path, CRATE, "pkg:cargo/time@0.2.23").findings

    assert (found.id, found.purl, found.severity) == ("CVE-2020-26235", CRATE, Severity.HIGH)
    assert found.fixed == ("0.2.23",)


def test_an_advisory_that_tells_of_no_vulnerability_is_rated_so(tmp_path: Path) -> None:
    """RustSec also tells of what nobody maintains; a new kind of remark counts as the worst, as nobody rated it."""
    content = records()
    (unmaintained,) = scan(tmp_path, "pkg:cargo/paste@1.0.15", content=content).findings
    content["crates.io"][1]["affected"][0]["database_specific"]["informational"] = "unsound"
    (unsound,) = scan(tmp_path, "pkg:cargo/paste@1.0.15", content=content).findings

    assert (unmaintained.id, unmaintained.severity) == ("RUSTSEC-2026-0001", Severity.NONE)
    assert unsound.severity is Severity.UNKNOWN


def test_what_no_ecosystem_has_is_told(tmp_path: Path) -> None:
    """A vendor's own binary was not looked at, and nobody may think it was."""
    result = scan(tmp_path, LODASH, BINARY)

    assert (result.components, result.uncovered) == (2, (BINARY,))


def test_an_image_of_which_nothing_is_known_is_no_pass(tmp_path: Path) -> None:
    """No finding would look like a clean image."""
    with pytest.raises(DatabaseError, match="nothing that OSV knows of"):
        scan(tmp_path, BINARY)


def test_a_missing_ecosystem_is_no_pass(tmp_path: Path) -> None:
    """The message names it, and what to fetch."""
    content = records()
    del content["PyPI"]
    with pytest.raises(DatabaseError, match="knows nothing of PyPI") as caught:
        scan(tmp_path, LODASH, DJANGO, content=content)

    assert "PyPI/all.zip" in caught.value.remedy


def test_a_debian_package_of_no_release_is_no_pass(tmp_path: Path) -> None:
    """It could be compared with no record at all."""
    with pytest.raises(DatabaseError, match="Debian release"):
        scan(tmp_path, "pkg:deb/debian/zlib1g@1.3")


@pytest.mark.parametrize("distro", ["debian-13", "debian-13.2", "trixie", "13"])
def test_a_release_has_many_spellings(tmp_path: Path, distro: str) -> None:
    """Each scanner writes its own."""
    assert len(scan(tmp_path, f"pkg:deb/debian/zlib@1%3A1.3-1?distro={distro}").findings) == 1


def test_the_date_of_the_database_is_that_of_its_oldest_part(tmp_path: Path) -> None:
    """Each part counts by its newest record; one that is not renewed makes the whole old."""
    assert scan(tmp_path, LODASH).database.built == datetime(2026, 11, 19, tzinfo=UTC)
    assert scan(tmp_path, LODASH, DJANGO).database.built == datetime(2026, 11, 17, tzinfo=UTC)


def test_the_digest_of_the_database_follows_its_content(tmp_path: Path) -> None:
    """What a verdict rested on can be told afterwards."""
    content = records()
    content["npm"][0]["summary"] = "changed"
    first, again = scan(tmp_path / "", LODASH), scan(tmp_path / "", LODASH)
    other = scan(tmp_path, LODASH, content=content)

    assert first == again
    assert first.database.digest != other.database.digest


def test_the_order_of_records_and_packages_makes_no_difference(tmp_path: Path) -> None:
    """Findings are sorted, and grouped whatever is met first."""
    purls = [ZLIB, LIBSSL, LODASH, SCOPED, DJANGO, X_NET]
    expected = scan(tmp_path, *purls).findings
    shuffled = records()
    for seed in range(5):
        for items in shuffled.values():
            random.Random(seed).shuffle(items)  # noqa: S311 (an order, no secret)
        random.Random(seed).shuffle(purls)  # noqa: S311

        assert scan(tmp_path, *purls, content=shuffled).findings == expected


@pytest.mark.parametrize(
    ("events", "versions", "affected"),
    [
        ([{"introduced": "0"}], [], {"1.0.0", "2.0.0", "3.0.0"}),
        ([{"introduced": "0"}, {"fixed": "2.0.0"}], [], {"1.0.0"}),
        ([{"fixed": "2.0.0"}, {"introduced": "0"}], [], {"1.0.0"}),
        ([{"introduced": "0"}, {"last_affected": "2.0.0"}], [], {"1.0.0", "2.0.0"}),
        ([{"introduced": "2.0.0"}, {"last_affected": "2.0.0"}], [], {"2.0.0"}),
        ([{"introduced": "0"}, {"fixed": "2.0.0"}, {"introduced": "3.0.0"}], [], {"1.0.0", "3.0.0"}),
        ([{"introduced": "0"}, {"limit": "2.0.0"}], [], {"1.0.0"}),
        ([{"introduced": "0"}, {"fixed": "2.0.0"}], ["3.0.0"], {"1.0.0", "3.0.0"}),
        ([{"introduced": "no version!"}], [], {"1.0.0", "2.0.0", "3.0.0"}),
    ],
)
def test_ranges_are_read_as_the_schema_says(events: list[Any], versions: list[str], affected: set[str]) -> None:
    """Events count by version, in whatever order they stand; what cannot be read counts as affected."""
    item = Affected.model_validate({"ranges": [{"type": "SEMVER", "events": events}], "versions": versions})

    assert {version for version in ("1.0.0", "2.0.0", "3.0.0") if item.includes("npm", version)} == affected


NUMBERS = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)).map(
    lambda parts: ".".join(map(str, parts))
)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_range_holds_what_lies_between_its_ends(start: str, end: str, version: str) -> None:
    """From the version that broke it, up to the one that mended it and not with it."""
    if compare("npm", start, end) >= 0:
        return
    item = Affected(ranges=(Range(type="SEMVER", events=(Event(fixed=end), Event(introduced=start))),))

    inside = compare("npm", start, version) <= 0 < compare("npm", end, version)
    assert item.includes("npm", version) == inside
