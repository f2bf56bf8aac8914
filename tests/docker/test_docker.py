"""The image in a real Docker daemon: it runs as its user, under an init, with what it needs and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.docker.conftest import Docker
from tests.engine.support import CHECKOUT, IMAGE, Run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def run(docker: Docker, *command: str, options: tuple[str, ...] = ()) -> str:
    """Run a command in the image, without network, and return what it prints."""
    done = docker("run", "--rm", "--network", "none", *options, IMAGE, *command, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_loaded_image_answers_with_the_locked_version(docker: Docker, loaded: Run) -> None:
    """`claude --version` in a container prints what the lock says."""
    lock = json.loads((CHECKOUT / "registry" / "lock" / "agents" / "claude.json").read_text())

    assert run(docker, "claude", "--version").split()[0] == lock["packages"][0]["version"]


def test_a_container_runs_as_the_user_in_the_workspace(docker: Docker, loaded: Run) -> None:
    """User and group 1000, at home in /home/dev, started in /workspace, which is theirs."""
    script = 'id -u; id -g; pwd; echo "$HOME"; touch file && stat -c %u file'

    assert run(docker, "sh", "-c", script).split() == ["1000", "1000", "/workspace", "/home/dev", "1000"]


def test_process_one_is_the_init(docker: Docker, loaded: Run) -> None:
    """Whoever reaps the agent's children is tini."""
    assert run(docker, "cat", "/proc/1/comm") == "tini"


def test_docker_knows_the_health_check(docker: Docker, loaded: Run) -> None:
    """Docker has read it, and the command in it works."""
    (image,) = json.loads(docker("image", "inspect", IMAGE).stdout)
    check = image["Config"]["Healthcheck"]

    assert check["Test"] == ["CMD", "claude", "--version"]
    assert (check["Interval"], check["Retries"]) == (60 * 10**9, 3)
    assert run(docker, *check["Test"][1:]) != ""


def test_the_config_volume_can_be_written(docker: Docker, loaded: Run) -> None:
    """The volume belongs to the user, and keeps what one container wrote for the next."""
    volume = ("-v", "agc-config:/home/dev/.claude")

    run(docker, "sh", "-c", "echo kept > /home/dev/.claude/settings", options=volume)

    assert run(docker, "cat", "/home/dev/.claude/settings", options=volume) == "kept"


def test_a_mounted_workspace_works(docker: Docker, loaded: Run, tmp_path: Path) -> None:
    """A folder of the host is the workspace: files are read and written there as user 1000."""
    tmp_path.joinpath("question").write_text("hello")
    os.chown(tmp_path, 1000, 1000)

    run(docker, "sh", "-c", "git init -q . && cp question answer", options=("-v", f"{tmp_path}:/workspace"))

    assert (tmp_path / "answer").read_text() == "hello"
    assert (tmp_path / "answer").stat().st_uid == 1000
    assert (tmp_path / ".git").is_dir()


def test_the_agent_cannot_change_itself(docker: Docker, loaded: Run) -> None:
    """Neither its program nor a command on PATH can be written by the user."""
    script = (
        "! touch /opt/agents/claude/x /usr/local/bin/x 2>/dev/null && ! rm /usr/local/bin/claude 2>/dev/null && echo ok"
    )

    assert run(docker, "sh", "-c", script) == "ok"


def test_it_runs_read_only(docker: Docker, loaded: Run) -> None:
    """A read-only root with no capability left is enough to start the agent."""
    strict = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp")

    assert run(docker, "claude", "--version", options=strict)


def test_the_summary_says_how_to_run_it(loaded: Run) -> None:
    """What the build reports fits what Docker has."""
    assert loaded.image["outputs"] == [f"docker image {IMAGE}:latest"]
    assert loaded.image["command"].endswith(f" {IMAGE}")
