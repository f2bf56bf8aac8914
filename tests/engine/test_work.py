"""Work tests for real: an agent in its image, the mock beside it, and no way out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import anyio
import pytest

from pipeline.compose.image import Composition, compose
from pipeline.engine.api import ProgressSink, StepEvent
from pipeline.engine.buildkit.client import BuildKit
from pipeline.errors import ExitCode, SmokeError
from pipeline.graph.ops import Run
from pipeline.platform import Platform
from pipeline.stages import building
from pipeline.stages.project import load_project, shipped_folder
from pipeline.stages.roots import lay_roots
from pipeline.stages.workbench import Workbench
from pipeline.verify.cases import SmokeCase, smoke_cases
from pipeline.verify.mock.turns import LAST_WORDS
from pipeline.verify.smoke import SmokeReport, run_smoke
from pipeline.verify.work import work_command

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


class Quiet:
    """A reporter nobody listens to."""

    def notify(self, text: str) -> None:
        """Drop one line."""

    @contextmanager
    def stage(self, _: str) -> Iterator[ProgressSink]:
        """Drop the steps of a stage."""
        yield _drop


def _drop(event: StepEvent) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Image:
    """An image that passed its smoke tests, and the bench it was tested on."""

    tested: building.Tested
    bench: Workbench

    @property
    def composition(self) -> Composition:
        """What it is made of."""
        return self.tested.composition

    @property
    def work(self) -> SmokeCase:
        """Its work test."""
        return next(case for case in smoke_cases(self.composition) if case.depth == "work")

    def smoke(self, *cases: SmokeCase) -> SmokeReport:
        """Run tests on it."""
        plan = self.composition.plan

        async def run() -> SmokeReport:
            return await run_smoke(plan.name, cases, self.bench.engine, plan.platform, self.bench.layouts)

        return anyio.run(run)


@pytest.fixture(scope="module")
def claude(engine: BuildKit, platform: Platform) -> Image:
    """Return node-bun-claude as it is locked."""
    shipped = shipped_folder()
    project = load_project(shipped, dict(os.environ))
    bench = Workbench(project.settings, engine, Quiet())

    async def build() -> building.Tested:
        plans = project.plan(("node-bun-claude",), (platform,))
        (plan,) = await lay_roots(plans, project.locks.roots, bench, locked=False)
        return await building.try_image(compose(plan), bench, locked=False)

    return Image(anyio.run(build), bench)


def with_command(case: SmokeCase, *command: str) -> SmokeCase:
    """Return `case` running another command below the limits of every test."""
    assert isinstance(case.state.op, Run)
    op = replace(case.state.op, args=(*case.state.op.args[:6], *command))
    return replace(case, state=replace(case.state, op=op))


def again(case: SmokeCase) -> SmokeCase:
    """Return `case` as it was never run before."""
    assert isinstance(case.state.op, Run)
    op = replace(case.state.op, env=(*case.state.op.env, ("AGC_TEST_RUN", str(time.time_ns()))))
    return replace(case, state=replace(case.state, op=op))


def test_the_agent_changes_a_file(claude: Image) -> None:
    """It asks twice: once for work, once to tell what came of it."""
    report = claude.smoke(again(claude.work))
    (result,) = report.results
    asked = [line for line in result.output if line.startswith("mock: POST /v1/messages (")]

    assert report
    assert [line.rpartition(": ")[2] for line in asked] == ["call Bash", f"{len(LAST_WORDS)} letters"]
    assert result.output[-1] == "work: the agent wrote /workspace/greeting.txt"


def test_an_unchanged_image_is_not_tested_twice(claude: Image) -> None:
    """A daemon short of disk space may throw a result away at any time, but not each time."""
    once = again(claude.work)
    first, *later = (claude.smoke(once).results[0] for _ in range(4))

    assert first.passed
    assert not first.cached
    assert any(result.passed and result.cached for result in later)


def test_an_agent_that_does_nothing_fails(claude: Image) -> None:
    """With the exit code of smoke tests, and what the mock saw."""
    (test,) = (test for _, test in claude.composition.plan.smoke if test.depth == "work")
    idle = with_command(claude.work, *work_command(test, claude.composition.plan, calls_tools=False))
    report = claude.smoke(idle)

    with pytest.raises(SmokeError, match="1 of 1 smoke tests failed: agents/claude: claude-changes-a-file") as caught:
        report.raise_for_failures()
    assert caught.value.exit_code is ExitCode.SMOKE
    assert any("work: /workspace/greeting.txt holds something else" in line for line in report.results[0].output)
    assert any(line.startswith("mock: POST /v1/messages (anthropic) offered") for line in report.results[0].output)


def test_a_file_nobody_wrote_through_the_mock_is_not_enough(claude: Image) -> None:
    """The agent must have passed on the last words."""
    command = work_command(
        next(test for _, test in claude.composition.plan.smoke if test.depth == "work"), claude.composition.plan
    )
    forged = with_command(claude.work, *command[:-4], "sh", "-c", "echo Hello from Claude Code. > greeting.txt")
    (result,) = claude.smoke(forged).results

    assert not result.passed
    assert any(f"expected in the output: {LAST_WORDS}" in line for line in result.output)


def test_nothing_else_is_reached_from_beside_the_mock(claude: Image) -> None:
    """Neither a name nor an address, while the mock itself is."""
    test = next(test for _, test in claude.composition.plan.smoke if test.depth == "work")
    probe = """
for host in https://api.anthropic.com http://1.1.1.1 http://169.254.169.254; do
  curl -sS -m 5 -o /dev/null "$host" && { echo "reached $host"; exit 1; }
done
curl -fsS -m 5 "$ANTHROPIC_BASE_URL/v1/models" && echo "only the mock answers" && exit 42
"""
    command = work_command(test, claude.composition.plan)
    (result,) = claude.smoke(with_command(claude.work, *command[:-4], "sh", "-c", probe)).results

    assert "only the mock answers" in "\n".join(result.output)
    assert "work: the agent ended with 42" in result.output
    assert not any(line.startswith("reached") for line in result.output)
