"""References to images, as people write them."""

from __future__ import annotations

import pytest

from pipeline.catalog.evidence import parse_image
from pipeline.errors import UsageError
from tests.unit.supply.check.looking import SUBJECT


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("localhost:5000/a/b", "latest"),
        ("ghcr.io/me/claude:2.1", "2.1"),
        (f"ghcr.io/me/claude:2.1@{SUBJECT}", SUBJECT),
        (f"ghcr.io/me/claude@{SUBJECT}", SUBJECT),
    ],
)
def test_a_reference_is_read(text: str, name: str) -> None:
    """A digest wins over a tag, which is left out of account."""
    assert parse_image(text).tag == name


@pytest.mark.parametrize(
    "text", ["", "claude", "ghcr.io/", "https://ghcr.io/me/x", "a/b c", "a/../b", "a/b@sha256:12", "a/b?x"]
)
def test_what_is_no_reference_is_a_usage_error(text: str) -> None:
    """Before anything is asked of anybody."""
    with pytest.raises(UsageError):
        parse_image(text)
