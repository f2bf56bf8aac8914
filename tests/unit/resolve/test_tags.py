"""Which tags an image gets."""

from __future__ import annotations

from datetime import date

import pytest

from pipeline.models.kinds import TagPolicySpec
from pipeline.resolve.tags import image_tags

DAY = date(2026, 11, 3)
POLICY = TagPolicySpec.model_validate(
    {"tags": ["latest", "{date}", "{date}-{commit}", "{version}", "{minor}", "{major}"]}
)
COMMIT = "0123456789abcdef"


def test_every_tag_of_the_policy_is_filled_in() -> None:
    """In its order."""
    assert image_tags(POLICY, DAY, (), version="2.1.330", commit=COMMIT) == (
        *("latest", "2026.11.03", "2026.11.03-0123456789ab", "2.1.330", "2.1", "2"),
    )


def test_a_second_release_of_a_day_gets_a_number() -> None:
    """The tags of the first stay where they are; those that move, move."""
    taken = {"latest", "2026.11.03", "2026.11.03.1", "2026.11.03-0123456789ab", "2.1.330"}

    assert image_tags(POLICY, DAY, taken, version="2.1.330", commit=COMMIT)[:4] == (
        *("latest", "2026.11.03.2", "2026.11.03.2-0123456789ab", "2.1.330"),
    )


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("", ("latest", "2026.11.03")),
        ("3", ("latest", "2026.11.03", "3")),
        ("1.0.0-beta.2+build", ("latest", "2026.11.03", "1.0.0-beta.2-build", "1.0", "1")),
    ],
)
def test_what_is_not_known_makes_no_tag(version: str, expected: tuple[str, ...]) -> None:
    """And what a tag may not hold is replaced."""
    assert image_tags(POLICY, DAY, (), version=version) == expected


def test_two_patterns_that_come_to_the_same_give_one_tag() -> None:
    """`{minor}` of 2.1 is its version."""
    policy = TagPolicySpec.model_validate({"tags": ["{version}", "{minor}"]})

    assert image_tags(policy, DAY, (), version="2.1") == ("2.1",)
