"""A stack of this checkout on a daemon of the tests, with a mock in place of the models' hosts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docker.conftest import Docker
from tests.engine.support import CHECKOUT, Agc, Run, end, wait_for

# Docker keeps internal networks apart by rules of the host's firewall, so it may make them, in a network of its own.
_DAEMON = "ip link set lo up && exec dockerd "
TASK = "Hello from a stack."
# By the names of the real hosts and on their port, so that the list of hosts is tested as it was generated.
HOSTS = ("api.anthropic.com", "api.openai.com")
UPSTREAM = {name: f"http://{name}:443" for name in HOSTS}
_SERVE = f"""
import uvicorn
from pipeline.verify.mock.app import Mock
from pipeline.verify.mock.turns import Task
task = Task("/workspace/greeting.txt", {TASK!r})
uvicorn.run(Mock(task), host="0.0.0.0", port=443, log_level="warning", lifespan="off")
"""
_ASK = "import socket; socket.create_connection(('127.0.0.1', 443), 2)"


@dataclass(frozen=True, slots=True)
class FencedDocker(Docker):
    """A daemon in a network namespace of its own; `pid` is its process."""

    pid: int

    def host_network(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command where the daemon's host would."""
        whole = ["nsenter", f"--target={self.pid}", "--net", *command]
        return subprocess.run(whole, check=False, capture_output=True, text=True, timeout=60)


@contextmanager
def fenced_daemon() -> Iterator[FencedDocker]:
    """Start a Docker daemon with nothing in it that may set up a firewall, and end it."""
    for program in ("dockerd", "docker", "unshare", "nsenter", "ip", "iptables"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with tempfile.TemporaryDirectory(prefix="agc-f-") as name, Path(name, "log").open("w") as log:
        host = f"unix://{name}/d.sock"
        options = f"--data-root={name}/data --exec-root={name}/exec --pidfile={name}/pid --bridge=none --host={host}"
        daemon = subprocess.Popen(["unshare", "--net", "sh", "-c", _DAEMON + options], stdout=log, stderr=log)
        try:
            docker = FencedDocker(host, daemon.pid)
            wait_for("dockerd", lambda: daemon.poll() is not None or docker("info", check=False).returncode == 0)
            if daemon.poll() is not None:
                pytest.skip(f"dockerd does not start here: {Path(name, 'log').read_text().splitlines()[-1:]}")
            yield docker
        finally:
            end(daemon)


def mock_service() -> dict[str, Any]:
    """Return the mock of model APIs as one more service, where the proxies find it and agents do not."""
    return {
        "image": "model-mock",
        "pull_policy": "never",
        "user": "0:0",
        "working_dir": "/tmp",
        "entrypoint": ["python3", "-c", _SERVE],
        "environment": {"PYTHONPATH": "/mock", "PYTHONDONTWRITEBYTECODE": "1"},
        "volumes": [f"{CHECKOUT}/pipeline:/mock/pipeline:ro"],
        "healthcheck": {"test": ["CMD", "python3", "-c", _ASK], "interval": "2s", "retries": 15},
        "networks": {"outside": {"aliases": list(HOSTS)}},
    }


@dataclass(frozen=True, slots=True)
class Running:
    """A stack that is up; `folder` is the project it belongs to, `seconds` how long it took."""

    name: str
    folder: Path
    agc: Agc
    docker: Docker
    override: Path
    report: Run
    seconds: float

    @property
    def workspace(self) -> Path:
        """The shared folder."""
        return self.folder / "workspace"

    def compose(self, *arguments: str, check: bool = True, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Run Docker Compose on the stack."""
        file = self.folder / "deploy" / "compose" / self.name / "compose.yaml"
        command = ["docker-compose", "-f", str(file), "-f", str(self.override), "-p", self.name, "--profile", "*"]
        return subprocess.run(
            [*command, *arguments],
            check=check,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=self.agc.variables(),
            stdin=subprocess.DEVNULL,
        )

    def run(self, service: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in a service as a person does: with its secrets."""
        return self.compose("exec", "-T", service, "/run/agc/enter", *command, check=check)

    def log(self, service: str) -> str:
        """Return what a service has printed."""
        return self.compose("logs", "--no-log-prefix", service).stdout

    def inspect(self, service: str) -> Any:
        """Return what Docker knows of a service's container."""
        (number,) = self.compose("ps", "--all", "--quiet", service).stdout.split()
        (found,) = json.loads(self.docker("inspect", number).stdout)
        return found

    def left(self) -> list[str]:
        """Return the containers, volumes and networks there are of it."""
        label = f"label=com.docker.compose.project={self.name}"
        return [
            name
            for kind, flags in (("container", ["--all"]), ("volume", []), ("network", []))
            for name in self.docker(kind, "ls", *flags, "--quiet", "--filter", label).stdout.split()
        ]


def project_with(folder: Path, secrets: Mapping[str, str], stack: str) -> Path:
    """Return a copy of what a stack is made of, with these secrets; its workspace belongs to the containers' user."""
    for name in ("definitions/stacks", "deploy/compose"):
        shutil.copytree(CHECKOUT / name, folder / name)
    for name, value in secrets.items():
        (folder / "deploy" / "compose" / stack / "secrets" / name).write_text(value)
    (folder / "workspace").mkdir()
    os.chown(folder / "workspace", 1000, 1000)
    return folder


@contextmanager
def started(
    name: str, folder: Path, agc: Agc, docker: Docker, services: Mapping[str, Any], *flags: str
) -> Iterator[Running]:
    """Start a stack with `agc up`, and leave nothing of it; `services` is what the test puts on top."""
    override = folder / "override.yaml"
    override.write_text(yaml.safe_dump({"services": dict(services)}))
    began = time.monotonic()
    report = agc("up", name, "--file", override, *flags, "--wait-timeout", "180", project=folder, seconds=300)
    running = Running(name, folder, agc, docker, override, report, time.monotonic() - began)
    try:
        yield running
    finally:
        running.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)


@contextmanager
def stack_left(folder: Path, agc: Agc) -> Iterator[None]:
    """Leave nothing of the stack in `folder`, whoever started it."""
    try:
        yield
    finally:
        command = ["docker-compose", "-f", str(folder / "compose.yaml"), "-p", folder.name, "down", "--volumes"]
        command += ["--remove-orphans", "--timeout", "5"]
        subprocess.run(command, check=False, capture_output=True, timeout=240, env=agc.variables())
