"""Only what changed: images are pushed, a lock moves, and plan, record and registry tell the same story."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.models.load import load_definitions
from pipeline.platform import host_platform
from pipeline.resolve.lock import packages_inputs
from pipeline.resolve.pins import ArchivePin, NpmPin, PackagesLock
from tests.engine.small import OTHER, SHIPPED_LOCK, lock_base, read_lock, small_project, write_lock
from tests.engine.support import CHECKOUT, NOWHERE, Agc, free_port, write_files
from tests.registry.server import Registry
from tests.unit.compose.samples import of_npm

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

NAMES = ("small", "small-chatter", "other-chatter")
PLATFORM = str(host_platform())
CHATTER = """\
apiVersion: agentcontainers/v1
kind: Agent
metadata:
  name: chatter
spec:
  packages:
    - npm: NPM
      binaries: {chatter: package.json}
  command: [chatter]
  licence: {publish: baked, name: MIT}
"""


def two_versions() -> tuple[ArchivePin, ArchivePin]:
    """Return two small archives of one package, which the lock of an agent that is shipped happens to have."""
    known: dict[str, ArchivePin] = {}
    lock = PackagesLock.model_validate(read_lock(SHIPPED_LOCK / "agents" / "openclaw.json"))
    for branch in of_npm(lock.packages[0]).tree:
        archive = branch.archive
        other = known.setdefault(archive.package, archive)
        if other.path != archive.path and not branch.platforms:
            return other, archive
    raise AssertionError("no package is there at two versions")


@dataclass(frozen=True)
class Moving:
    """A project whose locks can be moved, and the namespace its images are pushed to."""

    agc: Agc
    folder: Path
    namespace: str

    def agent_at(self, archive: ArchivePin) -> str:
        """Lock the agent to an archive, and return that version."""
        version = archive.path.removesuffix(".tgz").rpartition("-")[2]
        definitions = load_definitions([CHECKOUT / "definitions", self.folder / "definitions"], self.folder)
        inputs = packages_inputs(definitions.agents["chatter"].model.spec.packages)
        pin = NpmPin(npm=archive.package, version=version, archives={"any": archive})
        write_lock(self.folder, PackagesLock(component="agents/chatter", inputs=inputs, packages=(pin,)))
        return version

    def plan(self, *options: str) -> Any:
        """Return what `agc plan --json` says, with no engine to be found."""
        run = self.agc.given(BUILDKIT_HOST=NOWHERE)("plan", *NAMES, "--json", *options, project=self.folder)
        assert run.code == 0, run.stderr
        return run.json

    def push(self, *arguments: str) -> list[str]:
        """Build and push, and return the names of the images that were."""
        where = f"push:{self.namespace}"
        run = self.agc("build", *arguments, "--json", "--locked", "--output", where, project=self.folder)
        assert run.code == 0, run.stderr
        return [image["name"] for image in run.json["images"]]

    def record(self) -> Any:
        """Return the catalog."""
        return json.loads((self.folder / "registry/catalog.json").read_text())

    def blobs(self, name: str) -> Mapping[str, int]:
        """Return the layers of an image in the registry, digest to size."""
        host, _, path = self.namespace.partition("/")
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        answer = httpx.get(f"http://{host}/v2/{path}/{name}/manifests/latest", headers=accept).raise_for_status()
        return {layer["digest"]: layer["size"] for layer in answer.json()["layers"]}


@pytest.fixture
def moving(agc: Agc, registry: Registry, tmp_path: Path) -> Moving:
    """Return three images of two bases and one agent, pushed."""
    folder = small_project(tmp_path / "project")
    old, _ = two_versions()
    files = {"bases/other.yaml": OTHER, "agents/chatter.yaml": CHATTER.replace("NPM", f'"{old.package}"')}
    write_files(folder, {f"definitions/{name}": text for name, text in files.items()})
    made = Moving(agc, folder, f"{registry.address}/{tmp_path.name.replace('_', '-').lower()}")
    made.agent_at(old)
    lock_base(made.folder, "other", "tini")
    assert made.push("--changed", *NAMES) == list(NAMES)
    return made


def told(plan: Any) -> Any:
    """Return what a plan says of each image, wherever it was compared."""
    return [(one["name"], one["state"], [reason["text"] for reason in one["reasons"]]) for one in plan["images"]]


def test_only_what_moved_is_built_and_pulled(moving: Moving, registry: Registry) -> None:
    """From the first push to a second run that has nothing to do."""
    record = moving.record()
    for plan in (moving.plan(), moving.plan("--against", moving.namespace)):
        assert [state for _, state, _ in told(plan)] == ["unchanged"] * 3
        assert plan["pull"] == {"bytes": 0, "accuracy": "exact"}
    for name in NAMES:
        layers = record["images"][name]["platforms"][PLATFORM]["layers"]
        assert {layer["digest"]: layer["size"] for layer in layers} == moving.blobs(name)
        assert record["images"][name]["repositories"] == [f"{moving.namespace}/{name}"]
    before = {name: moving.blobs(name) for name in NAMES}
    old, new = two_versions()
    versions = old.path.removesuffix(".tgz").rpartition("-")[2], moving.agent_at(new)
    reason = f"chatter {versions[0]} → {versions[1]}"

    local, remote = moving.plan(), moving.plan("--against", moving.namespace)

    assert (local["changed"], local["new"]) == (["small-chatter", "other-chatter"], [])
    assert told(local) == told(remote)
    assert told(local)[1:] == [("small-chatter", "changed", [reason]), ("other-chatter", "changed", [reason])]
    assert [image["pull"] for image in local["images"]] == [image["pull"] for image in remote["images"]]
    agent = record["images"]["small-chatter"]["platforms"][PLATFORM]["layers"][-1]
    assert local["images"][1]["pull"] == {"bytes": agent["size"], "accuracy": "estimate"}
    assert local["moves"] == [
        {"component": "agents/chatter", "texts": [reason], "images": ["small-chatter", "other-chatter"]}
    ]

    assert moving.push("--changed", "small-chatter") == ["small-chatter"]
    known, asked = moving.plan(), moving.plan("--against", moving.namespace)
    claims = [plan["images"][2]["pull"] for plan in (known, asked)]
    assert (known["changed"], asked["changed"]) == (["other-chatter"], ["other-chatter"])
    assert moving.push("--changed", *NAMES) == ["other-chatter"]

    after = {name: moving.blobs(name) for name in NAMES}
    really = sum(size for digest, size in after["other-chatter"].items() if digest not in before["other-chatter"])
    assert claims == [{"bytes": really, "accuracy": "exact"}] * 2
    assert after["small"] == before["small"]
    assert moving.record()["images"]["other-chatter"]["reasons"] == [reason]

    uploads, text = registry.uploads(), (moving.folder / "registry/catalog.json").read_bytes()
    alone = moving.agc.given(BUILDKIT_HOST=NOWHERE)
    where = f"push:{moving.namespace}"
    done = alone("build", "--changed", *NAMES, "-o", where, project=moving.folder)
    assert (done.code, done.stdout) == (0, "nothing to do: all 3 images are as in registry/catalog.json\n")
    asked_there = alone("build", "--changed", "--against", moving.namespace, *NAMES, "--json", project=moving.folder)
    assert (asked_there.code, asked_there.json) == (0, {"images": []})
    assert moving.push(*NAMES) == list(NAMES)
    assert (registry.uploads(), (moving.folder / "registry/catalog.json").read_bytes()) == (uploads, text)


def test_a_base_that_moves_takes_no_agent_along(moving: Moving) -> None:
    """Its package is named where the record holds it; another base is left alone."""
    before = {name: moving.blobs(name) for name in NAMES}
    lock_base(moving.folder, "small", "tini", "libatomic1")

    local, remote = moving.plan(), moving.plan("--against", moving.namespace)

    assert local["changed"] == remote["changed"] == ["small", "small-chatter"]
    (reason,) = local["images"][0]["reasons"]
    assert reason["text"].startswith("base small: libatomic1 ")
    assert reason["text"].endswith(" added")
    assert told(remote)[0][2] == ["Debian packages or definition of base small changed"]

    assert moving.push("--changed", *NAMES) == ["small", "small-chatter"]
    after = {name: moving.blobs(name) for name in NAMES}
    assert list(after["small-chatter"])[-1] == list(before["small-chatter"])[-1]
    assert len(after["small-chatter"].keys() - before["small-chatter"].keys()) == 1
    assert after["other-chatter"] == before["other-chatter"]
    assert moving.plan("--changed")["images"] == []


def test_a_registry_that_is_not_there_is_named(moving: Moving) -> None:
    """And an image it never had is new."""
    address = f"localhost:{free_port()}"
    run = moving.agc("plan", "small", "--against", f"{address}/agents", "--json", project=moving.folder)

    assert (run.code, run.error["code"]) == (5, "resolve"), run.stderr
    assert run.error["message"].startswith(f"{address} cannot be asked: ")
    nowhere = moving.plan("--against", f"{moving.namespace}/nothing")
    assert nowhere["new"] == list(NAMES)
