"""Which tags an image gets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.digest import Digest, digest_bytes
from pipeline.models.kinds import TagPolicySpec
from pipeline.resolve.tags import Tags, day_of, image_tags, publish_tags

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


A, B = digest_bytes(b"a"), digest_bytes(b"b")
BARE, WITH_COMMIT = "2026.11.03", "2026.11.03-0123456789ab"


def chosen(present: Mapping[str, Digest], digest: Digest = A, commit: str = COMMIT) -> Tags:
    """Return the tags of an image where `present` are there."""
    return publish_tags(POLICY, DAY, present, digest, version="2.1.330", commit=commit)


def test_the_tag_people_pull_comes_last() -> None:
    """After the ones that never move, the bare date being the last of those."""
    assert chosen({}) == Tags((WITH_COMMIT, BARE), ("2", "2.1", "2.1.330", "latest"))


def test_an_image_published_again_that_day_gets_no_further_date() -> None:
    """Not of another commit either; the tags that move, move to it again."""
    assert chosen({BARE: A, WITH_COMMIT: A}).fixed == (WITH_COMMIT, BARE)
    assert chosen({BARE: A, WITH_COMMIT: A}, commit="f" * 40).fixed == (BARE,)


def test_a_run_that_was_cut_off_between_two_dates_is_finished() -> None:
    """The bare date is not there yet, so the others are not all there."""
    assert chosen({WITH_COMMIT: A}).fixed == (WITH_COMMIT, BARE)


def test_another_image_of_that_day_gets_the_next_number() -> None:
    """And keeps it."""
    assert chosen({BARE: B}).fixed == (f"{BARE}.1-0123456789ab", f"{BARE}.1")
    assert chosen({BARE: B, f"{BARE}.1": A}).fixed == (f"{BARE}.1",)
    assert chosen({BARE: B, f"{BARE}.1": A}, B).fixed == (BARE,)


@given(st.dictionaries(st.sampled_from([BARE, WITH_COMMIT, f"{BARE}.1", f"{BARE}.2"]), st.sampled_from([A, B])))
def test_no_dated_tag_is_taken_from_another_image(present: dict[str, Digest]) -> None:
    """Whatever is there; and what is published twice changes nothing more."""
    first = chosen(present)
    assert all(present.get(tag, A) == A for tag in first.fixed)

    after = {**present, **dict.fromkeys(first.fixed, A)}
    assert chosen(after).fixed == first.fixed


def test_tags_of_a_day_are_those_that_name_it() -> None:
    """The others need not be asked about."""
    assert day_of(["latest", "2026.11.03", "2026.11.03.1-ab", "2026.11.04"], DAY) == ("2026.11.03", "2026.11.03.1-ab")
