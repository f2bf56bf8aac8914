"""A Docker daemon and a registry of our own, on a socket and a port of loopback, ended with the tests."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.support import IMAGE, Agc, Run, end, wait_for
from tests.registry.server import Registry, run_registry


@dataclass(frozen=True, slots=True)
class Docker:
    """A Docker daemon."""

    host: str

    def __call__(self, *arguments: str, check: bool = True, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run the client."""
        command = ["docker", "--host", self.host, *arguments]
        return subprocess.run(command, check=check, capture_output=True, text=True, timeout=seconds)


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """Start a Docker daemon with nothing in it."""
    for program in ("dockerd", "docker"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with tempfile.TemporaryDirectory(prefix="agc-d-") as name, Path(name, "log").open("w") as log:
        folder = Path(name)
        host = f"unix://{folder}/d.sock"
        options = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
        network = ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
        daemon = subprocess.Popen(["dockerd", *options, *network, f"--host={host}"], stdout=log, stderr=log)
        try:
            docker = Docker(host)
            answers = lambda: daemon.poll() is not None or docker("info", check=False).returncode == 0  # noqa: E731
            wait_for("dockerd", answers)
            if daemon.poll() is not None:
                words = (folder / "log").read_text().strip().splitlines()[-1:]
                pytest.skip(f"dockerd does not start here: {words}")
            yield docker
        finally:
            end(daemon)


@pytest.fixture(scope="session")
def loaded(agc: Agc, first: Run, docker: Docker) -> Run:
    """Build the image into the Docker daemon, after it was built once."""
    assert first.code == 0
    run = agc.given(DOCKER_HOST=docker.host)("build", IMAGE, "--json", "--output", "docker")
    assert run.code == 0, run.stderr
    return run


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """Start an empty registry."""
    with run_registry() as registry:
        yield registry
