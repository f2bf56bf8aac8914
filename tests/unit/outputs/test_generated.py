"""Generated files and what lies in a project: what differs, what is written, what is left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import DefinitionError, ErrorGroup, ExitCode
from pipeline.outputs.generated import RECORD, Generated, drifted, header, write_all

Capture = pytest.CaptureFixture[str]
FILE = Generated("ci/x/file.yml", f"{header('ci', 'templates/ci/x/file.yml.j2', '#')}\none\ntwo\n")
SCRIPT = Generated("ci/run-it", f"#!/bin/sh\n{header('ci', 'templates/ci/run-it.j2', '#')}\n", executable=True)


def made(*files: Generated) -> dict[str, tuple[Generated, ...]]:
    """Return files as a generator gives them."""
    return {"ci": files}


def test_what_was_written_has_not_drifted(tmp_path: Path) -> None:
    """A second run has nothing to do, and scripts can be run."""
    write_all(tmp_path, drifted(tmp_path, made(FILE, SCRIPT)))

    assert drifted(tmp_path, made(FILE, SCRIPT)) == ()
    assert (tmp_path / SCRIPT.path).stat().st_mode & 0o777 == 0o755
    assert (tmp_path / FILE.path).stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in (tmp_path / "ci").rglob("*")) == ["file.yml", "run-it", "x"]


def test_a_changed_line_is_shown(tmp_path: Path) -> None:
    """As a unified diff towards what should be there."""
    write_all(tmp_path, drifted(tmp_path, made(FILE)))
    (tmp_path / FILE.path).write_text(FILE.text.replace("two", "three"))

    (drift,) = drifted(tmp_path, made(FILE))

    assert drift.diff()[:2] == (f"--- a/{FILE.path}", f"+++ b/{FILE.path}")
    assert drift.diff()[-2:] == ("-three", "+two")


def test_a_missing_file_is_all_new(tmp_path: Path) -> None:
    """As git shows it."""
    drift, record = drifted(tmp_path, made(FILE))

    assert drift.diff()[0] == "--- /dev/null"
    assert record.path == RECORD


def test_a_script_that_cannot_be_run_has_drifted(tmp_path: Path) -> None:
    """Its text is the same."""
    write_all(tmp_path, drifted(tmp_path, made(SCRIPT)))
    (tmp_path / SCRIPT.path).chmod(0o644)

    (drift,) = drifted(tmp_path, made(SCRIPT))

    assert drift.diff() == ("ci/run-it: permissions differ",)


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """And nothing beside it is written."""
    (tmp_path / "ci" / "x").mkdir(parents=True)
    (tmp_path / FILE.path).write_text("mine\n")

    with pytest.raises(ErrorGroup) as caught:
        write_all(tmp_path, drifted(tmp_path, made(SCRIPT, FILE)))

    (error,) = caught.value.errors
    assert str(error.location) == str(tmp_path / FILE.path)
    assert (tmp_path / FILE.path).read_text() == "mine\n"
    assert not (tmp_path / SCRIPT.path).exists()


def test_what_a_person_changed_is_lost_only_on_demand(tmp_path: Path) -> None:
    """A file that is merely out of date is put right without asking."""
    write_all(tmp_path, drifted(tmp_path, made(FILE, SCRIPT)))
    newer = (replace(FILE, text=FILE.text + "three\n"), SCRIPT)
    (tmp_path / SCRIPT.path).write_text("mine\n")
    drifts = drifted(tmp_path, made(*newer))
    with pytest.raises(ErrorGroup):
        write_all(tmp_path, drifts)

    assert [(drift.path, drift.by_hand) for drift in drifts] == [
        (FILE.path, False),
        (SCRIPT.path, True),
        (RECORD, False),
    ]
    write_all(tmp_path, drifts, force=True)
    assert drifted(tmp_path, made(*newer)) == ()


def test_what_is_made_no_more_is_removed(tmp_path: Path) -> None:
    """With the folders that are empty then; what belongs to another sort stays."""
    other = {"docs": (Generated("docs/page.md", "page\n"),)}
    write_all(tmp_path, drifted(tmp_path, {**made(FILE, SCRIPT), **other}))
    gone, record = drifted(tmp_path, made(SCRIPT))
    write_all(tmp_path, (gone, record))

    assert (gone.path, gone.wanted, gone.diff()[1]) == (FILE.path, None, "+++ /dev/null")
    assert sorted(path.name for path in (tmp_path / "ci").iterdir()) == ["run-it"]
    assert drifted(tmp_path, {**made(SCRIPT), **other}) == ()


def test_what_is_made_no_more_stays_where_a_person_changed_it(tmp_path: Path) -> None:
    """It is theirs by now."""
    write_all(tmp_path, drifted(tmp_path, made(FILE, SCRIPT)))
    (tmp_path / FILE.path).write_text("mine\n")

    with pytest.raises(ErrorGroup, match="is made no more"):
        write_all(tmp_path, drifted(tmp_path, made(SCRIPT)))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "agentcontainers/generated/v9"}', '{"files": 1}'])
def test_a_record_that_cannot_be_read_is_said(text: str, tmp_path: Path) -> None:
    """Without it nobody knows whose the files are."""
    (tmp_path / "registry").mkdir()
    (tmp_path / RECORD).write_text(text)

    with pytest.raises(DefinitionError, match="no record of generated files"):
        drifted(tmp_path, made(FILE))


def test_the_command_writes_checks_and_mends(tmp_path: Path, capsys: Capture) -> None:
    """What the check prints is the diff, and what mends it is named."""
    project = ["-C", str(tmp_path), "generate", "--only", "ci"]
    assert main([*project, "--check"]) == ExitCode.DEFINITION
    assert list(tmp_path.iterdir()) == []
    assert main([*project, "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["written"] == [*found["files"], RECORD]
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
    assert main(project) == ExitCode.DEFINITION
    assert "agc generate --force" in capsys.readouterr().err
    assert main([*project, "--force"]) == ExitCode.OK
    assert main([*project, "--check"]) == ExitCode.OK
