"""Which of the releases that fit is taken, which wait, and which are refused.

A release that was just published is the one in which nobody has yet found what is wrong with it: it waits until it is
as old as the cool-down of its component. The clock is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pipeline.resolve.release import Concern, Release, concerns


@dataclass(frozen=True, slots=True)
class Caution:
    """How careful to be: how old a release must be at `now`, and which (`package@version`) a person accepted."""

    now: datetime
    cool_down: timedelta = timedelta(days=1)
    accepted: frozenset[str] = frozenset()

    @property
    def cutoff(self) -> datetime | None:
        """When a release must have been published at the latest; None where any time will do."""
        return self.now - self.cool_down if self.cool_down else None

    def ready(self, release: Release, hindrance: Hindrance) -> datetime | None:
        """Return when a release will be old enough, where that is what hinders it."""
        return release.published + self.cool_down if release.published and hindrance is Hindrance.YOUNG else None

    def accepts(self, release: Release) -> bool:
        """Tell whether a person has looked at a release and takes it as it is."""
        return str(release) in self.accepted

    def hindrance(self, release: Release) -> Hindrance | None:
        """Return why a release that nobody asked for by its number is passed over, if it is."""
        if release.missing:
            return Hindrance.INCOMPLETE
        if release.deprecated and not self.accepts(release):
            return Hindrance.DEPRECATED
        if self.cutoff is None:
            return None
        if release.published is None:
            return None if self.accepts(release) else Hindrance.UNDATED
        return Hindrance.YOUNG if release.published > self.cutoff else None


class Hindrance(StrEnum):
    """Why a release is passed over."""

    YOUNG = "it is too young"
    UNDATED = "the registry does not say when it was published"
    DEPRECATED = "it is deprecated"
    INCOMPLETE = "it is not published for every platform"
    NEEDS = "it needs something that is too young"

    @property
    def passes(self) -> bool:
        """Tell whether it will be over without anybody's doing."""
        return self in {Hindrance.YOUNG, Hindrance.INCOMPLETE, Hindrance.NEEDS}


class Outcome(StrEnum):
    """What becomes of a package: taken for the first time, moved, left where it is, or why it stays behind."""

    NEW = "new"
    MOVED = "moved"
    STAYS = "stays"
    WAITS = "waits"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A release that fits and is newer than what was chosen."""

    release: Release
    hindrance: Hindrance
    ready: datetime | None = None
    """When it will be old enough, where that is what it lacks."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a package, and everything the decision rests on.

    `locked` is what the lock holds; it can stay where it `fits` what is wanted. `chosen` is the newest release that
    nothing hinders; with `concerns` it is refused. `note` is what else a person should know.
    """

    name: str
    locked: Release | None
    fits: bool
    chosen: Release | None
    passed: tuple[PassedOver, ...] = ()
    concerns: tuple[Concern, ...] = ()
    note: str = ""

    @property
    def outcome(self) -> Outcome:
        """What becomes of the package."""
        if self.chosen is None:
            if not self.passed:
                return Outcome.STAYS
            return Outcome.WAITS if any(item.hindrance.passes for item in self.passed) else Outcome.REFUSED
        if self.concerns:
            return Outcome.REFUSED
        if self.locked is None:
            return Outcome.NEW
        return Outcome.STAYS if self.chosen.version == self.locked.version else Outcome.MOVED

    @property
    def taken(self) -> Release | None:
        """The release that goes into the lock; None where there is none that may."""
        if self.chosen and not self.concerns:
            return self.chosen
        return self.locked if self.fits else None


def decide(
    name: str,
    candidates: Iterable[Release],
    caution: Caution,
    *,
    locked: Release | None = None,
    fits: bool = False,
    by_hand: bool = False,
    note: str = "",
) -> Decision:
    """Decide between `candidates`, the releases that fit and are newer than a lock that may stay, newest first.

    With `by_hand` a person named the very version, which then is neither too young nor passed over as deprecated.
    """
    passed: list[PassedOver] = []
    for release in candidates:
        hindrance = caution.hindrance(release)
        if hindrance and (not by_hand or hindrance is Hindrance.INCOMPLETE):
            passed.append(PassedOver(release, hindrance, caution.ready(release, hindrance)))
            continue
        found = () if locked is None or caution.accepts(release) else concerns(locked, release)
        return Decision(name, locked, fits, release, tuple(passed), found, note)
    return Decision(name, locked, fits, None, tuple(passed), note=note)
