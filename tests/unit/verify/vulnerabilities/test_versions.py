"""Which version is the older one."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.verify.vulnerabilities.versions import UnknownVersionError, compare


@pytest.mark.parametrize(
    ("ecosystem", "ordered"),
    [
        ("Debian", ["1.0~rc1-1", "1.0-1~bpo1", "1.0-1", "1.0-1+b1", "1.0-1+deb13u1", "1.0a-1", "2:0.1"]),
        ("npm", ["0", "0.0.1-alpha", "0.0.1-alpha.1", "0.0.1-alpha.beta", "0.0.1", "1.0.0-rc.9", "1.0.0-rc.10", "1.2"]),
        ("PyPI", ["1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.1", "1!0.1"]),
        ("NuGet", ["1.0.0-beta.2", "1.0.0-beta.10", "1.0", "1.0.0.1", "1.1.0", "10.0.100"]),
        ("crates.io", ["0.0.0-0", "0.0.0", "0.1.44", "0.2.0-alpha.1", "0.2.0-alpha.10", "0.2.0", "1.0.0+build"]),
        ("Go", ["0", "v0.1.0", "0.17.0", "v0.18.0-rc.1", "v0.18.0"]),
    ],
)
def test_versions_follow_each_other(ecosystem: str, ordered: list[str]) -> None:
    """By the rules of their world, and from both sides."""
    for at, first in enumerate(ordered):
        for after, second in enumerate(ordered):
            assert compare(ecosystem, first, second) == (at > after) - (at < after), (first, second)


@pytest.mark.parametrize(
    ("ecosystem", "first", "second"),
    [("Debian", "1.0-1", "0:1.0-1"), ("npm", "1.2.3+a", "v1.2.3"), ("npm", "1", "1.0.0"), ("PyPI", "1.0", "1.0.0")],
)
def test_equal_versions_may_be_written_in_several_ways(ecosystem: str, first: str, second: str) -> None:
    """So a fix is met by any of them."""
    assert compare(ecosystem, first, second) == 0


@pytest.mark.parametrize(("ecosystem", "bad"), [("Debian", "x y"), ("npm", "?"), ("PyPI", "2004d-x!"), ("Go", "")])
def test_what_is_no_version_is_told(ecosystem: str, bad: str) -> None:
    """Whoever asked decides what follows from it."""
    with pytest.raises(UnknownVersionError):
        compare(ecosystem, bad, "1.0.0")


DEBIAN = st.from_regex(r"([0-2]:)?[0-9][0-9a-zA-Z.+~]{0,6}(-[0-9a-zA-Z.+~]{1,4})?", fullmatch=True)


@given(DEBIAN, DEBIAN, DEBIAN)
def test_the_order_of_debian_versions_is_an_order(first: str, second: str, third: str) -> None:
    """It has no circles."""
    assert compare("Debian", first, second) == -compare("Debian", second, first)
    if compare("Debian", first, second) <= 0 and compare("Debian", second, third) <= 0:
        assert compare("Debian", first, third) <= 0


@given(st.sampled_from(["Debian", "npm", "PyPI", "Go", "crates.io"]), st.text(max_size=12), st.text(max_size=12))
def test_no_text_ends_the_program(ecosystem: str, first: str, second: str) -> None:
    """It has a place in the order, or is said to have none."""
    with suppress(UnknownVersionError):
        assert compare(ecosystem, first, second) in {-1, 0, 1}
