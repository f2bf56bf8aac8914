"""CI files before the linters of those who know best."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.support import CHECKOUT

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def actionlint() -> list[str]:
    """Return the command: the program on PATH, or what Go makes of its module."""
    if found := shutil.which("actionlint"):
        return [found]
    if shutil.which("go") is None:
        pytest.skip("neither actionlint nor Go is installed")
    command = ["go", "run", ACTIONLINT]
    done = subprocess.run([*command, "-version"], check=False, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        pytest.skip(f"actionlint cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    return command


def test_github_takes_the_workflows_and_their_scripts() -> None:
    """Expressions, rights, events, and every `run` as shellcheck sees it."""
    if SHELLCHECK is None:
        pytest.skip("shellcheck is not installed")
    workflows = sorted((CHECKOUT / "ci" / "github").glob("*.yml"))
    assert len(workflows) == 3

    command = [*actionlint(), f"-shellcheck={SHELLCHECK}", *map(str, workflows)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_actionlint_would_notice(tmp_path: Path) -> None:
    """An expression that names nothing is found."""
    wrong = tmp_path / "wrong.yml"
    text = (CHECKOUT / "ci" / "github" / "publish.yml").read_text()
    wrong.write_text(text.replace("vars.AGC_PLATFORMS", "varz.AGC_PLATFORMS"))

    done = subprocess.run([*actionlint(), str(wrong)], check=False, capture_output=True, text=True, timeout=120)

    assert done.returncode == 1
    assert 'undefined variable "varz"' in done.stdout


def test_shellcheck_takes_the_scripts() -> None:
    """They run in the shell of whatever machine a job or a stack gets."""
    if SHELLCHECK is None:
        pytest.skip("shellcheck is not installed")

    stacks = CHECKOUT / "deploy" / "compose"
    scripts = [CHECKOUT / "ci" / "lock-update", *stacks.glob("*/prepare"), *stacks.glob("*/config/enter")]
    assert len(scripts) >= 3
    command = [SHELLCHECK, *map(str, scripts)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, "")
