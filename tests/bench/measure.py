"""Figures and what they mean: samples, ratios with their spread, goals, bytes a user pulls. All pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

OURS = "ours"
DOCKERFILES = "dockerfiles"
SIDES = (OURS, DOCKERFILES)

Layers = Mapping[str, Mapping[str, int]]
"""Image to the digest and size of all that one who pulls it needs."""

_STEP = re.compile(r"\[(?P<stage>[^\]]+)\] (?P<name>.+) … done (?:(?P<minutes>\d+)m )?(?P<seconds>[\d.]+)s")


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something both sides do; `goal` is the most that ours ÷ Dockerfiles may be, `rounds` how often it is done."""

    name: str
    title: str
    rounds: int
    goal: float | None = None
    pulled_goal: float | None = None


NO_OP = Scenario("no-op", "nothing changed", 5, 0.5)
BUMP = Scenario("agent-bump", "one agent bumped (claude)", 3, 0.5)
UPDATE = Scenario("base-update", "security update of the root", 2, 0.15, 0.35)
COLD_BASE = Scenario("cold-base", "one base alone, cold", 3, 1.05)
COLD_MATRIX = Scenario("cold-matrix", "whole matrix, cold", 2, 0.6)
SCENARIOS = (NO_OP, BUMP, UPDATE, COLD_BASE, COLD_MATRIX)
"""In the order they are shown."""
IN_TURN = (NO_OP, UPDATE, COLD_BASE, COLD_MATRIX, BUMP)
"""In the order they are done: what needs everything built and leaves much behind comes before the cold ones."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a build and its wall time."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured run of one side.

    `pushed` is what the registry got, `pulled` what users of the previous tags pull, one image each; both in bytes.
    `load` is how many processes wanted to run when it began, besides it.
    """

    scenario: str
    side: str
    round: int
    seconds: float
    pushed: int
    pulled: int
    load: float
    digests: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours ÷ Dockerfiles, round by round: the middle one, the least and the most."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        """Return `0.42 (0.40 to 0.45)`."""
        return f"{self.middle:.2f} ({self.least:.2f} to {self.most:.2f})"

    def meets(self, goal: float) -> bool:
        """Tell whether the middle one is within `goal`."""
        return self.middle <= goal


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio | None:
    """Return the ratio of figures that were taken in turn; None where there is nothing to compare."""
    rounds = [mine / other for mine, other in zip(ours, theirs, strict=False) if other]
    return Ratio(median(rounds), min(rounds), max(rounds)) if rounds else None


def of(samples: Iterable[Sample], scenario: Scenario, side: str) -> list[Sample]:
    """Return the samples of one side of a scenario, in order."""
    found = [sample for sample in samples if (sample.scenario, sample.side) == (scenario.name, side)]
    return sorted(found, key=lambda sample: sample.round)


def pulled_bytes(before: Layers, after: Layers) -> int:
    """Return what users of the images `before` pull when each moves to the same image `after`."""
    return sum(
        size
        for image, layers in after.items()
        for digest, size in layers.items()
        if digest not in before.get(image, {})
    )


def new_bytes(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """Return the size of the blobs that came."""
    return sum(size for digest, size in after.items() if digest not in before)


def same_digests(samples: Sequence[Sample]) -> bool:
    """Tell whether all builds gave the same images; false where there is nothing to compare."""
    return len(samples) > 1 and all(sample.digests == samples[0].digests for sample in samples)


def read_steps(log: str) -> tuple[Step, ...]:
    """Return the steps in what `agc build` says on standard error, the longest first.

    A step that several images wait for is told by each; it is counted once.
    """
    steps: dict[str, float] = {}
    for line in log.splitlines():
        if found := _STEP.match(line):
            seconds = 60 * int(found["minutes"] or 0) + float(found["seconds"])
            name = f"{found['stage']}: export" if found["name"].startswith("exporting") else found["name"]
            steps[name] = max(steps.get(name, 0.0), seconds)
    return longest(steps)


def longest(steps: Mapping[str, float]) -> tuple[Step, ...]:
    """Return steps, the longest first."""
    return tuple(Step(name, seconds) for name, seconds in sorted(steps.items(), key=lambda step: (-step[1], step[0])))
