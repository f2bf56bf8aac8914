"""Pushing to a real registry: what arrives is what was built, and what is there already is not sent again."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.engine.support import IMAGE, NOWHERE, Agc, Run, free_port
from tests.registry.server import Registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def skopeo(*arguments: str | Path) -> str:
    """Run skopeo and return what it prints."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    return subprocess.run(["skopeo", *arguments], check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with what is shipped and nothing else: a push is recorded in it, and not in this checkout."""
    return tmp_path_factory.mktemp("pushing")


@pytest.fixture(scope="module")
def pushed(agc: Agc, first: Run, registry: Registry, project: Path) -> Run:
    """Push the image once."""
    run = agc("build", IMAGE, "--json", "--output", f"push:{registry.address}/agents", project=project)
    assert run.code == 0, run.stderr
    return run


def test_the_registry_has_the_digest_that_was_built(pushed: Run, first: Run, registry: Registry) -> None:
    """Build, summary and registry name the same manifest."""
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{registry.address}/agents/{IMAGE}"))

    assert pushed.image["digest"] == first.image["digest"]
    assert seen["Digest"] == pushed.image["digest"]
    assert seen["Labels"]["org.opencontainers.image.title"] == IMAGE


def test_a_pushed_image_can_be_copied_out_whole(pushed: Run, registry: Registry, tmp_path: Path) -> None:
    """Another tool reads every blob, checks each digest, and ends with the same manifest."""
    source = f"docker://{registry.address}/agents/{IMAGE}@{pushed.image['digest']}"
    skopeo("copy", "--quiet", "--src-tls-verify=false", source, f"oci:{tmp_path}:copied")

    (manifest,) = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert manifest["digest"] == pushed.image["digest"]


def test_pushing_again_sends_nothing(agc: Agc, pushed: Run, registry: Registry, project: Path) -> None:
    """No request of the second push changes anything in the registry, nor in its record."""
    record = (project / "registry" / "catalog.json").read_bytes()
    before = registry.uploads()
    assert len(before) >= 6  # at least a blob each and the manifest, or the log says nothing

    again = agc("build", IMAGE, "--json", "--output", f"push:{registry.address}/agents", project=project).image

    assert again["digest"] == pushed.image["digest"]
    assert all(layer["cached"] for layer in again["platforms"][0]["layers"])
    blobs = [line for line in registry.uploads()[len(before) :] if "/blobs/" in line]
    assert blobs == []
    assert registry.uploads() == before
    assert (project / "registry" / "catalog.json").read_bytes() == record


def test_a_registry_that_is_not_there_is_an_output_error(agc: Agc, first: Run, tmp_path: Path) -> None:
    """The registry is named, what was built is kept for the next try, and nothing is recorded."""
    address = f"localhost:{free_port()}"

    run = agc("build", IMAGE, "--json", "--output", f"push:{address}/agents", project=tmp_path)

    assert (run.code, run.error["code"]) == (9, "output"), run.stderr
    assert address in run.error["message"]
    assert NOWHERE not in run.stderr
    assert list(tmp_path.iterdir()) == []
