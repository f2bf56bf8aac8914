"""What a build shows while it runs."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli.output import Output, text_of
from pipeline.cli.progress import (
    ASCII,
    PlainProgress,
    SilentProgress,
    Stage,
    TreeProgress,
    picture,
    progress,
)
from pipeline.engine.api import StepEvent, StepStatus

MakeOutput = Callable[..., Output]


def event(name: str, status: StepStatus, *, seconds: float = 0.0, log: str = "") -> StepEvent:
    """Return news of the step called `name`."""
    return StepEvent(f"sha256:{name}", name, status, seconds, log)


def stage(name: str, *events: StepEvent, ended: float | None = None) -> Stage:
    """Return a stage that began at second 0 and heard one event each second."""
    made = Stage(name, 0.0, ended)
    for number, one in enumerate(events):
        made.hear(one, float(number), number)
    return made


def finished(count: int, status: StepStatus = StepStatus.DONE) -> tuple[StepEvent, ...]:
    """Return `count` steps that ended."""
    return tuple(event(f"{status} step {number}", status, seconds=1.5) for number in range(count))


def running(count: int) -> tuple[StepEvent, ...]:
    """Return `count` steps that run, each with a line of output."""
    names = [f"running step {number}" for number in range(count)]
    started = tuple(event(name, StepStatus.STARTED) for name in names)
    return started + tuple(event(name, StepStatus.LOG, log=f"output of {name}") for name in names)


def broken(name: str = "npm ci") -> tuple[StepEvent, ...]:
    """Return a step that printed nine lines and failed."""
    lines = tuple(event(name, StepStatus.LOG, log=f"npm ERR! {number}") for number in range(9))
    return (event(name, StepStatus.STARTED), *lines, event(name, StepStatus.FAILED, seconds=2.0))


STAGES = (
    stage("root debian-trixie", *finished(2), ended=12.3),
    stage("build node-bun-claude linux/amd64", *finished(12, StepStatus.CACHED), *finished(1), *running(2)),
    stage("build node-bun-claude linux/arm64", *broken(), *running(1)),
)


def heard(output: Output) -> str:
    """Return what went to standard error."""
    assert isinstance(output.stderr, io.StringIO)
    return output.stderr.getvalue()


def test_tree_shows_running_done_and_failed_steps(golden: Callable[[str, str], None]) -> None:
    """Cached steps are a count, finished stages one line, failed steps keep the end of their log."""
    golden("cli/tree.txt", text_of(picture(STAGES, 20.0, width=79, height=23)))


def test_summary_keeps_stages_and_failed_steps(golden: Callable[[str, str], None]) -> None:
    """What stays on the screen is one line for each stage, and the steps that failed."""
    golden("cli/tree-final.txt", text_of(picture(STAGES, 20.0, width=79, height=2, final=True)))


def test_tree_without_unicode_is_ascii() -> None:
    """A terminal that knows ASCII only gets ASCII only."""
    assert text_of(picture(STAGES, 20.0, width=60, height=30, glyphs=ASCII)).isascii()


@pytest.mark.parametrize("width", [1, 10, 20, 40, 79, 300])
@pytest.mark.parametrize("height", [1, 2, 5, 11, 23])
def test_tree_never_outgrows_the_terminal(width: int, height: int) -> None:
    """No line is wider and no picture higher than the terminal, down to a sensible width."""
    lines = picture(STAGES, 20.0, width=width, height=height)

    assert len(lines) <= height
    assert all(len(line) <= max(width, 13) for line in text_of(lines).splitlines())


def test_what_matters_least_goes_first() -> None:
    """In a low terminal, failed and running steps outlive finished ones and log lines."""
    text = text_of(picture([stage("build", *finished(5), *running(2), *broken())], 20.0, width=79, height=5))

    assert "npm ci" in text
    assert "running step 1" in text
    assert "done step" not in text
    assert "more lines" in text


def test_running_step_shows_elapsed_time_and_last_output() -> None:
    """A step that runs shows how long it has, and the line it printed last."""
    text = text_of(picture([stage("build", *running(1))], 65.0, width=60, height=9))

    assert "1m 05s" in text
    assert "| output of running step 0" in text


def test_step_heard_of_twice_counts_once() -> None:
    """The last news of a step is what counts."""
    name = "cached step"
    one = stage("build", event(name, StepStatus.STARTED), event(name, StepStatus.CACHED))

    assert "1 cached" in text_of(picture([one], 1.0, width=60, height=9))
    assert not one.having(StepStatus.STARTED)


def test_plain_prints_a_line_per_finished_step(make_output: MakeOutput) -> None:
    """Without a terminal, a finished step is one line with its stage; those that did nothing share one."""
    output = make_output()

    with PlainProgress(output).stage("root") as sink:
        for one in (*finished(1), *finished(1, StepStatus.CACHED), *running(1)):
            sink(one)

    assert heard(output) == "[root] done step 0 … done 1.5s\n[root] nothing to do in 1 steps\n"


def test_plain_prints_the_log_of_a_failed_step(make_output: MakeOutput) -> None:
    """The output of a step is held back until it turns out to matter."""
    output = make_output()

    with PlainProgress(output).stage("agent") as sink:
        for one in broken():
            sink(one)

    assert heard(output).splitlines()[0] == "[agent] npm ci … failed 2.0s"
    assert heard(output).splitlines()[-1] == "[agent] | npm ERR! 8"


def test_verbose_prints_log_lines_as_they_come(make_output: MakeOutput) -> None:
    """`--verbose` shows what steps print, once."""
    output = make_output(verbose=True)

    with PlainProgress(output).stage("agent") as sink:
        for one in broken():
            sink(one)

    assert heard(output).splitlines()[:2] == ["[agent] npm ci … started", "[agent] | npm ERR! 0"]
    assert heard(output).count("npm ERR! 8") == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, PlainProgress),
        ({"json": True}, PlainProgress),
        ({"json": True, "quiet": True}, SilentProgress),
        ({"terminal": True}, TreeProgress),
        ({"terminal": True, "verbose": True}, PlainProgress),
    ],
)
def test_progress_suits_the_output(make_output: MakeOutput, options: dict[str, bool], expected: type) -> None:
    """Who listens decides how progress is told."""
    with progress(make_output(**options)) as chosen:
        assert isinstance(chosen, expected)


def test_silent_progress_says_nothing(make_output: MakeOutput) -> None:
    """`--quiet` leaves failures to the failure report."""
    output = make_output(quiet=True)

    with progress(output) as chosen, chosen.stage("agent") as sink:
        for one in broken():
            sink(one)

    assert heard(output) == ""


@pytest.mark.parametrize("quiet", [True, False])
def test_remarks_beside_the_steps_are_told(make_output: MakeOutput, quiet: bool) -> None:
    """A remark is a line of its own; `--quiet` leaves all but warnings out."""
    output = make_output(quiet=quiet)

    with progress(output) as chosen:
        chosen.notify("starting the engine")
        chosen.notify("warning: libc6 moved")

    assert heard(output) == ("" if quiet else "starting the engine\n") + "warning: libc6 moved\n"


def test_live_tree_leaves_its_summary_below_warnings(make_output: MakeOutput) -> None:
    """On a terminal, a warning scrolls above the tree, and the summary is the last thing on the screen."""
    output = make_output(terminal=True)

    with progress(output) as chosen:
        with chosen.stage("root") as sink:
            for one in finished(2):
                sink(one)
        output.warn("libc6 moved")

    last = heard(output).rpartition("libc6 moved")[2]
    assert "root" in last
    assert "2 done" in last


def test_stage_left_by_an_exception_is_marked(make_output: MakeOutput) -> None:
    """A stage that ends badly is not shown as done, and the terminal gets its cursor back."""
    output = make_output(terminal=True)

    with pytest.raises(ValueError, match="stop"), progress(output) as chosen, chosen.stage("root"):
        raise ValueError("stop")

    assert "✗ " in heard(output)
    assert heard(output).rindex("\x1b[?25h") > heard(output).rindex("\x1b[?25l")


def test_progress_imports_no_rich_for_pipes() -> None:
    """The modules that every command needs leave rich and typer alone (start-up time)."""
    for module in ("output", "progress", "failure", "__init__"):
        source = (Path(__file__).parents[3] / f"pipeline/cli/{module}.py").read_text(encoding="utf-8")
        top = [line for line in source.splitlines() if line.startswith(("import ", "from "))]

        assert not [line for line in top if "rich" in line or "typer" in line]
