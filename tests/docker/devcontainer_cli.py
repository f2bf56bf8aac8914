"""The devcontainers CLI, as a person runs it in a folder of work."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.docker.conftest import Docker
from tests.tools import npm_tool


def devcontainer_command() -> tuple[str, ...]:
    """Return the command of the CLI; skips where it cannot be had."""
    return npm_tool("@devcontainers/cli@0.89.0", "@devcontainers/cli/devcontainer.js")


@dataclass(frozen=True, slots=True)
class Cli:
    """The CLI on a Docker daemon and a folder of work; `config` is the file where it is not the folder's own.

    `path` is where it finds programs.
    """

    command: tuple[str, ...]
    docker: Docker
    folder: Path
    config: Path | None = None
    path: str = os.environ["PATH"]

    def __call__(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        kept = {"PATH": self.path, "HOME": str(self.folder.parent), "DOCKER_HOST": self.docker.host}
        config = ["--config", str(self.config)] if self.config else []
        command = [*self.command, verb, "--workspace-folder", str(self.folder), *config, *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, env=kept)

    def up(self) -> dict[str, Any]:
        """Open the folder, and return what the CLI tells of it."""
        done = self("up")
        assert done.returncode == 0, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    def inside(self, *command: str) -> str:
        """Return what a command prints in the container."""
        done = self("exec", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
