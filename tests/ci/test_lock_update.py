"""ci/lock-update with real git: what moved is committed and proposed, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.support import CHECKOUT

AGC = """\
#!/bin/sh
if [ "$*" = generate ]; then echo 2 >docs/page.md; echo noise >docs/new; exit "${GENERATES:-0}"; fi
[ "$*" = 'lock --upgrade all' ] || exit 2
echo "token: ${GH_TOKEN-none}${GITLAB_TOKEN-none}"
echo 'agents/claude  moved  1 → 2'
printf 'scripts  ``` @everyone\\n'
[ -z "$MOVES" ] || echo 2 >registry/lock/claude.json
echo noise >elsewhere
exit "${STATUS:-0}"
"""
TOOL = """\
#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
for word; do [ ! -f "$word" ] || cat "$word" >>"$CALLS"; done
[ "$1 $2" != 'pr list' ] && [ "$1 $2 $3" != 'repos pr list' ] || echo "${OPEN:-0}"
"""


@dataclass(frozen=True, slots=True)
class Clone:
    """A checkout, the repository it pushes to, and what was asked of a forge's tool."""

    folder: Path
    origin: Path
    calls: Path

    def run(self, forge: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        variables = {**self.environment(), **environment}
        return subprocess.run(
            ["ci/lock-update", forge], cwd=self.folder, env=variables, check=False, capture_output=True, text=True
        )

    def environment(self) -> Mapping[str, str]:
        """Return the least that git needs, and the tools that stand for a forge's."""
        path = f"{self.folder.parent / 'tools'}:{os.environ['PATH']}"
        home = {"HOME": str(self.folder.parent), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}
        return {
            **home,
            "PATH": path,
            "CALLS": str(self.calls),
            "GH_TOKEN": "hunter2",
            "GITLAB_TOKEN": "hunter3",
            "MOVES": "1",
        }

    def git(self, *arguments: str) -> str:
        """Return what git says of the repository that is pushed to."""
        command = ["git", "-C", str(self.origin), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=dict(self.environment())).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Return a clone with a lock, and an `agc` that moves it."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    made = Clone(tmp_path / "clone", tmp_path / "origin.git", tmp_path / "calls")

    def run(*words: str) -> None:
        subprocess.run(words, check=True, cwd=tmp_path, capture_output=True, env=dict(made.environment()))

    run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(made.origin))
    run("git", "clone", "--quiet", str(made.origin), "clone")
    files = {
        "registry/lock/claude.json": "1\n",
        ".gitignore": ".venv/\n",
        ".venv/bin/agc": AGC,
        "ci/lock-update": (CHECKOUT / "ci" / "lock-update").read_text(),
        "../tools/gh": TOOL,
        "../tools/az": TOOL,
    }
    for name, text in files.items():
        path = made.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    run("git", "-C", "clone", "add", ".")
    run("git", "-C", "clone", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "-m", "first")
    run("git", "-C", "clone", "push", "--quiet", "origin", "HEAD:main")
    return made


@pytest.mark.parametrize("forge", ["github", "azure", "none"])
def test_what_moved_is_pushed_with_its_report(clone: Clone, forge: str) -> None:
    """On a branch of its own; of other files that changed nothing is committed."""
    done = clone.run(forge)

    assert done.returncode == 0, done.stderr
    assert clone.git("diff", "--name-only", "main", "agc/lock-update") == "registry/lock/claude.json\n"
    message = clone.git("log", "-1", "--format=%B", "agc/lock-update")
    assert message.startswith("Update the lock\n\n")
    assert "agents/claude  moved  1 → 2" in message
    assert (clone.folder / "registry" / "lock" / "claude.json").read_text() == "1\n"


@pytest.mark.parametrize("status", ["0", "3"])
def test_pages_that_tell_versions_move_with_the_lock(clone: Clone, status: str) -> None:
    """Or the check of what is generated would fail; where that cannot be done, the lock is proposed all the same."""
    for name in ("docs/page.md", "registry/generated.json"):
        (clone.folder / name).parent.mkdir(exist_ok=True)
        (clone.folder / name).write_text("1\n")
    for command in (["add", "."], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "-m", "pages"]):
        subprocess.run(["git", "-C", str(clone.folder), *command], check=True, env=dict(clone.environment()))

    done = clone.run("none", GENERATES=status)

    assert done.returncode == 0, done.stderr
    changed = clone.git("diff", "--name-only", "agc/lock-update~1", "agc/lock-update").splitlines()
    assert changed == ["docs/page.md", "registry/lock/claude.json"]
    assert (clone.folder / "docs" / "page.md").read_text() == "1\n"


def test_what_resolves_sees_no_token(clone: Clone) -> None:
    """It has use for none."""
    assert "token: nonenone" in clone.run("none").stdout


def test_a_pull_request_is_opened_once(clone: Clone) -> None:
    """The next day its branch and its text are replaced."""
    assert clone.run("github").returncode == 0
    first = clone.calls.read_text()
    assert "gh pr create --head agc/lock-update --base main --title Update the lock" in first

    again = clone.run("github", OPEN="1", AGC_BRANCH="main")

    assert again.returncode == 0, again.stderr
    assert "gh pr create" not in clone.calls.read_text().removeprefix(first)
    assert "gh pr edit agc/lock-update" in clone.calls.read_text()


def test_a_report_cannot_leave_its_code_block(clone: Clone) -> None:
    """It quotes what registries say, which may be anything."""
    clone.run("github")

    asked = clone.calls.read_text()
    assert asked.count("```") == 2
    assert "''' @everyone" in asked


def test_where_nothing_moved_nothing_is_proposed(clone: Clone) -> None:
    """And the job is done."""
    done = clone.run("github", MOVES="")

    assert done.returncode == 0
    assert clone.git("branch", "--list") == "* main\n"
    assert not clone.calls.exists()


@pytest.mark.parametrize("moves", ["1", ""])
def test_a_refused_release_fails_the_job_and_keeps_the_rest(clone: Clone, moves: str) -> None:
    """A person should look, and what else moved does not wait for that."""
    done = clone.run("github", STATUS="12", MOVES=moves)

    assert done.returncode == 12
    assert ("agc/lock-update" in clone.git("branch", "--list")) == bool(moves)


def test_a_merge_request_is_opened_by_the_push(clone: Clone) -> None:
    """The address has no token in it, and the server is told what to open."""
    (clone.origin / "hooks" / "pre-receive").write_text('#!/bin/sh\nenv | grep GIT_PUSH_OPTION >"$CALLS"\n')
    (clone.origin / "hooks" / "pre-receive").chmod(0o755)
    clone.git("config", "receive.advertisePushOptions", "true")

    done = clone.run("gitlab", CI_SERVER_URL=f"file://{clone.origin.parent}", CI_PROJECT_PATH="origin")

    assert done.returncode == 0, done.stderr
    options = clone.calls.read_text()
    assert "merge_request.create" in options
    assert "merge_request.target=main" in options
    assert "hunter3" not in options + done.stdout + done.stderr


def test_an_unknown_forge_is_refused(clone: Clone) -> None:
    """Before anything moves."""
    assert clone.run("sourceforge").returncode == 2
    assert (clone.folder / "registry" / "lock" / "claude.json").read_text() == "1\n"
