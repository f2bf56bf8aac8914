"""The real devcontainers CLI opens what was generated: on the image as it is, as its user, in the project's folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docker.conftest import Docker
from tests.docker.devcontainer_cli import Cli, devcontainer_command
from tests.engine.support import CHECKOUT, IMAGE, Run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of work with the generated file in it, which is user 1000's."""
    folder = tmp_path_factory.mktemp("devcontainer") / "work"
    folder.mkdir()
    shutil.copytree(CHECKOUT / "deploy" / "devcontainers" / IMAGE, folder / ".devcontainer")
    (folder / "question").write_text("hello")
    if os.getuid() == 0:
        os.chown(folder, 1000, 1000)
    return folder


@pytest.fixture(scope="module")
def opened(docker: Docker, loaded: Run, folder: Path) -> Iterator[tuple[Cli, dict[str, Any]]]:
    """Open the folder, and remove the container and its volumes at the end."""
    cli = Cli(devcontainer_command(), docker, folder)
    told = cli.up()
    try:
        yield cli, told
    finally:
        docker("rm", "--force", "--volumes", told["containerId"])


def test_the_cli_reads_what_was_generated(docker: Docker, loaded: Run, folder: Path) -> None:
    """Every key is among those it found."""
    done = Cli(devcontainer_command(), docker, folder)("read-configuration")
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])["configuration"]

    assert read["image"] == f"{IMAGE}:latest"
    assert read["secrets"]["ANTHROPIC_API_KEY"]["description"]
    assert read["workspaceFolder"] == "/workspace"


def test_it_opens_as_the_user_of_the_image(opened: tuple[Cli, dict[str, Any]]) -> None:
    """In the workspace, which is the project's folder; what is written there is the user's."""
    cli, told = opened

    assert (told["outcome"], told["remoteUser"], told["remoteWorkspaceFolder"]) == ("success", "dev", "/workspace")
    assert cli.inside("id", "-un") == "dev"
    assert cli.inside("cat", "question") == "hello"
    cli.inside("sh", "-c", "echo answer > answer")
    assert (cli.folder / "answer").stat().st_uid == 1000


def test_the_agent_answers(opened: tuple[Cli, dict[str, Any]]) -> None:
    """With the locked version, from a login shell's PATH."""
    lock = json.loads((CHECKOUT / "registry" / "lock" / "agents" / "claude.json").read_text())
    cli, _ = opened

    assert cli.inside("claude", "--version").split()[0] == lock["packages"][0]["version"]


def test_the_container_is_confined(opened: tuple[Cli, dict[str, Any]]) -> None:
    """No capability, no way to gain one, a limit of processes, an init; the image is as it was published."""
    cli, told = opened
    (found,) = json.loads(cli.docker("container", "inspect", told["containerId"]).stdout)
    host = found["HostConfig"]

    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert (host["PidsLimit"], host["Init"], host["Privileged"]) == (4096, True, False)
    assert cli.inside("sh", "-c", "grep CapEff /proc/self/status").split()[-1] == "0" * 16


def test_what_the_agent_keeps_is_on_a_volume(opened: tuple[Cli, dict[str, Any]]) -> None:
    """Which is the user's."""
    cli, told = opened
    (found,) = json.loads(cli.docker("container", "inspect", told["containerId"]).stdout)
    mounts = {mount["Destination"]: mount for mount in found["Mounts"]}

    assert mounts["/home/dev/.claude"]["Type"] == "volume"
    assert mounts["/home/dev/.claude"]["Name"].startswith(f"{IMAGE}-home-dev-claude-")
    cli.inside("sh", "-c", "touch /home/dev/.claude/probe")
