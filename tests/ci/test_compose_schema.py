"""Compose files before the schema of the Compose Specification, which a linter brings along."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

HOUSE = Path(__file__).parents[2]
FILES = sorted(HOUSE.glob("deploy/compose/*/compose.yaml"))

pytestmark = pytest.mark.skipif(not FILES, reason="needs a checkout, with its generated files")


def faults(path: Path) -> str:
    """Return what the schema finds wrong, nothing where it is content."""
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", "vendor.compose-spec", str(path)])
    return "" if done.exit_code == 0 else done.output


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_the_specification_accepts_every_stack(path: Path) -> None:
    """Every key is one of its own, with a value of its kind."""
    assert faults(path) == ""


def test_the_specification_would_notice(tmp_path: Path) -> None:
    """A check that takes anything is none."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(FILES[0].read_text(encoding="utf-8").replace("pids_limit:", "pid_limit:"), encoding="utf-8")

    assert "pid_limit" in faults(wrong)
