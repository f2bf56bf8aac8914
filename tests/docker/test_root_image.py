"""A root from a registry: locked where one is reached, by the public name, and built on without a bootstrap."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.digest import digest_bytes, hex_of
from pipeline.engine.layout import INDEX_TYPE, MANIFEST_TYPE
from pipeline.platform import host_platform
from tests.engine.small import read_lock, small_project
from tests.engine.support import CHECKOUT, Agc, Run, write_files
from tests.registry.server import Registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

PUBLIC = "docker.io/library/debian:trixie-slim"
PLATFORM = host_platform()


@pytest.fixture(scope="module")
def mirrored(agc: Agc, first: Run, registry: Registry) -> Agc:
    """Put our own root where a mirror of the public registry would have Debian's, and use that mirror."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    assert first.code == 0
    lock = read_lock(CHECKOUT / "registry" / "lock" / "roots" / "debian-trixie.json")
    root = agc.cache / "roots" / hex_of(lock["bootstrap"][str(PLATFORM)]["digest"])
    name = f"docker://{registry.address}/library/debian:one"
    subprocess.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{root}:root", name], check=True)
    seen = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", name], check=True, capture_output=True)
    entry = {
        "mediaType": MANIFEST_TYPE,
        "digest": digest_bytes(seen.stdout),
        "size": len(seen.stdout),
        "platform": {"os": PLATFORM.os, "architecture": PLATFORM.architecture},
    }
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}).encode()
    registry.put_index("library/debian", "trixie-slim", index)
    return agc.given(AGC_MIRRORS=f"docker.io/library/={registry.address}/library/")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a small base on a root for this platform alone."""
    folder = small_project(tmp_path_factory.mktemp("root-image"))
    shipped = (CHECKOUT / "definitions" / "roots" / "debian-trixie.yaml").read_text()
    one = shipped.replace("[linux/amd64, linux/arm64]", f"[{PLATFORM}]")
    assert one != shipped
    return write_files(folder, {"definitions/roots/debian-trixie.yaml": one})


def test_a_root_image_is_locked_by_its_public_name_and_built_on(mirrored: Agc, project: Path, tmp_path: Path) -> None:
    """The mirror is asked, and shows nowhere: neither in the lock nor in the image."""
    locked = mirrored("lock", "--json", project=project)
    assert locked.code == 0, locked.stderr

    image = read_lock(project / "registry" / "lock" / "roots" / "debian-trixie.json")["image"]
    assert image["ref"] == PUBLIC
    assert list(image["platforms"]) == [str(PLATFORM)]

    built = mirrored("build", "small", "--locked", "--json", "--output", f"oci:{tmp_path / 'out'}", project=project)
    assert built.code == 0, built.stderr
    blobs = tmp_path / "out" / "blobs" / "sha256"
    manifest = json.loads((blobs / hex_of(built.image["digest"])).read_text())
    labels = json.loads((blobs / hex_of(manifest["config"]["digest"])).read_text())["config"]["Labels"]
    assert labels["dev.agentcontainers.root-source"] == "image"
    assert labels["org.opencontainers.image.base.name"] == PUBLIC
    assert labels["org.opencontainers.image.base.digest"] == image["platforms"][str(PLATFORM)]
    assert "127.0.0.1" not in json.dumps(labels)
    assert "localhost" not in json.dumps(labels)


def test_the_other_source_can_be_asked_for(mirrored: Agc, project: Path) -> None:
    """Both are locked, and which is used is a setting."""
    from_image = mirrored("plan", "small", "--json", project=project).image
    bootstrapped = mirrored.given(AGC_ROOT_SOURCE="bootstrap")("plan", "small", "--json", project=project).image

    assert from_image["graphDigest"] != bootstrapped["graphDigest"]
