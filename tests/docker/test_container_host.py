"""An engine that is reached through a container: buildctl runs docker, and docker runs buildctl in there."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.conftest import Docker
from tests.engine.small import small_project
from tests.engine.support import Agc

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.timeout(300)]

NAME = "agc-reached"


@pytest.fixture
def container(agc: Agc, docker: Docker) -> Iterator[str]:
    """Start a container with nothing in it but buildctl and the socket of the tests' engine."""
    assert agc.daemon.is_running()
    (buildctl,) = agc.cache.glob("engine/*/bin/buildctl")
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo("usr/bin/buildctl")
            data = buildctl.read_bytes()
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
        archive.flush()
        docker("import", "--change=ENV PATH=/usr/bin", archive.name, NAME)
    volume = f"--volume={agc.cache}/engine/run:/run/buildkit"
    # It needs something to run for as long as it is there; this waits for words on its standard input.
    docker(
        "run", "--detach", "--interactive", "--network=none", f"--name={NAME}", volume, NAME, "buildctl", "dial-stdio"
    )
    try:
        yield f"docker-container://{NAME}"
    finally:
        docker("rm", "--force", NAME)


def test_it_builds_what_the_engine_itself_builds(agc: Agc, docker: Docker, container: str, tmp_path: Path) -> None:
    """The address is passed on untouched, and what is set for TLS is not for it."""
    project = small_project(tmp_path / "project")
    through = agc.given(
        DOCKER_HOST=docker.host, BUILDKIT_HOST=container, AGC_TLS_CERT="/nowhere/c.pem", AGC_TLS_KEY="/nowhere/c.key"
    )

    there = through("build", "small", "--json", "-o", f"oci:{tmp_path}/there", project=project)
    here = agc("build", "small", "--json", "-o", f"oci:{tmp_path}/here", project=project)

    assert there.image["digest"] == here.image["digest"]


def test_a_container_that_is_not_there_is_an_engine_error(agc: Agc, docker: Docker, tmp_path: Path) -> None:
    """With its name, and what docker said of it."""
    project = small_project(tmp_path / "project")
    through = agc.given(DOCKER_HOST=docker.host, BUILDKIT_HOST="docker-container://agc-gone")

    run = through("build", "small", "--json", "-o", f"oci:{tmp_path}/out", project=project)

    assert (run.code, run.error["code"]) == (6, "engine")
    assert "agc-gone" in run.error["message"]
