"""Releases that wait, are refused or taken, from a registry on loopback, with archives that the engine looks into."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.digest import digest_bytes
from pipeline.errors import ExitCode
from pipeline.resolve.pins import NpmPin, PackagesLock
from pipeline.settings import NPM_REGISTRY
from tests.engine.small import read_lock, write_lock
from tests.engine.support import Agc, shelf, write_files

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

AGENT = """\
apiVersion: agentcontainers/v1
kind: Agent
metadata:
  name: greeter
spec:
  packages:
    - npm: greeter
      binaries: {greeter: bin/greeter}
  command: [greeter]
  licence: {publish: baked, name: ISC}
"""
LOCK = Path("registry/lock/agents/greeter.json")


@dataclass
class Npm:
    """A registry of one package, `greeter`, on loopback."""

    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)
    archives: dict[str, bytes] = field(default_factory=dict)
    address: str = ""

    def publish(self, version: str, files: Mapping[str, str], *, hours: float, **entry: Any) -> None:
        """Publish a version so many hours ago; what is below `bin` may be run."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, text in {"package.json": version, **files}.items():
                info = tarfile.TarInfo(f"package/{name}")
                info.size, info.mode = len(text), 0o755 if name.startswith("bin/") else 0o644
                archive.addfile(info, io.BytesIO(text.encode()))
        path = f"greeter/-/greeter-{version}.tgz"
        self.archives[path] = buffer.getvalue()
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(self.archives[path]).digest()).decode()
        dist = {"tarball": NPM_REGISTRY + path, "integrity": integrity}
        self.versions[version] = {"maintainers": [{"name": "ann"}], "dist": dist, **entry}
        self.times[version] = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()

    def answer(self, path: str) -> bytes | None:
        """Return what is at a path."""
        if path == "greeter":
            latest = {"latest": list(self.versions)[-1]}
            return json.dumps({"dist-tags": latest, "time": self.times, "versions": self.versions}).encode()
        return self.archives.get(path)

    @contextmanager
    def run(self) -> Iterator[Npm]:
        """Serve until the end of the block."""
        with shelf(self.answer) as self.address:
            yield self


@pytest.fixture
def npm() -> Iterator[Npm]:
    """Yield a registry with a release that has had its time."""
    with Npm().run() as registry:
        registry.publish("1.0.0", {"bin/greeter": "echo hello", "README": "1"}, hours=900)
        yield registry


@pytest.fixture
def mirrored(agc: Agc, npm: Npm) -> Agc:
    """Return `agc` with that registry in place of npm's."""
    return agc.given(AGC_MIRRORS=f"{NPM_REGISTRY}={npm.address}")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with one agent."""
    return write_files(tmp_path / "project", {"definitions/greeter.yaml": AGENT})


def content(project: Path) -> dict[str, bytes]:
    """Return every file of a project."""
    return {str(path.relative_to(project)): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def package(run: Any) -> Any:
    """Return what `agc lock --json` says of the only package."""
    assert run.code == 0, run.stderr
    (one,) = run.json["packages"]
    return one


def test_a_release_waits_and_is_taken_when_somebody_says_so(mirrored: Agc, npm: Npm, project: Path) -> None:
    """One file is written, and what changed in the archive is told."""
    first = package(mirrored("lock", "--json", project=project))
    npm.publish("1.1.0", {"bin/greeter": "echo hello!", "bin/spy": "id"}, hours=6)
    before = content(project)
    waits = mirrored("lock", "--upgrade", "greeter", "--json", project=project)
    unchanged = content(project)
    moved = mirrored("lock", "--upgrade", "greeter", "--cool-down", "0", "--json", project=project)

    assert (first["outcome"], first["after"]["version"]) == ("new", "1.0.0")
    assert (waits.code, package(waits)["outcome"], unchanged) == (0, "waits", before)
    (passed,) = package(waits)["passedOver"]
    ready = datetime.fromisoformat(passed["ready"])
    assert ready - datetime.fromisoformat(npm.times["1.1.0"]) == timedelta(days=1)
    assert (moved.code, package(moved)["outcome"], package(moved)["after"]["version"]) == (0, "moved", "1.1.0")
    (archive,) = package(moved)["archives"]
    assert archive["files"] == {
        "added": ["bin/spy"],
        "removed": ["README"],
        "resized": ["bin/greeter"],
        "programs": ["bin/spy"],
        "kept": 2,
    }
    assert archive["sizeAfter"] == len(npm.archives["greeter/-/greeter-1.1.0.tgz"])
    after = content(project)
    assert {name for name in after if before.get(name) != after[name]} == {str(LOCK)}


def test_a_release_of_somebody_else_with_a_script_is_refused_until_accepted(
    mirrored: Agc, npm: Npm, project: Path
) -> None:
    """The command that is printed takes it."""
    assert package(mirrored("lock", "--json", project=project))["outcome"] == "new"
    npm.publish(
        "1.1.0",
        {"bin/greeter": "echo hello"},
        hours=100,
        maintainers=[{"name": "eve"}],
        scripts={"postinstall": "node spy.js"},
    )
    before = content(project)
    refused = mirrored("lock", "--upgrade", "greeter", project=project)
    unchanged = content(project)
    (command,) = [line.split("agc ")[1] for line in refused.stdout.splitlines() if "--accept" in line]
    accepted = mirrored(*command.split(), "--json", project=project)

    assert (refused.code, unchanged) == (ExitCode.REFUSED, before)
    assert "after       postinstall: node spy.js" in refused.stdout
    assert "publishers of greeter" in refused.stdout
    assert command == "lock --upgrade greeter --accept greeter@1.1.0"
    assert (accepted.code, package(accepted)["after"]["version"]) == (0, "1.1.0")


def test_an_archive_that_was_unpublished_is_told_and_stops_nothing(mirrored: Agc, project: Path) -> None:
    """What was locked cannot be compared any more, and is left behind all the more."""
    assert package(mirrored("lock", "--json", project=project))["outcome"] == "new"
    lock = PackagesLock.model_validate(read_lock(project / LOCK))
    (pin,) = lock.packages
    assert isinstance(pin, NpmPin)
    gone = {"path": "greeter/-/greeter-0.9.0.tgz", "sha256": digest_bytes(b"gone")}
    old = pin.model_copy(
        update={
            "version": "0.9.0",
            "archives": {name: item.model_copy(update=gone) for name, item in pin.archives.items()},
        }
    )
    write_lock(project, lock.model_copy(update={"packages": (old,)}))

    run = mirrored("lock", "--upgrade", "greeter", "--json", project=project)

    assert (run.code, package(run)["outcome"], package(run)["after"]["version"]) == (0, "moved", "1.0.0")
    assert package(run)["gone"].endswith("greeter/-/greeter-0.9.0.tgz")
    assert package(run)["note"] == "the registry no longer has greeter 0.9.0"
    assert read_lock(project / LOCK)["packages"][0]["version"] == "1.0.0"
