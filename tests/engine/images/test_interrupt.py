"""Ended in the middle, by Ctrl-C, by force or with the engine: nothing is half-written, and the next build works."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.engine.small import small_project
from tests.engine.support import IMAGE, Agc, Run, finish, interrupt, layers_of, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

# A test that takes so long that whoever interrupts it comes in time, and one that would fail if it were started.
SLEEPS = """\
    - name: sleeps
      run: [sleep, "40"]
"""


@pytest.fixture
def sleepy(tmp_path: Path) -> Path:
    """Return a project whose image takes long to test."""
    return small_project(tmp_path / "sleepy", SLEEPS)


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty folder for temporary files."""
    return tmp_path_factory.mktemp("temporary")


def started(agc: Agc, *arguments: str, project: Path, until: str) -> subprocess.Popen[str]:
    """Start a build and return once the engine runs a process with `until` in its arguments."""
    process = agc.start(*arguments, project=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(until, lambda: process.poll() is not None or any(until in line for line in commands(agc)))
    assert process.poll() is None, process.communicate()
    return process


def commands(agc: Agc) -> list[str]:
    """Return the command lines of all that the engine runs."""
    found = []
    for child in agc.daemon.children(recursive=True):
        try:
            found.append(" ".join(child.cmdline()))
        except psutil.NoSuchProcess:
            continue
    return found


def exporting(agc: Agc, out: Path, *more: str, project: Path) -> subprocess.Popen[str]:
    """Start a build and return when it writes its output."""
    process = agc.start(
        *("build", IMAGE, "--json", "-o", f"oci:{out}", *more),
        project=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for("the export", lambda: process.poll() is not None or list(out.parent.glob(f".{out.name}-*")))
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_build_leaves_nothing(
    agc: Agc, sleepy: Path, tmp_path: Path, temporary: Path, number: signal.Signals
) -> None:
    """In the middle of a step: exit status 130, nothing written, the step ended, and the same engine builds on."""
    daemon, ours = agc.daemon.pid, agc.given(TMPDIR=str(temporary))
    process = started(
        ours, "build", "small", "--json", "-o", f"oci:{tmp_path / 'out'}", project=sleepy, until="sleep 40"
    )

    run = interrupt(process, number)

    assert (run.code, run.error["exitCode"], run.error["code"]) == (130, 130, "interrupted")
    assert "Traceback" not in run.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"sleepy"}
    assert list(temporary.iterdir()) == []
    assert agc.clients() == []
    wait_for("the step to end", lambda: not any("sleep 40" in line for line in commands(agc)))
    assert agc.daemon.pid == daemon
    assert agc("build", "node-bun", "--json", "-o", "none").image["smoke"]["failed"] == 0


def test_an_interrupted_export_leaves_nothing(agc: Agc, first: Run, tmp_path: Path, temporary: Path) -> None:
    """While layers are packed and written: nothing is beside the output, and the next build writes it whole."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    ours = agc.given(TMPDIR=str(temporary))

    run = interrupt(exporting(ours, folder / "out", "--compression", "gzip", project=tmp_path))

    assert run.code == 130
    assert list(folder.iterdir()) == []
    assert list(temporary.iterdir()) == []
    assert agc.clients() == []
    again = agc("build", IMAGE, "--json", "-o", f"oci:{folder / 'out'}", project=tmp_path).image
    assert again["digest"] == first.image["digest"]
    assert [path.name for path in folder.iterdir()] == ["out"]


def test_a_killed_agc_harms_no_later_build(agc: Agc, first: Run, tmp_path: Path) -> None:
    """`kill -9` while it writes: no image has appeared, its client ends, and the next run writes the same image."""
    out = tmp_path / "out"
    process = exporting(agc, out, "--compression", "gzip", project=tmp_path)

    run = interrupt(process, signal.SIGKILL)

    assert run.code == -signal.SIGKILL
    assert not (out / "index.json").exists()
    wait_for("the client to end", lambda: not agc.clients())
    again = agc("build", IMAGE, "--json", "-o", f"oci:{out}", project=tmp_path).image
    assert again["digest"] == first.image["digest"]
    assert layers_of(again) == layers_of(first.image)


def test_an_engine_that_dies_is_an_error_and_the_next_build_starts_another(
    agc: Agc, first: Run, sleepy: Path, tmp_path: Path
) -> None:
    """`kill -9` of buildkitd: exit status 6, nothing written; then the same digest from a new one."""
    daemon = agc.daemon
    process = started(
        agc, "build", "small", "--json", "-o", f"oci:{tmp_path / 'out'}", project=sleepy, until="sleep 40"
    )
    left = [child.pid for child in daemon.children(recursive=True)]

    daemon.kill()
    run = finish(process)

    assert (run.code, run.error["code"]) == (6, "engine"), run.stderr
    assert "went away" in run.error["message"]
    assert not (tmp_path / "out").exists()
    again = agc("build", IMAGE, "--json", "-o", f"oci:{tmp_path / 'again'}").image
    assert again["digest"] == first.image["digest"]
    assert agc.daemon.pid != daemon.pid
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
