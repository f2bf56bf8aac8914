"""SBOMs as a list of packages."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ScannerError
from pipeline.verify.vulnerabilities.component import parse_components, read_components
from tests.unit.verify.vulnerabilities.samples import DJANGO, LIBSSL, LODASH, ZLIB, cyclonedx, spdx


def test_both_formats_list_the_same() -> None:
    """Sorted, each package once."""
    purls = [ZLIB, LODASH, DJANGO, LODASH]

    assert parse_components(cyclonedx(*purls), "a") == parse_components(spdx(*purls), "a")
    assert [item.purl for item in parse_components(spdx(*purls), "a")] == [ZLIB, LODASH, DJANGO]


def test_packages_inside_packages_count() -> None:
    """CycloneDX nests what is bundled."""
    inner = {"type": "library", "name": "lodash", "purl": LODASH}
    document = {"bomFormat": "CycloneDX", "components": [{"type": "file", "name": "a", "components": [inner]}]}

    assert [item.purl for item in parse_components(json.dumps(document).encode(), "a")] == [LODASH]


def test_a_debian_package_tells_its_source() -> None:
    """By the qualifier; other kinds have one that means nothing here."""
    listed = parse_components(cyclonedx(LIBSSL, ZLIB, "pkg:npm/a@1?upstream=b"), "a")

    assert [item.source for item in listed] == ["openssl@3.5.1-1", "zlib", ""]


PROPERTY = "aquasecurity:trivy:Src"
OF_TRIVY = "pkg:deb/debian/libssl3@3.0.19-1?distro=debian-12.11&epoch=1"


@pytest.mark.parametrize(
    ("properties", "source"),
    [
        ({"Name": "openssl", "Epoch": "1", "Version": "3.0.19", "Release": "1"}, "openssl@1:3.0.19-1"),
        ({"Name": "openssl", "Version": "3.0.19"}, "openssl@3.0.19"),
        ({"Name": "openssl"}, "openssl"),
        ({"Version": "3.0.19"}, ""),
        ({"Name": ["openssl"], "Version": {}}, ""),
        ({}, ""),
    ],
)
def test_trivys_own_properties_tell_the_source(properties: dict[str, object], source: str) -> None:
    """And the epoch stands apart from the version, which is not one without."""
    given = [{"name": f"{PROPERTY}{name}", "value": value} for name, value in properties.items()]
    item = {"name": "libssl3", "purl": OF_TRIVY, "properties": [*given, {"name": 1}, "x", {"name": "of others"}]}
    (found,) = parse_components(json.dumps({"bomFormat": "CycloneDX", "components": [item]}).encode(), "a")

    assert (found.version, found.source) == ("1:3.0.19-1", source)


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("built package from: openssl 1:3.0.19-1", "openssl@1:3.0.19-1"),
        ("built package from: openssl", "openssl"),
        ("built package from: ", ""),
        ("acquired package info from dpkg", ""),
        (None, ""),
        (["built package from: openssl"], ""),
    ],
)
def test_trivys_own_words_tell_the_source(said: object, source: str) -> None:
    """In SPDX, where it has no properties."""
    reference = {"referenceType": "purl", "referenceLocator": OF_TRIVY}
    item = {"name": "libssl3", "sourceInfo": said, "externalRefs": [reference]}
    (found,) = parse_components(json.dumps({"spdxVersion": "SPDX-2.3", "packages": [item]}).encode(), "a")

    assert found.source == source


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no SBOM"),
        (b"{}", "neither CycloneDX nor SPDX"),
        (b'{"bomFormat": "CycloneDX"}', "lists no package"),
        (b'{"bomFormat": "CycloneDX", "components": {}}', "no SBOM"),
        (b'{"bomFormat": "CycloneDX", "components": [1]}', "no SBOM"),
        (b'{"bomFormat": "CycloneDX", "components": [{"purl": "lodash"}]}', "malformed package URL"),
        (b'{"bomFormat": "CycloneDX", "components": [{"purl": ["a"]}]}', "malformed package URL"),
        (b'{"bomFormat": "CycloneDX", "components": [{"purl": "pkg:npm/a"}]}', "which version"),
        (b'{"spdxVersion": "SPDX-3.0", "packages": []}', "neither"),
        (b'{"spdxVersion": "SPDX-2.3", "packages": []}', "lists no package"),
    ],
)
def test_what_is_no_sbom_is_told(data: bytes, words: str) -> None:
    """Nothing that cannot be read passes for an image without packages."""
    with pytest.raises(ScannerError, match=words) as caught:
        parse_components(data, "mine.json")

    assert str(caught.value).startswith("mine.json: ")


def test_an_sbom_that_is_not_there_is_told(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(ScannerError, match=r"gone\.json: cannot be read"):
        read_components(tmp_path / "gone.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just(LODASH),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["bomFormat", "spdxVersion", "components", "packages", "purl", "externalRefs", "name"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=500, deadline=None)
@given(JSON, st.sampled_from([{"bomFormat": "CycloneDX"}, {"spdxVersion": "SPDX-2.3"}]))
def test_no_shape_of_an_sbom_ends_the_program(value: Any, head: dict[str, str]) -> None:
    """It is read or refused in words."""
    document = {**value, **head} if isinstance(value, dict) else {**head, "components": value, "packages": value}
    with suppress(ScannerError):
        assert parse_components(json.dumps(document).encode(), "x")
