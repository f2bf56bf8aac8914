"""A Docker daemon and a registry of our own, on a socket and a port of loopback, ended with the tests."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.engine.support import IMAGE, Agc, Run, free_port, wait_for

REGISTRY = """\
version: 0.1
log:
  accesslog: {{disabled: false}}
storage:
  filesystem: {{rootdirectory: {folder}}}
http:
  addr: 127.0.0.1:{port}
"""


@dataclass(frozen=True, slots=True)
class Docker:
    """A Docker daemon."""

    host: str

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the client."""
        return subprocess.run(
            ["docker", "--host", self.host, *arguments], check=check, capture_output=True, text=True, timeout=120
        )


@dataclass(frozen=True, slots=True)
class Registry:
    """An image registry."""

    address: str
    log: Path

    def uploads(self) -> list[str]:
        """Return the requests so far that changed something, as the access log has them."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if any(f'"{method} /v2/' in line for method in ("PUT", "POST", "PATCH"))]


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
            end_daemon(daemon)


def end_daemon(daemon: subprocess.Popen[bytes]) -> None:
    """End a daemon and what it started."""
    children = psutil.Process(daemon.pid).children(recursive=True) if daemon.poll() is None else []
    daemon.terminate()
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
    for child in psutil.wait_procs(children, timeout=5)[1]:
        child.kill()


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
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    with tempfile.TemporaryDirectory(prefix="agc-r-") as name, Path(name, "log").open("w") as log:
        folder, port = Path(name), free_port()
        (folder / "config.yml").write_text(REGISTRY.format(folder=folder / "data", port=port))
        server = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
        try:
            wait_for("the registry", lambda: "listening on" in (folder / "log").read_text())
            yield Registry(f"localhost:{port}", folder / "log")
        finally:
            end_daemon(server)
