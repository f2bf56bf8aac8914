"""Every image of the first release for both platforms: published, and pulled back by others as it was planned.

It builds for a foreign platform under emulation, which takes half an hour and more: AGC_TEST_MATRIX=1 asks for it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
OTHERS = "dotnet"
"""What needs an SDK out of an image registry, in the names of images."""
ECOSYSTEMS = ("Debian", "npm", "PyPI", "Go")

pytestmark = [
    pytest.mark.engine,
    pytest.mark.docker,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not ASKED, reason="AGC_TEST_MATRIX=1 lets it take its time"),
]


@dataclass(frozen=True, slots=True)
class Published:
    """What the plan, the run of `agc publish` and the catalog after it say, by image."""

    registry: Registry
    planned: Mapping[str, Any]
    images: Mapping[str, Any]
    recorded: Mapping[str, Any]

    def raw(self, name: str) -> Any:
        """Return the index of an image as another tool reads it."""
        return json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{self.at(name)}:latest"))

    def at(self, name: str) -> str:
        """Return the repository of an image."""
        return f"{self.registry.address}/agents/{name}"


def skopeo(*arguments: str | Path) -> str:
    """Run skopeo and return what it prints."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    return subprocess.run(["skopeo", *arguments], check=True, capture_output=True, text=True, timeout=900).stdout


@contextmanager
def project_of_all(folder: Path) -> Iterator[Path]:
    """Yield a project with all that is shipped, a database in which nothing is wrong with it, and no signer."""
    for name in ("definitions", "registry/lock"):
        shutil.copytree(CHECKOUT / name, folder / name)
    write_database(folder / "osv", {ecosystem: [record("no-such-package")] for ecosystem in ECOSYSTEMS})
    yield write_files(folder, {"agc.toml": '[gate]\nosv = "osv"\n'})


@pytest.fixture(scope="module")
def published(agc: Agc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """Publish them all; gzip, because Docker 20.10 is to pull them."""
    if ASKED != "1":  # a cache in which much of it is built
        agc = agc.given(AGC_CACHE=ASKED)
    with project_of_all(tmp_path_factory.mktemp("matrix")) as project, run_registry() as registry:
        listed = agc("list-matrix", "--tier", "v1", "--json", project=project).json["images"]
        names = [image["name"] for image in listed if OTHERS not in image["name"]]
        assert len(names) == 8
        both = f"--platform={','.join(PLATFORMS)}"
        plan = agc("plan", *names, both, "--json", project=project)
        assert plan.code == 0, plan.stderr
        options = (both, "--compression=gzip", "--locked", "--json")
        images = {}
        for name in names:  # one after the other: agents that are emulated give up where too many others run
            run = agc("publish", name, *options, "--to", f"{registry.address}/agents", project=project, seconds=7000)
            assert run.code == 0, run.stderr
            images[name] = run.json["images"][0]
        planned = {image["name"]: image for image in plan.json["images"]}
        recorded = json.loads((project / "registry" / "catalog.json").read_text())["images"]
        yield Published(registry, planned, images, recorded)


def test_each_index_has_what_was_planned_and_built(published: Published) -> None:
    """Another reader finds both platforms, by the digests of the build; their labels have the graphs of the plan."""
    for name, image in published.images.items():
        index = published.raw(name)
        found = {
            f"{entry['platform']['os']}/{entry['platform']['architecture']}": entry["digest"]
            for entry in index["manifests"]
            if entry["platform"]["os"] != "unknown"
        }
        assert found == {name: one["digest"] for name, one in published.recorded[name]["platforms"].items()}
        assert tuple(sorted(found)) == PLATFORMS
        assert image["graphDigest"] == published.planned[name]["graphDigest"]
        for platform in published.planned[name]["platforms"]:
            source = f"docker://{published.at(name)}@{found[platform['platform']]}"
            seen = json.loads(skopeo("inspect", "--tls-verify=false", source))
            assert seen["Labels"][GRAPH_LABEL] == platform["graphDigest"]


def test_skopeo_copies_each_out_whole(published: Published, tmp_path: Path) -> None:
    """It reads every blob of every platform, checks each digest, and ends with the same index."""
    for name, image in published.images.items():
        source = f"docker://{published.at(name)}:latest"
        skopeo("copy", "--quiet", "--all", "--src-tls-verify=false", source, f"oci:{tmp_path}/{name}:copied")
        (copied,) = json.loads((tmp_path / name / "index.json").read_text())["manifests"]
        assert copied["digest"] == image["published"][0]["digest"]
        shutil.rmtree(tmp_path / name)


def test_docker_pulls_each_platform(published: Published, docker: Docker) -> None:
    """The image it makes has the id of the config that was built; it knows it by the digest of the index."""
    for name, image in published.images.items():
        reference = f"{published.at(name)}:latest"
        for platform, built in published.recorded[name]["platforms"].items():
            docker("pull", "--quiet", f"--platform={platform}", reference, seconds=900)
            (seen,) = json.loads(docker("image", "inspect", reference).stdout)
            assert seen["RepoDigests"] == [f"{published.at(name)}@{image['published'][0]['digest']}"]
            source = f"docker://{published.at(name)}@{built['digest']}"
            manifest = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", source))
            assert seen["Id"] == manifest["config"]["digest"]
            assert f"{seen['Os']}/{seen['Architecture']}" == platform
            docker("image", "rm", "--force", seen["Id"])
