"""Every image of the first release for both platforms: published, and pulled back by others as it was planned.

It builds for a foreign platform under emulation, which takes half an hour and more: AGC_TEST_MATRIX=1 asks for it.
A folder in place of the 1 is a cache in which much of it is built.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.compose.labels import GRAPH_LABEL
from tests.docker.conftest import Docker
from tests.docker.conftest import docker as docker  # noqa: PLC0414 (the fixture)
from tests.engine.support import CHECKOUT, Agc, write_files
from tests.registry.server import Registry, run_registry
from tests.registry.test_evidence import record
from tests.unit.verify.vulnerabilities.samples import write_database

ASKED = os.environ.get("AGC_TEST_MATRIX", "")
PLATFORMS = ("linux/amd64", "linux/arm64")
ECOSYSTEMS = ("Debian", "npm", "PyPI", "Go", "crates.io")
NAMES = (
    *("node-bun", "python", "node-bun-claude", "node-bun-codex", "node-bun-copilot", "node-bun-openclaw"),
    *("headroom", "python-openclaw"),
)
OTHERS = "dotnet"
"""What needs an SDK out of an image registry, in the names of images."""

pytestmark = [
    pytest.mark.engine,
    pytest.mark.docker,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not ASKED, reason="AGC_TEST_MATRIX=1 lets it take its time"),
]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A project with all that is shipped, and the registry it publishes to."""

    agc: Agc
    project: Path
    registry: Registry

    def repository(self, name: str) -> str:
        """Return where an image is."""
        return f"{self.registry.address}/agents/{name}"

    def publish(self, name: str) -> Any:
        """Publish an image; gzip, because Docker 20.10 is to pull it."""
        options = (f"--platform={','.join(PLATFORMS)}", "--compression=gzip", "--locked", "--json")
        to = f"--to={self.registry.address}/agents"
        run = self.agc("publish", name, *options, to, project=self.project, seconds=7000)
        assert run.code == 0, run.stderr[-8000:]
        return run.image

    def recorded(self, name: str) -> dict[str, str]:
        """Return the digest of each platform of an image in the catalog."""
        images = json.loads((self.project / "registry" / "catalog.json").read_text())["images"]
        return {platform: one["digest"] for platform, one in images[name]["platforms"].items()}


def skopeo(*arguments: str | Path) -> str:
    """Run skopeo and return what it prints."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    return subprocess.run(["skopeo", *arguments], check=True, capture_output=True, text=True, timeout=900).stdout


@pytest.fixture(scope="module")
def shelf(agc: Agc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """Return a project with a database of vulnerabilities in which nothing is wrong, and an empty registry."""
    folder = tmp_path_factory.mktemp("matrix")
    for name in ("definitions", "registry/lock"):
        shutil.copytree(CHECKOUT / name, folder / name)
    write_database(folder / "osv", {ecosystem: [record("no-such-package")] for ecosystem in ECOSYSTEMS})
    write_files(folder, {"agc.toml": '[gate]\nosv = "osv"\n'})
    with run_registry() as registry:
        yield Shelf(agc if ASKED == "1" else agc.given(AGC_CACHE=ASKED), folder, registry)


def test_these_are_the_images_of_the_first_release(shelf: Shelf) -> None:
    """All that can be built where no image registry is reached."""
    listed = shelf.agc("list-matrix", "--tier", "v1", "--json", project=shelf.project).json["images"]

    assert sorted(NAMES) == sorted(image["name"] for image in listed if OTHERS not in image["name"])


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_pulled_back_as_it_was_planned(name: str, shelf: Shelf, docker: Docker, tmp_path: Path) -> None:
    """Skopeo ends with the same index, Docker with the config of each platform; labels have the plan's graphs."""
    both = f"--platform={','.join(PLATFORMS)}"
    planned = shelf.agc("plan", name, both, "--json", project=shelf.project).image
    graphs = {one["platform"]: one["graphDigest"] for one in planned["platforms"]}

    published = shelf.publish(name)

    digest, repository, built = published["published"][0]["digest"], shelf.repository(name), shelf.recorded(name)
    assert published["graphDigest"] == planned["graphDigest"]
    assert tuple(sorted(built)) == PLATFORMS
    skopeo("copy", "--quiet", "--all", "--src-tls-verify=false", f"docker://{repository}:latest", f"oci:{tmp_path}:x")
    (copied,) = json.loads((tmp_path / "index.json").read_text())["manifests"]
    assert copied["digest"] == digest
    assert platforms_of(tmp_path, digest) == built
    for platform, manifest in built.items():
        config = blob(tmp_path, manifest)["config"]["digest"]
        assert blob(tmp_path, config)["config"]["Labels"][GRAPH_LABEL] == graphs[platform]
        docker("pull", "--quiet", f"--platform={platform}", f"{repository}:latest", seconds=900)
        (seen,) = json.loads(docker("image", "inspect", f"{repository}:latest").stdout)
        assert seen["RepoDigests"] == [f"{repository}@{digest}"]
        assert (seen["Id"], f"{seen['Os']}/{seen['Architecture']}") == (config, platform)
        docker("image", "rm", "--force", seen["Id"])


def blob(layout: Path, digest: str) -> Any:
    """Return a document of an OCI layout."""
    return json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())


def platforms_of(layout: Path, index: str) -> dict[str, str]:
    """Return the digest of each platform in an index."""
    entries = blob(layout, index)["manifests"]
    named = {f"{one['platform']['os']}/{one['platform']['architecture']}": one["digest"] for one in entries}
    return {name: digest for name, digest in named.items() if not name.startswith("unknown")}
