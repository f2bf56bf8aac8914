"""Smoke tests as they are run and reported."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from junitparser import Failure, JUnitXml, TestCase, TestSuite

from pipeline.engine.api import Engine, Solved, StepEvent
from pipeline.engine.record import Answer, Recorder, Request
from pipeline.errors import BuildError, EngineError, ExitCode, FailedStep, Location, SmokeError
from pipeline.graph import State
from pipeline.platform import AMD64, ARM64
from pipeline.verify.cases import SmokeCase, smoke_cases
from pipeline.verify.junit import write_junit
from pipeline.verify.smoke import SmokeReport, SmokeResult, run_smoke
from tests.unit.compose.samples import composed

CASES = smoke_cases(composed())


def failing(*titles: str) -> Callable[[Request], Answer]:
    """Answer as an engine in which the tests called `titles` fail, the first of them ending a solve of all."""
    bad = {case.state.digest: case for case in CASES if case.title in titles}

    def answer(request: Request) -> Answer:
        states = [request.state.digest, *(item.digest for item in request.state.inputs)]
        case = next((bad[digest] for digest in states if digest in bad), None)
        if case is None:
            return Answer(log=("fine",), seconds=1.5)
        step = FailedStep(case.state.name, 1, ("no",))
        return Answer(log=(f"{case.name} says no", "smoke: exit code 1"), error=BuildError("failed", step=step))

    return answer


def smoked(engine: Engine, cases: Iterable[SmokeCase] = CASES, events: list[StepEvent] | None = None) -> SmokeReport:
    """Run smoke tests on an engine."""

    async def run() -> SmokeReport:
        sink = None if events is None else events.append
        return await run_smoke("node-bun-claude", tuple(cases), engine, AMD64, {}, sink)

    return anyio.run(run)


def test_all_tests_go_to_the_engine_in_one_solve() -> None:
    """It runs them side by side."""
    engine = Recorder()
    report = smoked(engine)

    assert len(engine.requests) == 1
    assert {case.state.digest for case in CASES} <= {state.digest for state in engine.requests[0].state.inputs}
    assert report
    assert (report.passed, report.failures) == (len(CASES), ())
    assert [f"{result.component}: {result.name}" for result in report.results] == [case.title for case in CASES]


def test_an_unchanged_image_is_reported_as_cached() -> None:
    """Its tests took no time."""
    engine = Recorder()
    first, second = smoked(engine), smoked(engine)

    assert {result.cached for result in first.results} == {False}
    assert {(result.cached, result.seconds) for result in second.results} == {(True, 0.0)}
    assert second


def test_a_failure_is_followed_by_each_test_alone() -> None:
    """So that all failures are known, with what they said."""
    engine = Recorder(answer=failing("agents/claude: claude-answers", "bases/node-bun: runs-as-dev"))
    report = smoked(engine)

    assert [request.state.name for request in engine.requests] == ["smoke tests", *(case.state.name for case in CASES)]
    assert not report
    assert [failure.name for failure in report.failures] == ["runs-as-dev", "claude-answers"]
    assert report.failures[1].output == ("claude-answers says no", "smoke: exit code 1")
    assert str(report.failures[1].location) == "definitions/agents/claude.yaml:37:3"
    assert report.passed == len(CASES) - 2


def test_events_are_passed_on() -> None:
    """Whoever watches sees each step."""
    events: list[StepEvent] = []
    smoked(Recorder(), events=events)

    assert {case.state.name for case in CASES} <= {event.name for event in events}


@pytest.mark.parametrize(
    "error",
    [
        BuildError("no space", step=FailedStep("bases/node-bun: install", 100)),
        BuildError("no step known"),
        EngineError("gone"),
    ],
)
def test_what_is_no_test_is_raised(error: BuildError | EngineError) -> None:
    """An image that does not build was not tested."""
    engine = Recorder(answer=lambda _: Answer(error=error))

    with pytest.raises(type(error)) as caught:
        smoked(engine)

    assert caught.value is error
    assert len(engine.requests) == 1


def test_what_is_no_test_is_raised_in_the_second_round_too() -> None:
    """The engine may go away in between."""
    lost = EngineError("gone")
    first = failing("agents/claude: claude-answers")

    def answer(request: Request) -> Answer:
        return first(request) if request.state.name == "smoke tests" else Answer(error=lost)

    with pytest.raises(EngineError):
        smoked(Recorder(answer=answer))


@dataclass
class Hanging:
    """An engine that fails the first solve at a test and then never answers about it."""

    case: SmokeCase

    async def solve(self, state: State, **_: object) -> Solved:
        """Fail, then hang."""
        if state.digest != self.case.state.digest:
            raise BuildError("failed", step=FailedStep(self.case.state.name, 124))
        await anyio.sleep_forever()
        return Solved()


def test_a_test_that_not_even_its_own_limit_ends_has_failed() -> None:
    """A step that cannot be stopped does not hold everything up."""
    hanging = SmokeCase("agents/claude", "hangs", -60, CASES[0].state.named("smoke agents/claude: hangs"))
    report = smoked(Hanging(hanging), [hanging])

    assert [failure.name for failure in report.failures] == ["hangs"]
    assert report.failures[0].output == ("smoke: no answer after -60 seconds",)


def result(name: str, *, passed: bool, output: tuple[str, ...] = (), cached: bool = False) -> SmokeResult:
    """Return what became of a test of claude."""
    return SmokeResult("agents/claude", name, passed, 0.0 if cached else 1.25, cached, output, Location("a.yaml", 3, 5))


LOG = tuple(f"line {number}" for number in range(30))
MIXED = SmokeReport(
    "node-bun-claude",
    AMD64,
    (
        result("one", passed=True),
        result("two", passed=False, output=LOG),
        result("three", passed=False, output=("other words",)),
        result("four", passed=True, cached=True, output=("hello <&>",)),
    ),
)


def test_the_error_names_every_failed_test_and_shows_the_last_lines_of_the_first() -> None:
    """With its place and the command that shows more."""
    with pytest.raises(SmokeError) as caught:
        MIXED.raise_for_failures()

    head, *lines = caught.value.message.splitlines()
    assert head == (
        "node-bun-claude on linux/amd64: 2 of 4 smoke tests failed: agents/claude: two, agents/claude: three"
    )
    assert lines == [f"  line {number}" for number in range(18, 30)]
    assert str(caught.value.location) == "a.yaml:3:5"
    assert caught.value.exit_code is ExitCode.SMOKE
    assert caught.value.remedy.startswith("agc smoke node-bun-claude")


def test_a_failure_without_words_is_an_error_of_one_line() -> None:
    """And no failure is no error."""
    SmokeReport("x", AMD64, (result("one", passed=True),)).raise_for_failures()
    with pytest.raises(SmokeError) as caught:
        SmokeReport("x", AMD64, (result("one", passed=False),)).raise_for_failures()

    assert caught.value.message == "x on linux/amd64: 1 of 1 smoke tests failed: agents/claude: one"


def test_only_the_last_lines_of_a_long_output_are_kept() -> None:
    """A report is no log."""
    engine = Recorder(answer=lambda _: Answer(log=tuple(map(str, range(100)))))
    report = smoked(Recorder(answer=failing("bases/node-bun: runs-as-dev")), CASES[:1])
    long = smoked(engine, CASES[:1])

    assert len(report.results[0].output) == 2
    assert all(len(item.output) <= 40 for item in long.results)


def suites(path: Path) -> list[tuple[TestSuite, list[TestCase]]]:
    """Read a JUnit file back."""
    return [(suite, list(suite)) for suite in JUnitXml.fromfile(str(path))]


def test_the_junit_file_says_what_passed_failed_and_was_cached(tmp_path: Path) -> None:
    """One suite for each image and platform, in a folder that is made."""
    path = tmp_path / "reports" / "smoke.xml"
    write_junit([MIXED, SmokeReport("plain", ARM64, (result("one", passed=True),))], path)
    (first, cases), (second, others) = suites(path)

    assert (first.name, first.tests, first.failures, first.errors) == ("node-bun-claude linux/amd64", 4, 2, 0)
    assert (second.name, second.tests, second.failures) == ("plain linux/arm64", 1, 0)
    assert [case.name for case in cases] == ["one", "two", "three", "four"]
    assert {case.classname for case in [*cases, *others]} == {"node-bun-claude.agents/claude", "plain.agents/claude"}
    assert [case.is_passed for case in cases] == [True, False, False, True]
    failure = cases[1].result[0]
    assert isinstance(failure, Failure)
    assert (failure.message, cases[1].system_out) == ("line 29", "\n".join(LOG))
    assert [case.time for case in cases] == [1.25, 1.25, 1.25, 0.0]
    assert re.search(r'<property name="cached" value="1" ?/>', path.read_text())
    assert re.search(r'<property name="depth" value="answer" ?/>', path.read_text())


def test_what_xml_cannot_hold_does_not_spoil_the_junit_file(tmp_path: Path) -> None:
    """Colours and other control characters come from real programs."""
    words = "".join(map(chr, range(32))) + "\ud800 \ufffe é"
    report = SmokeReport("x", AMD64, (result("one", passed=False, output=(words,)),))
    write_junit([report], tmp_path / "smoke.xml")
    ((_, cases),) = suites(tmp_path / "smoke.xml")

    assert "é" in str(cases[0].system_out)


def test_no_reports_are_an_empty_file_that_can_be_read(tmp_path: Path) -> None:
    """A build that failed before its tests leaves one too."""
    write_junit([], tmp_path / "smoke.xml")

    assert suites(tmp_path / "smoke.xml") == []
