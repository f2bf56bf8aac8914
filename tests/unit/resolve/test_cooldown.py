"""Which release is taken at a given time, which wait, and which are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.resolve.cooldown import Caution, Decision, Hindrance, Outcome, PassedOver, decide
from pipeline.resolve.release import Part, Release

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = Caution(NOW)


def release(version: str, hours: float | None = 100, *, missing: tuple[str, ...] = (), **more: object) -> Release:
    """Return a release that is so many hours old; of unknown age with None."""
    published = None if hours is None else NOW - hours * HOUR
    return Release("tool", version, (Part("tool", published, **more),), missing)  # type: ignore[arg-type]


LOCKED = release("1.0.0", 1000)


def decided(*candidates: Release, caution: Caution = DAY, by_hand: bool = False) -> Decision:
    """Decide with 1.0.0 in the lock."""
    return decide("tool", candidates, caution, locked=LOCKED, fits=True, by_hand=by_hand)


def test_the_newest_that_is_old_enough_is_taken() -> None:
    """The younger one waits, and it is said until when."""
    young, old = release("1.2.0", 6), release("1.1.0", 24)
    decision = decided(young, old, release("1.0.5"))

    assert (decision.outcome, decision.taken) == (Outcome.MOVED, old)
    assert decision.passed == (PassedOver(young, Hindrance.YOUNG, NOW + 18 * HOUR),)


@pytest.mark.parametrize(
    ("hours", "days", "outcome"),
    [
        (24, 1, Outcome.MOVED),
        (23.99, 1, Outcome.WAITS),
        (23.99, 0.5, Outcome.MOVED),
        (0, 0, Outcome.MOVED),
        (-1, 0, Outcome.MOVED),
        (-1, 1, Outcome.WAITS),
        (100, 7, Outcome.WAITS),
    ],
)
def test_a_release_waits_until_it_is_as_old_as_the_cool_down(hours: float, days: float, outcome: Outcome) -> None:
    """To the moment; a clock that is behind makes no release old."""
    decision = decided(release("1.1.0", hours), caution=Caution(NOW, timedelta(days=days)))

    assert decision.outcome is outcome
    assert decision.taken == (decision.chosen or LOCKED)


HINDERED = {
    "nothing newer": ((), Outcome.STAYS),
    "too young": ((release("1.1.0", 1),), Outcome.WAITS),
    "not complete": ((release("1.1.0", missing=("tool-arm64",)),), Outcome.WAITS),
    "deprecated": ((release("1.1.0", deprecated="bad"),), Outcome.REFUSED),
    "of unknown age": ((release("1.1.0", None),), Outcome.REFUSED),
    "too young and deprecated": ((release("1.2.0", deprecated="bad"), release("1.1.0", 1)), Outcome.WAITS),
}


@pytest.mark.parametrize(("candidates", "outcome"), HINDERED.values(), ids=HINDERED.keys())
def test_what_is_locked_stays_where_nothing_can_be_taken(candidates: tuple[Release, ...], outcome: Outcome) -> None:
    """And it is said why."""
    decision = decided(*candidates)

    assert (decision.outcome, decision.taken) == (outcome, LOCKED)
    assert [item.release for item in decision.passed] == list(candidates)


def test_nothing_is_taken_where_nothing_is_locked_and_all_is_too_young() -> None:
    """The caller says so."""
    assert decide("tool", [release("1.1.0", 1)], DAY).taken is None


def test_a_first_release_is_new() -> None:
    """There is nothing to compare it with."""
    decision = decide("tool", [release("1.1.0", scripts={"install": "x"})], DAY)

    assert (decision.outcome, decision.concerns) == (Outcome.NEW, ())


def test_a_concern_refuses_and_what_is_locked_stays() -> None:
    """An older release that has none is not taken in its place: a person is to look."""
    decision = decided(release("1.2.0", scripts={"install": "x"}), release("1.1.0"))

    assert (decision.outcome, decision.taken) == (Outcome.REFUSED, LOCKED)
    assert decision.chosen == release("1.2.0", scripts={"install": "x"})


def test_a_refused_release_is_no_way_out_of_a_lock_that_does_not_answer() -> None:
    """Neither may be in the lock."""
    decision = decide("tool", [release("1.2.0", scripts={"install": "x"})], DAY, locked=LOCKED, fits=False)

    assert decision.taken is None


ACCEPTED = {
    "a script": release("1.1.0", scripts={"install": "x"}),
    "deprecated": release("1.1.0", deprecated="bad"),
    "of unknown age": release("1.1.0", None),
}


@pytest.mark.parametrize("new", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_release_that_was_accepted_is_taken(new: Release) -> None:
    """That very version of that very package, and no other."""
    other = Caution(NOW, accepted=frozenset({"tool@1.1.1", "tools@1.1.0"}))

    assert decided(new, caution=other).outcome is Outcome.REFUSED
    assert decided(new, caution=Caution(NOW, accepted=frozenset({"tool@1.1.0"}))).taken == new


def test_accepting_does_not_shorten_the_wait() -> None:
    """That is another question."""
    caution = Caution(NOW, accepted=frozenset({"tool@1.1.0"}))

    assert decided(release("1.1.0", 1), caution=caution).outcome is Outcome.WAITS


@pytest.mark.parametrize("hours", [1, None])
def test_a_version_that_a_person_wrote_does_not_wait(hours: float | None) -> None:
    """Whoever wrote it wants it now; what else changed is still looked at."""
    assert decided(release("1.1.0", hours), by_hand=True).outcome is Outcome.MOVED
    assert decided(release("1.1.0", hours, deprecated="bad"), by_hand=True).outcome is Outcome.REFUSED
    assert decided(release("1.1.0", hours, missing=("x",)), by_hand=True).outcome is Outcome.WAITS
