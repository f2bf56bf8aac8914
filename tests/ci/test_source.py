"""What git says of a project: its commit, its trees, and whether they are still what was committed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.supply.run import Source, git_source

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder`, as somebody."""
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "commit.gpgsign=false")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project in a folder of a repository, and commit it."""
    git(tmp_path, "init", "--quiet")
    folder = tmp_path / "machines"
    (folder / "definitions").mkdir(parents=True)
    (folder / "definitions" / "one.yaml").write_text("kind: Agent\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return folder


def test_commit_and_trees_are_git_s_own(project: Path) -> None:
    """A folder that is not there has no tree."""
    tree = git(project, "rev-parse", "HEAD:machines/definitions")

    assert git_source(project) == Source(git(project, "rev-parse", "HEAD"), "", {"definitions": tree})


def test_a_change_that_is_not_committed_is_told(project: Path) -> None:
    """A new definition counts, what a build left beside them does not."""
    (project / "out").mkdir()
    (project / "out" / "index.json").write_text("{}")
    before = git_source(project)
    (project / "definitions" / "two.yaml").write_text("kind: Agent\n")
    after = git_source(project)

    assert before is not None
    assert after is not None
    assert (before.modified, after.modified) == (False, True)


def test_a_token_in_the_address_of_the_remote_is_left_out(project: Path) -> None:
    """People and CI systems put one there."""
    git(project, "remote", "add", "origin", "https://me:c4n4ry@git.example/me/images.git")
    source = git_source(project)

    assert source is not None
    assert source.repository == "https://git.example/me/images.git"


def test_a_folder_that_is_no_repository_has_no_source(tmp_path: Path) -> None:
    """Nor has a repository without a commit."""
    nothing = git_source(tmp_path)
    git(tmp_path, "init", "--quiet")

    assert (nothing, git_source(tmp_path)) == (None, None)
