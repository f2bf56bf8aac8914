"""Run the smoke tests of an image as graph nodes: an unchanged image is not tested twice, a failure is never cached.

All tests go to the engine in one solve. Where that fails, each is solved by itself, so that the report names every
failure and not only the first; those that had passed come from the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from pipeline.compose.layers import EPOCH
from pipeline.digest import Digest
from pipeline.engine.api import Engine, ProgressSink, StepEvent, StepStatus
from pipeline.errors import BuildError, Location, SmokeError
from pipeline.graph import Copy, scratch
from pipeline.platform import Platform
from pipeline.verify.cases import Depth, SmokeCase

_GRACE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """What became of one test. `seconds` is 0 where the result came from the cache."""

    component: str
    name: str
    passed: bool
    seconds: float = 0.0
    cached: bool = False
    output: tuple[str, ...] = ()
    location: Location | None = None
    depth: Depth = "answer"


@dataclass(frozen=True, slots=True)
class SmokeReport:
    """What became of all tests of one image on one platform; true when all passed."""

    image: str
    platform: Platform
    results: tuple[SmokeResult, ...] = ()

    @property
    def passed(self) -> int:
        """How many passed."""
        return sum(result.passed for result in self.results)

    @property
    def failures(self) -> tuple[SmokeResult, ...]:
        """Those that failed."""
        return tuple(result for result in self.results if not result.passed)

    def __bool__(self) -> bool:
        """Tell whether all passed."""
        return not self.failures

    def raise_for_failures(self) -> None:
        """Raise SmokeError that names every failed test and shows the last lines of the first."""
        if not self.failures:
            return
        first = self.failures[0]
        names = ", ".join(f"{failure.component}: {failure.name}" for failure in self.failures)
        words = "\n".join(f"  {line}" for line in first.output[-12:])
        raise SmokeError(
            f"{self.image} on {self.platform}: {len(self.failures)} of {len(self.results)} smoke tests failed: {names}"
            + (f"\n{words}" if words else ""),
            location=first.location,
            remedy=f"agc smoke {self.image} -v",
        )


@dataclass
class _Watch:
    """Notes time, cache and output of each step by its name, and passes events on."""

    sink: ProgressSink | None
    seconds: dict[str, float] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)
    output: dict[str, list[str]] = field(default_factory=dict)

    def __call__(self, event: StepEvent) -> None:
        if event.status is StepStatus.LOG:
            self.output.setdefault(event.name, []).append(event.log)
        elif event.status is StepStatus.CACHED:
            self.cached.add(event.name)
        elif event.status is StepStatus.DONE:
            self.seconds[event.name] = event.seconds
            self.cached.discard(event.name)
        if self.sink:
            self.sink(event)


async def run_smoke(
    image: str,
    cases: Sequence[SmokeCase],
    engine: Engine,
    platform: Platform,
    layouts: Mapping[Digest, Path],
    on_progress: ProgressSink | None = None,
) -> SmokeReport:
    """Run `cases` and return the report; a test that fails is in it, any other failed step is raised."""
    watch = _Watch(on_progress)
    gate = scratch().files(*(Copy(case.state, "/", f"/{index}", None, EPOCH) for index, case in enumerate(cases)))
    try:
        await engine.solve(gate.named("smoke tests"), platform=platform, layouts=layouts, on_progress=watch)
    except BuildError as error:
        if not _is_case(error, cases):
            raise
        results = [await _alone(case, engine, platform, layouts, on_progress) for case in cases]
        return SmokeReport(image, platform, tuple(results))
    return SmokeReport(image, platform, tuple(_result(case, watch, passed=True) for case in cases))


async def _alone(
    case: SmokeCase,
    engine: Engine,
    platform: Platform,
    layouts: Mapping[Digest, Path],
    on_progress: ProgressSink | None,
) -> SmokeResult:
    watch = _Watch(on_progress)
    passed = False
    try:
        # The step limits itself; this is for one that cannot even do that.
        with anyio.fail_after(case.timeout + _GRACE_SECONDS):
            await engine.solve(case.state, platform=platform, layouts=layouts, on_progress=watch)
        passed = True
    except BuildError as error:
        if not _is_case(error, (case,)):
            raise
    except TimeoutError:
        watch.output.setdefault(case.state.name, []).append(f"smoke: no answer after {case.timeout} seconds")
    return _result(case, watch, passed=passed)


def _is_case(error: BuildError, cases: Sequence[SmokeCase]) -> bool:
    return error.step is not None and error.step.name in {case.state.name for case in cases}


def _result(case: SmokeCase, watch: _Watch, *, passed: bool) -> SmokeResult:
    name = case.state.name
    return SmokeResult(
        case.component,
        case.name,
        passed,
        watch.seconds.get(name, 0.0),
        name in watch.cached,
        tuple(watch.output.get(name, ())[-40:]),
        case.state.location,
        case.depth,
    )
