"""Which release of a package of PyPI, or of a registry image, is locked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from pipeline.digest import digest_bytes
from pipeline.engine.record import Answer, Recorder
from pipeline.errors import Location, ResolveError
from pipeline.models.packages import ImageFiles, PypiPackage
from pipeline.resolve.cooldown import Caution, Decision, Outcome
from pipeline.resolve.pins import ImageFilesPin, PypiPin, WheelPin
from pipeline.settings import Settings
from pipeline.stages.settling import Place
from pipeline.stages.settling_files import settle_image, settle_pypi
from tests.unit.stages.bench import Bench, Notes, project

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HERE = Location("pack.yaml", 3, 5)
PACK = PypiPackage.model_validate({"pypi": "pack", "python": "3.13", "binaries": {"pack": "bin/pack"}})
SDK = ImageFiles.model_validate(
    {
        "image": "registry.example/dotnet/sdk:10.0",
        "path": "/usr/share/dotnet",
        "versionFrom": "SDK_VERSION",
        "binaries": {"dotnet": "dotnet"},
    }
)


@dataclass(frozen=True, slots=True)
class Index(Bench):
    """A workbench whose package index has releases of `pack`: version, hours since it was published, its needs."""

    releases: Sequence[tuple[str, int, str]] = ()
    asked_for: list[str] = field(default_factory=list)

    async def compile_python(self, requirement: str, arguments: Sequence[str]) -> str:
        """Answer as uv does."""
        self.asked_for.append(requirement)
        limit = next((item.partition("=")[2] for item in arguments if item.startswith("--exclude-newer")), "")
        cutoff = datetime.fromisoformat(limit) if limit else NOW
        wanted = requirement.partition("==")[2]
        for version, hours, needs in self.releases:
            published = NOW - timedelta(hours=hours)
            if published <= cutoff and wanted in {"", version}:
                return _package("pack", version, published) + _package("needed", needs, published)
        raise ResolveError("no solution found")


def _package(name: str, version: str, published: datetime) -> str:
    url = f"https://files.pythonhosted.org/packages/{name}-{version}-py3-none-any.whl"
    time = f"{published:%Y-%m-%dT%H:%M:%SZ}"
    return (
        f'[[packages]]\nname = "{name}"\nversion = "{version}"\n'
        f'wheels = [{{ url = "{url}", upload-time = {time}, hashes = {{ sha256 = "{"ab" * 32}" }} }}]\n'
    )


def pin(version: str, needs: str = "1.0") -> PypiPin:
    """Return a pin of `pack`."""
    wheels = tuple(
        WheelPin(package=name, version=number, path="x.whl", sha256=digest_bytes(b""))
        for name, number in (("needed", needs), ("pack", version))
    )
    return PypiPin(pypi="pack", version=version, python="3.13", wheels=wheels)


def settled(
    folder: Path,
    releases: Sequence[tuple[str, int, str]],
    locked: PypiPin | None = None,
    *,
    current: bool = True,
    days: float = 1,
    package: PypiPackage = PACK,
) -> tuple[Decision, PypiPin]:
    """Return what is decided of `pack`, and its pin."""
    bench = Index(Settings(cache=folder), Recorder(lambda _: Answer()), Notes(), releases=releases)
    place = Place("toolpacks/pack", HERE, locked, current)
    caution = Caution(NOW, timedelta(days=days))

    async def run() -> tuple[Decision, PypiPin]:
        return await settle_pypi(package, place, caution, project(folder), bench)

    return anyio.run(run)


NEW, OLD = ("2.0", 3, "1.5"), ("1.0", 300, "1.0")


def test_a_young_release_waits_and_the_one_before_is_taken(tmp_path: Path) -> None:
    """With what that one needs."""
    decision, found = settled(tmp_path, [NEW, OLD])

    assert found.version == "1.0"
    assert [(wheel.package, wheel.version) for wheel in found.wheels] == [("needed", "1.0"), ("pack", "1.0")]
    assert [str(item.release) for item in decision.passed] == ["pack@2.0"]
    assert decision.passed[0].ready == NOW + timedelta(hours=21)


@pytest.mark.parametrize(
    ("locked", "days", "outcome", "version"),
    [
        ("1.0", 1, Outcome.WAITS, "1.0"),
        ("1.0", 0, Outcome.MOVED, "2.0"),
        ("1.0", 0.1, Outcome.MOVED, "2.0"),
        ("2.0", 1, Outcome.STAYS, "2.0"),
        ("3.0", 1, Outcome.STAYS, "3.0"),
    ],
)
def test_a_lock_moves_forward_only(tmp_path: Path, locked: str, days: float, outcome: Outcome, version: str) -> None:
    """And not before the cool-down is over."""
    decision, found = settled(tmp_path, [NEW, OLD], pin(locked), days=days)

    assert (decision.outcome, found.version) == (outcome, version)


def test_a_version_that_was_written_down_does_not_wait(tmp_path: Path) -> None:
    """It is the person's choice."""
    exact = PACK.model_copy(update={"version": "2.0"})

    assert settled(tmp_path, [NEW, OLD], package=exact)[1].version == "2.0"


def test_dependencies_do_not_go_back(tmp_path: Path) -> None:
    """Those of a lock that was made without waiting stay."""
    locked = pin("1.0", needs="1.2")

    assert settled(tmp_path, [OLD], locked)[1] == locked
    assert settled(tmp_path, [OLD], pin("1.0", needs="0.9"))[1].wheels[0].version == "1.0"


def test_a_first_release_waits_too(tmp_path: Path) -> None:
    """With how long, and how not to."""
    with pytest.raises(ResolveError, match=r"no release of pack that fits is old enough yet: 2\.0 was") as caught:
        settled(tmp_path, [NEW])

    assert caught.value.remedy == "wait, or take it now: agc lock --upgrade pack --cool-down 0"


def test_a_lock_that_answers_no_more_is_replaced(tmp_path: Path) -> None:
    """Even by an older one."""
    assert settled(tmp_path, [OLD], pin("2.0"), current=False)[1].version == "1.0"


def image_registry(hours: int, version: str = "10.0.2", variable: str = "SDK_VERSION") -> Any:
    """Return a registry with the image, made so many hours ago."""
    created = f"{NOW - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"
    config = json.dumps({"config": {"Env": [f"{variable}={version}"]}, "created": created}).encode()
    manifest = json.dumps({"config": {"digest": digest_bytes(config)}, "layers": []}).encode()
    entries = [
        {"digest": digest_bytes(manifest), "platform": {"os": "linux", "architecture": name}}
        for name in ("amd64", "arm64")
    ]
    index = json.dumps({"manifests": entries}).encode()
    known = {"10.0": index, digest_bytes(manifest): manifest, digest_bytes(config): config}
    return lambda request: httpx.Response(200, content=known[request.url.path.rpartition("/")[2]])


def settled_image(
    folder: Path, registry: Any, locked: ImageFilesPin | None = None, days: float = 1
) -> tuple[Decision, ImageFilesPin]:
    """Return what is decided of the image, and its pin."""
    bench = Bench(Settings(cache=folder), Recorder(lambda _: Answer()), Notes(), registry=registry)
    place = Place("toolchains/dotnet", HERE, locked, current=True)

    async def run() -> tuple[Decision, ImageFilesPin]:
        caution = Caution(NOW, timedelta(days=days))
        return await settle_image(SDK, place, caution, project(folder), bench)

    return anyio.run(run)


LOCKED = ImageFilesPin(image="registry.example/dotnet/sdk", version="10.0.1", index=digest_bytes(b"old"))


def test_an_image_is_locked_by_its_index_with_the_version_it_says(tmp_path: Path) -> None:
    """Once it is old enough."""
    decision, found = settled_image(tmp_path, image_registry(48), LOCKED)

    assert (decision.outcome, found.version) == (Outcome.MOVED, "10.0.2")
    assert found.index != LOCKED.index
    again, same = settled_image(tmp_path, image_registry(48), found)
    assert (again.outcome, same) == (Outcome.STAYS, found)


def test_a_young_image_waits(tmp_path: Path) -> None:
    """The locked one stays."""
    decision, found = settled_image(tmp_path, image_registry(2), LOCKED)

    assert (decision.outcome, found) == (Outcome.WAITS, LOCKED)
    assert settled_image(tmp_path, image_registry(2), LOCKED, days=0)[1].version == "10.0.2"


def test_an_image_that_does_not_say_its_version_is_refused(tmp_path: Path) -> None:
    """With what it does say."""
    with pytest.raises(ResolveError) as caught:
        settled_image(tmp_path, image_registry(48, variable="OTHER"))

    assert caught.value.message == (
        "registry.example/dotnet/sdk:10.0 does not say its version in SDK_VERSION; its variables: OTHER"
    )


def test_a_registry_that_is_not_reached_is_named_with_what_would_help(tmp_path: Path) -> None:
    """A mirror may have it."""
    bench_registry = Bench(Settings(cache=tmp_path), Recorder(lambda _: Answer()), Notes()).registry
    with pytest.raises(ResolveError, match=r"registry\.example cannot be asked") as caught:
        settled_image(tmp_path, bench_registry)

    assert "give a mirror of registry.example/dotnet/sdk in agc.toml" in caught.value.remedy
    assert caught.value.location == HERE
