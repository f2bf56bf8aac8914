"""What Trivy is given: each package as it must be told to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import DatabaseError, ScannerError
from pipeline.verify.vulnerabilities.component import Component, parse_components
from pipeline.verify.vulnerabilities.trivy_listing import Listing, listing_of
from tests.unit.verify.vulnerabilities.samples import (
    BINARY,
    DJANGO,
    LIBSSL,
    LODASH,
    RUNTIME,
    SCOPED,
    X_NET,
    ZLIB,
    cyclonedx,
    spdx,
)


def listed(*purls: str) -> Listing:
    """Return the listing of packages."""
    return listing_of(parse_components(cyclonedx(*purls), "a"))


def entries(listing: Listing) -> list[dict[str, Any]]:
    """Return the components of its document."""
    found: list[dict[str, Any]] = json.loads(listing.document())["components"]
    return found


def test_a_debian_package_tells_its_source_and_the_system() -> None:
    """Under the source's name and version, which may both be others."""
    listing = listed(LIBSSL, ZLIB)
    system, libssl, zlib = entries(listing)
    sources = [{item["name"]: item["value"] for item in entry["properties"]} for entry in (libssl, zlib)]

    assert (system["type"], system["name"], system["version"]) == ("operating-system", "debian", "13")
    assert (libssl["name"], libssl["purl"]) == ("libssl3t64", "pkg:deb/debian/libssl3t64@3.5.1-1")
    assert sources == [
        {"aquasecurity:trivy:SrcName": "openssl", "aquasecurity:trivy:SrcVersion": "3.5.1-1"},
        {"aquasecurity:trivy:SrcName": "zlib", "aquasecurity:trivy:SrcVersion": "1:1.3.dfsg+really1.3.1-1"},
    ]
    assert listing.buckets == ("debian 13",)


def test_both_formats_come_to_the_same() -> None:
    """SPDX names no system, and need not."""
    purls = (ZLIB, LODASH, DJANGO)
    given = [listing_of(parse_components(form(*purls), "a")) for form in (cyclonedx, spdx)]

    assert given[0].document() == given[1].document()


def test_names_are_whole_and_spelled_as_in_the_sbom() -> None:
    """A package URL of PyPI is in lower case; that of npm has the scope in a part of its own."""
    others = parse_components(cyclonedx(SCOPED, X_NET, RUNTIME), "a")
    listing = listing_of([*others, Component(DJANGO, "Django", "4.2.1")])

    assert [entry["name"] for entry in entries(listing)] == [
        "golang.org/x/net",
        "@scope/tool",
        "Microsoft.NETCore.App",
        "Django",
    ]
    assert listing.buckets == ("go::", "npm::", "nuget::", "pip::")
    assert listing_of([Component(SCOPED, "tool", "1.0.0-rc.1")]).document() == listed(SCOPED).document()


def test_a_version_beside_the_package_url_is_put_into_it() -> None:
    """Trivy reads it nowhere else; one without any is not looked at, and that is said."""
    listing = listing_of([Component("pkg:npm/lodash", "lodash", "4.17.20"), Component("pkg:cargo/serde", "serde", "")])

    assert [entry["purl"] for entry in entries(listing)] == [LODASH]
    assert listing.uncovered == ("pkg:cargo/serde",)


def test_each_package_is_known_by_its_place() -> None:
    """And what is no place is no package."""
    listing = listed(ZLIB, LODASH)

    found = [listing.component(entry["bom-ref"]) for entry in entries(listing)]
    assert [item.purl if item else None for item in found] == [None, ZLIB, LODASH]
    assert [listing.component(text) for text in ("", "2", "-1", "²", "1.0")] == [None] * 5


def test_what_trivy_knows_nothing_of_is_told() -> None:
    """Another distribution's packages as well: it looks at one system."""
    other = "pkg:deb/ubuntu/zlib1g@1?distro=ubuntu-24.04"

    assert listed(BINARY, LODASH, other).uncovered == (other, BINARY)
    with pytest.raises(DatabaseError, match="nothing that Trivy knows of"):
        listed(BINARY)


def test_a_debian_package_of_no_release_is_no_pass() -> None:
    """Nor are packages of two, of which Trivy would look at one."""
    with pytest.raises(DatabaseError, match="of which Debian release"):
        listed("pkg:deb/debian/zlib1g@1")
    with pytest.raises(ScannerError, match="several releases of Debian, 12, 13"):
        listed(ZLIB, "pkg:deb/debian/tar@1?distro=debian-12")
