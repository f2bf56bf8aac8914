"""What the figures of the comparison with Dockerfiles mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.measure import (
    NO_OP,
    OURS,
    Ratio,
    Sample,
    Step,
    new_bytes,
    of,
    pulled_bytes,
    ratio,
    read_steps,
    same_digests,
)


def sample(side: str = OURS, number: int = 0, **digests: str) -> Sample:
    """Return a sample of the first scenario."""
    return Sample(NO_OP.name, side, number, 1.5, 10, 20, 0.5, digests)


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that slows down from round to round changes nothing."""
    assert ratio([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]) == Ratio(0.5, 0.5, 0.5)
    assert ratio([1.0, 3.0, 2.0], [4.0, 4.0, 4.0]) == Ratio(0.5, 0.25, 0.75)


def test_a_ratio_needs_something_to_compare_with() -> None:
    """Neither side missing nor a zero below the line gives a figure."""
    assert ratio([], [1.0]) is None
    assert ratio([1.0], [0.0]) is None
    assert ratio([1.0, 2.0], [2.0]) == Ratio(0.5, 0.5, 0.5)


def test_a_goal_is_met_up_to_itself() -> None:
    """It is the most that is allowed, and it is the middle round that counts."""
    assert Ratio(0.5, 0.4, 0.9).meets(0.5)
    assert not Ratio(0.51, 0.4, 0.6).meets(0.5)
    assert str(Ratio(0.5, 0.4, 0.9)) == "0.50 (0.40 to 0.90)"


def test_a_user_pulls_what_the_previous_tag_had_not() -> None:
    """Each image is compared with its own previous tag: what lies in another image is not at hand."""
    before = {"a": {"root": 40, "old": 5}, "b": {"root": 40, "other": 7}}
    after = {"a": {"root": 40, "new": 6}, "b": {"root": 40, "other": 7}, "c": {"root": 40}}

    assert pulled_bytes(before, after) == 6 + 40
    assert pulled_bytes(before, before) == 0


def test_bytes_pushed_are_those_of_blobs_that_came() -> None:
    """What was there before, or went, does not count."""
    assert new_bytes({"a": 1, "gone": 9}, {"a": 1, "b": 2, "c": 4}) == 6


def test_same_digests_takes_two_builds() -> None:
    """One build agrees with itself, which shows nothing."""
    assert same_digests([sample(a="1", b="2"), sample(number=1, b="2", a="1")])
    assert not same_digests([sample(a="1"), sample(number=1, a="2")])
    assert not same_digests([sample(a="1")])


def test_samples_of_a_scenario_come_in_order() -> None:
    """Round by round, whoever began."""
    last, first = sample(number=1), sample(number=0)

    assert of([last, sample(side="other"), first], NO_OP, OURS) == [first, last]


@pytest.mark.parametrize(
    ("line", "steps"),
    [
        ("[a on linux/amd64] unpack codex … done 1.4s", (Step("unpack codex", 1.4),)),
        ("[a on linux/amd64] agents/openclaw … done 1m 05s", (Step("agents/openclaw", 65.0),)),
        ("[export] exporting to oci image format … done 0.61s", (Step("export: export", 0.61),)),
        ("[a on linux/amd64] nothing to do in 3 steps", ()),
        ("warning: something", ()),
    ],
)
def test_steps_are_read_from_what_a_build_says(line: str, steps: tuple[Step, ...]) -> None:
    """One line a step that is done."""
    assert read_steps(line) == steps


def test_a_step_several_images_wait_for_counts_once() -> None:
    """With the time of who waited longest, and the longest step first."""
    log = "[a] unpack codex … done 1.0s\n[b] install … done 9.0s\n[b] unpack codex … done 2.0s\n"

    assert read_steps(log) == (Step("install", 9.0), Step("unpack codex", 2.0))


def test_both_sides_install_the_same_debian_packages() -> None:
    """The Dockerfiles name them by hand; ours come from definitions."""
    from pipeline.models.load import load_definitions
    from pipeline.resolve.lock import system_packages
    from tests.bench.sides import BASES
    from tests.bench.theirs import FOLDER

    checkout = Path(__file__).parents[3]
    folders = [checkout / "definitions", FOLDER.with_name("project") / "definitions"]
    definitions = load_definitions(folders, checkout)

    for base in BASES:
        lines = (FOLDER / f"{base}.Dockerfile").read_text().partition("--no-install-recommends")[2].partition("&&")[0]
        named = tuple(line.strip(" \\") for line in lines.splitlines() if line.strip(" \\"))
        assert named == system_packages(definitions, definitions.bases[base].model.spec), base
