"""How failures look to people and to machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli.failure import as_json, lines_of
from pipeline.cli.output import text_of
from pipeline.errors import (
    AgcError,
    BuildError,
    DefinitionError,
    ErrorGroup,
    FailedStep,
    Location,
    LockError,
)

Golden = Callable[[str, str], None]

CLAUDE = """\
kind: Agent
metadata:
  name: claude
spec:
\tpakage: "@anthropic-ai/claude-code"
  registry: npm
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with one definition."""
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions/claude.yaml").write_text(CLAUDE, encoding="utf-8")
    return tmp_path


def unknown_key(line: int = 5, column: int = 2) -> AgcError:
    """Return an error in the definition of the project."""
    return DefinitionError(
        "unknown key 'pakage' in spec",
        location=Location("definitions/claude.yaml", line, column),
        remedy="write 'package' instead",
    )


def shown(error: AgcError, project: Path) -> str:
    """Return what a person reads."""
    return text_of(lines_of(error, project))


def test_definition_error_shows_the_lines_around_it(project: Path, golden: Golden) -> None:
    """The place, the lines around it with a mark under the column, and what to write instead."""
    golden("cli/failure-definition.txt", shown(unknown_key(), project))


def test_failed_step_shows_its_last_words(project: Path, golden: Golden) -> None:
    """A failed build names the step, its exit code and the end of its log, and the next command."""
    log = tuple(f"\x1b[31mnpm ERR!\x1b[0m line {number}" for number in range(20))
    error = BuildError(
        "agent claude: npm ci failed",
        step=FailedStep("agent claude: npm ci", 1, log),
        location=Location("definitions/claude.yaml", 6),
        remedy="agc build node-bun-claude --verbose",
    )

    golden("cli/failure-build.txt", shown(error, project))


def test_group_is_flat_and_sorted_by_place(project: Path, golden: Golden) -> None:
    """All failures are shown, nested or not, in the order of files and lines, those without a place last."""
    inner = ErrorGroup((unknown_key(), LockError("the lock is missing", remedy="agc lock")))
    first = DefinitionError("wrong type", location=Location("definitions/base.yaml", 3))

    golden("cli/failure-group.txt", shown(ErrorGroup((inner, unknown_key(2, 1), first)), project))


@pytest.mark.parametrize(
    "location",
    [
        Location("definitions/claude.yaml"),
        Location("definitions/claude.yaml", 400, 1),
        Location("definitions/gone.yaml", 1, 1),
        Location("definitions", 1, 1),
    ],
    ids=["whole file", "line past the end", "no such file", "a folder"],
)
def test_place_that_cannot_be_quoted_is_still_named(project: Path, location: Location) -> None:
    """Where there is nothing to quote, the place stands alone."""
    error = DefinitionError("malformed", location=location)

    assert shown(error, project) == f"error: malformed\n  --> {location}\n"


def test_column_past_the_end_is_not_marked(project: Path) -> None:
    """A column that the line does not have gets no mark."""
    assert "^" not in shown(unknown_key(5, 99), project)


def test_message_of_several_lines_is_indented(project: Path) -> None:
    """Further lines of a message or a remedy stand under the first."""
    error = AgcError("two things\nfirst\nsecond", remedy="agc lock\nagc build x")

    assert shown(error, project) == "error: two things\n  first\n  second\n  try: agc lock\n       agc build x\n"


def test_json_of_an_error_has_code_place_and_remedy() -> None:
    """A machine gets the same facts under stable names."""
    assert as_json(unknown_key()) == {
        "error": {
            "code": "definition",
            "message": "unknown key 'pakage' in spec",
            "location": {"file": "definitions/claude.yaml", "line": 5, "column": 2},
            "remedy": "write 'package' instead",
            "exitCode": 3,
        }
    }


def test_json_of_a_failed_step_has_its_log() -> None:
    """The log is complete and free of escape sequences."""
    error = BuildError("npm ci failed", step=FailedStep("npm ci", 7, ("\x1b[1mno\x1b[0m",) * 15))

    assert json.loads(json.dumps(as_json(error)))["error"]["step"] == {
        "name": "npm ci",
        "exitCode": 7,
        "log": ["no"] * 15,
    }


def test_json_of_a_group_lists_every_error() -> None:
    """The group's exit code is that of its first member; all are listed by place."""
    body = as_json(ErrorGroup((LockError("stale"), unknown_key())))["error"]

    assert isinstance(body, dict)
    assert (body["code"], body["exitCode"], body["message"]) == ("lock", 4, "2 errors")
    assert [entry["code"] for entry in body["errors"]] == ["definition", "lock"]


def test_group_of_one_is_that_one(project: Path) -> None:
    """A single failure is shown as itself, however it was wrapped."""
    assert as_json(ErrorGroup((unknown_key(),))) == as_json(unknown_key())
    assert shown(ErrorGroup((unknown_key(),)), project) == shown(unknown_key(), project)
