"""Generated files and what lies in a project: what differs, what is written, what is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import DefinitionError, ExitCode
from pipeline.outputs.generated import Generated, drifted, header, write_all

Capture = pytest.CaptureFixture[str]
FILE = Generated("ci/x/file.yml", f"{header('ci', 'ci/x/file.yml.j2', '#')}\none\ntwo\n")
SCRIPT = Generated("ci/run-it", f"#!/bin/sh\n{header('ci', 'ci/run-it.j2', '#')}\n", executable=True)


def test_what_was_written_has_not_drifted(tmp_path: Path) -> None:
    """A second run has nothing to do, and scripts can be run."""
    write_all(tmp_path, drifted(tmp_path, (FILE, SCRIPT)))

    assert drifted(tmp_path, (FILE, SCRIPT)) == ()
    assert (tmp_path / SCRIPT.path).stat().st_mode & 0o777 == 0o755
    assert (tmp_path / FILE.path).stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in (tmp_path / "ci").rglob("*")) == ["file.yml", "run-it", "x"]


def test_a_changed_line_is_shown(tmp_path: Path) -> None:
    """As a unified diff towards what should be there."""
    write_all(tmp_path, drifted(tmp_path, (FILE,)))
    (tmp_path / FILE.path).write_text(FILE.text.replace("two", "three"))

    (drift,) = drifted(tmp_path, (FILE,))

    assert drift.diff()[:2] == (f"--- a/{FILE.path}", f"+++ b/{FILE.path}")
    assert drift.diff()[-2:] == ("-three", "+two")


def test_a_missing_file_is_all_new(tmp_path: Path) -> None:
    """As git shows it."""
    (drift,) = drifted(tmp_path, (FILE,))

    assert drift.diff()[0] == "--- /dev/null"


def test_a_script_that_cannot_be_run_has_drifted(tmp_path: Path) -> None:
    """Its text is the same."""
    write_all(tmp_path, drifted(tmp_path, (SCRIPT,)))
    (tmp_path / SCRIPT.path).chmod(0o644)

    (drift,) = drifted(tmp_path, (SCRIPT,))

    assert drift.diff() == ("ci/run-it: permissions differ",)


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """And nothing beside it is written."""
    (tmp_path / "ci" / "x").mkdir(parents=True)
    (tmp_path / FILE.path).write_text("mine\n")

    with pytest.raises(DefinitionError, match="was not made by agc") as caught:
        write_all(tmp_path, drifted(tmp_path, (SCRIPT, FILE)))

    assert str(caught.value.location) == str(tmp_path / FILE.path)
    assert (tmp_path / FILE.path).read_text() == "mine\n"
    assert not (tmp_path / SCRIPT.path).exists()


def test_the_command_writes_checks_and_mends(tmp_path: Path, capsys: Capture) -> None:
    """What the check prints is the diff, and what mends it is named."""
    project = ["-C", str(tmp_path), "generate", "--only", "ci"]
    assert main([*project, "--check"]) == ExitCode.DEFINITION
    assert list(tmp_path.iterdir()) == []
    assert main([*project, "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["written"] == found["files"]
    assert main([*project, "--check"]) == ExitCode.OK

    changed = tmp_path / "ci" / "github" / "publish.yml"
    changed.write_text(changed.read_text().replace("packages: write", "packages: admin"))
    capsys.readouterr()
    assert main([*project, "--check"]) == ExitCode.DEFINITION
    shown = capsys.readouterr()
    assert "-      packages: admin\n+      packages: write" in shown.out
    assert "out of date: ci/github/publish.yml" in shown.err
    assert "agc generate --only ci" in shown.err
    assert main([*project, "--check", "--json"]) == ExitCode.DEFINITION
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "definition"
