"""Files in which packages describe themselves, good ones and broken ones."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.supply.sbom.described import OS_RELEASE, describes, read_description
from pipeline.supply.sbom.facts import FileFact, Found
from pipeline.supply.sbom.licences import debian_licences, expression, references
from pipeline.supply.sbom.programs import modules
from tests.unit.supply.sbom.samples import STATUS, cargo_section, elf, go_section, package_json, status

DIST_INFO = "opt/x/lib/python3.13/site-packages/Left_Pad-1.0.dist-info/METADATA"
EGG_INFO = "usr/lib/python3/dist-packages/right-1.egg-info"
COPYRIGHT = "usr/share/doc/apt/copyright"
NAMES = [STATUS, OS_RELEASE, "opt/a/package.json", DIST_INFO, EGG_INFO, COPYRIGHT]


def read(path: str, content: str | bytes) -> FileFact:
    """Return what a file says."""
    return read_description(path, io.BytesIO(content.encode() if isinstance(content, str) else content))


@pytest.mark.parametrize("path", NAMES)
def test_files_are_known_by_their_names(path: str) -> None:
    """Those of the formats that are read."""
    assert describes(path)


@pytest.mark.parametrize("path", ["package-lock.json", "x/var/lib/dpkg/status", "a/METADATA", "usr/share/doc/apt/news"])
def test_other_files_are_not_looked_into(path: str) -> None:
    """However alike their names."""
    assert not describes(path)


@pytest.mark.parametrize("path", NAMES)
@given(content=st.binary(max_size=200))
def test_no_content_makes_reading_fail(path: str, content: bytes) -> None:
    """An image may hold anything; what is no description describes nothing."""
    assert read(path, content).path == path


def test_dpkg_says_what_is_installed() -> None:
    """With architecture and source; continued lines are prose."""
    (found,) = read(STATUS, status(("apt", "3.0.4"))).packages

    assert found == Found(kind="deb", name="apt", version="3.0.4", architecture="amd64", source="src-apt=0.9")


def test_what_is_removed_but_for_its_configuration_is_not_installed() -> None:
    """It stays in the list."""
    text = status(("apt", "3.0.4")).replace("install ok installed", "deinstall ok config-files")

    assert read(STATUS, text).packages == ()


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"license": "MIT"}, "MIT"),
        ({"license": {"type": "ISC", "url": "x"}}, "ISC"),
        ({"licenses": [{"type": "MIT"}, {"type": "Apache-2.0"}]}, "MIT OR Apache-2.0"),
        ({"license": 5}, ""),
        ({}, ""),
    ],
)
def test_npm_says_its_licence_in_several_ways(fields: dict[str, object], licence: str) -> None:
    """The ways of old packages too."""
    (found,) = read("a/package.json", package_json("left", "1.0.0", **fields)).packages

    assert found.licence == licence


@pytest.mark.parametrize("text", ["[1]", '"x"', '{"name": "a"}', '{"name": 1, "version": "1"}', "[" * 100_000])
def test_a_package_json_without_name_and_version_is_no_package(text: str) -> None:
    """Folders have one to say how their files are to be read."""
    assert read("a/package.json", text).packages == ()


def test_python_packages_say_their_licence_as_an_expression_or_in_a_word() -> None:
    """A whole text is not kept."""
    head = "Metadata-Version: 2.4\nName: Left_Pad\nVersion: 1.0\n"
    said = [
        read(DIST_INFO, head + rest).packages[0].licence
        for rest in (
            "License-Expression: MIT OR Apache-2.0\nLicense: x\n",
            "License: BSD\n",
            "License: a\n  b\n  c\n",
            "",
        )
    ]

    assert said == ["MIT OR Apache-2.0", "BSD", "", ""]


def test_a_go_program_says_what_it_was_linked_from() -> None:
    """What was replaced is the replacement; the standard library has the version of the compiler."""
    found = modules(io.BytesIO(elf({".text": b"code", ".go.buildinfo": go_section()})))

    assert [(one.name, one.version, one.checksum) for one in found] == [
        ("stdlib", "1.24.1", ""),
        ("example.com/tool", "v1.2.3", "h1:bWFpbg=="),
        ("golang.org/x/text", "v0.14.0", "h1:dGV4dA=="),
        ("example.com/new", "v1.0.1", "h1:bmV3"),
    ]


def test_a_rust_program_says_what_it_was_linked_from() -> None:
    """What only its building needed is not in it."""
    section = cargo_section(
        [{"name": "serde", "version": "1.0.0"}, {"name": "cc", "version": "1.1.0", "kind": "build"}]
    )

    assert modules(io.BytesIO(elf({".dep-v0": section}))) == (Found(kind="cargo", name="serde", version="1.0.0"),)


@given(
    st.sampled_from([elf({".go.buildinfo": go_section()}), elf({".dep-v0": cargo_section([{"name": "a"}])})]),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=8),
    st.integers(0, 900),
)
def test_no_program_makes_reading_fail(program: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    """Neither one that is cut off nor one with any byte changed."""
    data = bytearray(program)
    for at, value in changes:
        if at < len(data):
            data[at] = value
    modules(io.BytesIO(bytes(data[: len(data) - cut])))
    modules(io.BytesIO(bytes(data)))


def test_a_section_of_another_length_than_it_says_is_nothing() -> None:
    """A bomb says that it is larger than any list of packages."""
    bomb = cargo_section([{"name": "a" * (20 << 20), "version": "1"}])

    assert modules(io.BytesIO(elf({".dep-v0": bomb}))) == ()


@pytest.mark.parametrize(
    ("words", "spdx"),
    [
        ("GPL-2+", "GPL-2.0-or-later"),
        ("LGPL-2.1", "LGPL-2.1-only"),
        ("GPL-3.0+", "GPL-3.0-or-later"),
        ("Expat", "MIT"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
        ("public-domain", "LicenseRef-public-domain"),
        ("GPL-2+ with Bison exception", "LicenseRef-GPL-2-with-Bison-exception"),
    ],
)
def test_debian_short_names_are_spdx_identifiers(words: str, spdx: str) -> None:
    """What SPDX does not list becomes a reference; nothing is guessed."""
    assert expression(debian_licences(f"Format: https://x\n\nFiles: *\nLicense: {words}\n")) == spdx


def test_a_copyright_file_for_people_says_nothing_to_machines() -> None:
    """Guessing a licence from prose is worse than not knowing it."""
    assert debian_licences("This package is under the GPL.\nLicense: GPL-2\n") == ""


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("MIT", "MIT"),
        ("(MIT OR Apache-2.0)", "MIT OR Apache-2.0"),
        ("SEE LICENSE IN README.md", "LicenseRef-SEE-LICENSE-IN-README.md"),
        ("BSD", "LicenseRef-BSD"),
        ("", ""),
        ("  ", ""),
        ("MIT AND LicenseRef-own", "MIT AND LicenseRef-own"),
        ("MIT AND ISC AND MIT", "MIT AND ISC"),
    ],
)
def test_what_packages_write_becomes_an_expression(text: str, result: str) -> None:
    """Or one reference to a licence that SPDX does not list."""
    assert expression(text) == result


@settings(deadline=None)  # the first to ask loads the list of licences
@given(st.text(max_size=60))
def test_every_licence_is_an_expression_in_the_end(text: str) -> None:
    """Made twice, it is the same; and what it refers to can be listed."""
    once = expression(text)

    assert expression(once) == once
    assert all(name in once for name in references(once))


def test_what_no_name_has_is_left_out() -> None:
    """A half of a character or a control character would be in no document."""
    (found,) = read("a/package.json", '{"name": "a\\ud800\\u001b[2Jb", "version": "1\\n"}').packages

    assert (found.name, found.version) == ("a[2Jb", "1")


def test_descriptions_that_are_too_large_are_not_read() -> None:
    """No package describes itself in so many bytes."""
    text = json.dumps({"name": "a", "version": "1", "x": "y" * (17 << 20)})

    assert read("a/package.json", text).packages == ()
