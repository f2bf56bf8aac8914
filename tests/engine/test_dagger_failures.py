"""A Dagger engine that goes away, is none, or is another: a clear error, its exit code, and nothing half written."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

pytest.importorskip("dagger", reason="dagger-io is not installed")

import dagger

from pipeline.dagger_module import Agc as Module
from pipeline.dagger_module import AgcFailedError
from pipeline.errors import ExitCode
from tests.engine.dagger_engine import RUNNER, line_to_engine, require_engine
from tests.engine.small import small_project
from tests.engine.support import IMAGE, Agc, finish, interrupt


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    require_engine()


@pytest.fixture
def short() -> Iterator[Path]:
    """Return a folder with a name short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="agc-l-") as folder:
        yield Path(folder)


def test_no_engine_is_told(agc: Agc) -> None:
    """With what to look at."""
    run = agc.given(**{RUNNER: "unix:///nonexistent/engine.sock"})("--engine", "dagger", "smoke", IMAGE, "--json")

    assert (run.code, run.error["code"]) == (ExitCode.ENGINE, "engine")
    assert RUNNER in run.error["remedy"]


def test_an_engine_the_program_does_not_know_is_told_by_its_version(agc: Agc) -> None:
    """Here the program is told to speak to none older than 99, so it refuses the engine as it would refuse 0.18."""
    run = agc.given(_EXPERIMENTAL_DAGGER_MIN_VERSION="v99.0.0")("--engine", "dagger", "smoke", IMAGE, "--json")

    assert (run.code, run.error["code"]) == (ExitCode.ENGINE, "engine")
    assert "incompatible engine version v0." in run.error["message"]
    assert "Dagger 0.21" in run.error["remedy"]


@pytest.mark.parametrize("ends", ["engine", "session", "interrupted"])
def test_what_ends_in_the_middle_writes_nothing(agc: Agc, tmp_path: Path, short: Path, ends: str) -> None:
    """An engine or a session that is lost is the engine's fault, a build that was interrupted is nobody's."""
    # Never the same, or a test that had passed would come from the cache.
    slow = f"    - name: slow\n      timeout: 120\n      run: [sh, -c, 'sleep 60; echo {tmp_path}']\n"
    project = small_project(tmp_path / "p", slow)
    out = tmp_path / "out"
    build = ("--engine", "dagger", "build", "small", "-o", f"oci:{out}", "--json")
    with line_to_engine(short) as line:
        wired = agc.given(**{RUNNER: line.address})
        process = wired.start(*build, project=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stderr
        # The image is there, and its one test under way.
        next(text for text in process.stderr if "bases/small … done" in text)
        match ends:
            case "engine":
                line.cut()
                run = finish(process)
            case "session":
                children = psutil.Process(process.pid).children()
                for child in children:
                    child.kill()
                assert children
                run = finish(process)
            case _:
                run = interrupt(process)

    lost = ends != "interrupted"
    assert (run.code, run.error["code"]) == ((6, "engine") if lost else (130, "interrupted"))
    assert ("went away" in run.error["message"]) == lost
    assert not (out / "index.json").exists()


def test_a_build_after_a_lost_engine_goes_on(agc: Agc, tmp_path: Path, short: Path) -> None:
    """With what the engine has finished, and to the digest that it has without any trouble."""
    project = small_project(tmp_path / "p", f"    - name: slow\n      run: [sh, -c, 'sleep 5; echo {tmp_path}']\n")
    out = tmp_path / "out"
    build = ("--engine", "dagger", "build", "small", "-o", f"oci:{out}", "--json")
    with line_to_engine(short) as line:
        wired = agc.given(**{RUNNER: line.address})
        process = wired.start(*build, project=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stderr
        next(text for text in process.stderr if "fetch tini" in text)
        line.cut()
        lost = finish(process)

    again = agc(*build, project=project)
    untroubled = agc(*build[:-2], f"oci:{tmp_path / 'other'}", "--json", project=project)

    assert lost.error["code"] == "engine"
    assert again.image["digest"] == untroubled.image["digest"]


def test_a_secret_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the argument that named it, and with the ways to name one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGC_NO_SUCH", raising=False)

    async def ask() -> None:
        async with dagger.connection():
            make: Any = Module
            await make(registry_config=dagger.dag.secret("env://AGC_NO_SUCH")).plan(against="127.0.0.1:1/x")

    with pytest.raises(AgcFailedError, match="--registry-config") as caught:
        anyio.run(ask)

    assert "env:VARIABLE" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
