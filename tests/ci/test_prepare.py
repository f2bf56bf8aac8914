"""The script beside a stack and `agc up` make the same before it starts, and change nothing that is there."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from pipeline.stages.project import load_project, shipped_folder
from pipeline.stages.stack_running import prepare

PROJECT = load_project(shipped_folder(), {})
STACKS = sorted(PROJECT.definitions.stacks)
OWN = "mine"

pytestmark = pytest.mark.skipif(not (shipped_folder() / "deploy").is_dir(), reason="needs a checkout")


def copy(stack: str, folder: Path) -> Path:
    """Return the folder of a stack in a project of its own, as it is in a clone."""
    path = folder / "deploy" / "compose" / stack
    shutil.copytree(shipped_folder() / "deploy" / "compose" / stack, path)
    for file in (path / "secrets").glob("[A-Z]*"):
        if file.name != "README.md":  # of whoever works in this checkout
            file.unlink()
    return path


def run(folder: Path, **variables: str) -> None:
    """Run the script from another folder."""
    subprocess.run([folder / "prepare"], check=True, cwd="/", env={"PATH": os.environ["PATH"], **variables})


def made(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return everything below a folder: kind and permissions, owner, size."""
    found = {str(path.relative_to(folder)): path.lstat() for path in folder.rglob("*")}
    return {
        name: (one.st_mode, one.st_uid, 0 if stat.S_ISDIR(one.st_mode) else one.st_size) for name, one in found.items()
    }


@pytest.mark.parametrize("name", STACKS)
def test_the_script_makes_what_agc_up_makes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workspace for the containers' user, a file for each secret with its permissions, a token of its length."""
    monkeypatch.delenv("WORKSPACE", raising=False)
    (stack,) = PROJECT.stacks(name)
    run(copy(name, tmp_path / "script"))
    copy(name, tmp_path / "agc")
    prepare(tmp_path / "agc", stack)

    assert (tmp_path / "script" / "workspace").is_dir()
    assert made(tmp_path / "script") == made(tmp_path / "agc")


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    """Also after a second run; a token is random."""
    one, other = (copy("dual-agent", tmp_path / name) for name in ("one", "other"))
    (one / "secrets" / "ANTHROPIC_API_KEY").write_text(OWN)
    run(one)
    token = (one / "secrets" / "OPENCLAW_GATEWAY_TOKEN").read_text()
    run(one)
    run(other)

    assert (one / "secrets" / "ANTHROPIC_API_KEY").read_text() == OWN
    assert (one / "secrets" / "OPENCLAW_GATEWAY_TOKEN").read_text() == token
    assert (other / "secrets" / "OPENCLAW_GATEWAY_TOKEN").read_text() != token


def test_no_workspace_is_made_where_another_is_named(tmp_path: Path) -> None:
    """By a variable, or in `.env`."""
    one, other = (copy("solo-claude", tmp_path / name) for name in ("one", "other"))
    run(one, WORKSPACE="/somewhere")
    (other / ".env").write_text("# mine\nexport WORKSPACE=/somewhere\n")
    run(other)

    assert not (tmp_path / "one" / "workspace").exists()
    assert not (tmp_path / "other" / "workspace").exists()
