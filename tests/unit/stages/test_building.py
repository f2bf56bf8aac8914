"""An image built with the engine in memory: tested before it is written, and reported as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from pipeline.compose.image import compose, compose_all
from pipeline.engine.api import (
    Compression,
    Engine,
    Export,
    FilesExport,
    LayoutExport,
    Solved,
    StepStatus,
)
from pipeline.engine.layout import read_manifest
from pipeline.engine.record import Answer, Request
from pipeline.errors import BuildError, FailedStep, SmokeError, SourceGoneError
from pipeline.graph import State, walk
from pipeline.graph.ops import Http, Run
from pipeline.platform import AMD64, ARM64, Platform
from pipeline.settings import EngineSettings
from pipeline.stages.building import build_image, try_image
from pipeline.stages.outputs import Output, OutputKind
from pipeline.stages.report import ImageReport
from pipeline.stages.roots import lay_roots
from pipeline.verify.smoke import SmokeReport
from tests.unit.catalog.registry import MemoryRegistry
from tests.unit.compose.samples import composed, definitions, locks, plan, root_digest
from tests.unit.stages.bench import Bench, apt_answer, bench, destinations_of, tree

FAILING = "smoke agents/claude: claude-answers"


def failing(request: Request) -> Answer:
    """Answer as an engine in which one smoke test fails."""
    if any(state.name == FAILING for state in walk(request.state)):
        return Answer(log=("wrong version",), error=BuildError("failed", step=FailedStep(FAILING, 65)))
    return Answer()


def built(
    desk: Bench,
    output: Output,
    *platforms: Platform,
    tests: list[SmokeReport] | None = None,
    compression: Compression = Compression.ZSTD,
    tested: bool = True,
) -> ImageReport:
    """Build node-bun-claude."""
    compositions = compose_all(plan(platform=platform) for platform in platforms or (AMD64,))

    async def run() -> ImageReport:
        async with destinations_of(output, desk) as destinations:
            return await build_image(
                *(compositions, output, compression, desk, [] if tests is None else tests),
                locked=True,
                tested=tested,
                destinations=destinations,
            )

    return anyio.run(run)


def oci(folder: Path) -> Output:
    """Return an output into a folder."""
    return Output(OutputKind.OCI, str(folder))


def test_an_image_is_tested_then_exported_then_adopted(tmp_path: Path) -> None:
    """The layout has it under its name, with the config it was composed with."""
    desk = bench(tmp_path)
    report = built(desk, oci(tmp_path / "out"))
    smoke, export = desk.requests
    (entry,) = json.loads((tmp_path / "out/index.json").read_text())["manifests"]

    assert smoke.exports == ()
    assert isinstance(export.exports[0], LayoutExport)
    assert export.exports[0].content.config == composed().config
    assert export.exports[0].content.compression is Compression.ZSTD
    assert export.state.digest == composed().rootfs.digest
    assert (entry["digest"], entry["annotations"]) == (
        report.digest,
        {"org.opencontainers.image.ref.name": "node-bun-claude"},
    )
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_an_image_that_need_not_be_tested_is_built_and_says_so(tmp_path: Path) -> None:
    """No test reaches the engine; what is written is the same image."""
    desk, tests = bench(tmp_path), list[SmokeReport]()
    report = built(desk, oci(tmp_path / "out"), tests=tests, tested=False)
    build, export = desk.requests

    assert build.state.digest == export.state.digest == composed().rootfs.digest
    assert not any(test.results for test in tests)
    assert report.as_json()["smoke"] == {"passed": 0, "failed": 0, "skipped": True}
    assert report.digest == built(bench(tmp_path), oci(tmp_path / "again")).digest


@dataclass(slots=True)
class Slow:
    """An engine that lets others run before it answers; `found` is how many blobs each export began with."""

    engine: Engine
    found: list[int] = field(default_factory=list)

    async def solve(self, state: State, *, exports: Iterable[Export] = (), **others: Any) -> Solved:
        """Answer late."""
        for export in exports:
            if isinstance(export, LayoutExport):
                self.found.append(len(list((export.directory / "blobs" / "sha256").iterdir())))
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        return await self.engine.solve(state, exports=exports, **others)


def test_images_side_by_side_are_not_sent_the_layers_they_share(tmp_path: Path) -> None:
    """The second export begins with what the first one wrote."""
    desk = bench(tmp_path)
    slow = Slow(desk.engine)
    desk = replace(desk, engine=slow)

    async def both() -> None:
        async with anyio.create_task_group() as tasks:
            for name in ("node-bun-claude", "node-bun"):
                own = [compose(replace(plan(), name=name))]
                tasks.start_soon(
                    partial(build_image, own, oci(tmp_path / "out"), Compression.ZSTD, desk, [], locked=True)
                )

    anyio.run(both)

    assert slow.found[0] == 0
    assert slow.found[1] >= len(composed().layers)


def test_a_failing_smoke_test_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    """Nothing is exported; the report is there for CI."""
    out = tmp_path / "out"
    built(bench(tmp_path), oci(out))
    before = tree(out)
    desk, tests = bench(tmp_path, failing), list[SmokeReport]()

    with pytest.raises(SmokeError, match="1 of 9 smoke tests failed: agents/claude: claude-answers"):
        built(desk, oci(out), tests=tests, compression=Compression.GZIP)

    assert tree(out) == before
    assert not any(request.exports for request in desk.requests)
    assert [failure.name for failure in tests[0].failures] == ["claude-answers"]


def test_a_failing_smoke_test_makes_no_folder(tmp_path: Path) -> None:
    """Not even an empty one."""
    with pytest.raises(SmokeError):
        built(bench(tmp_path, failing), oci(tmp_path / "out"))

    assert not (tmp_path / "out").exists()


def test_one_failing_platform_stops_all(tmp_path: Path) -> None:
    """An index of what passed alone would look whole."""

    def answer(request: Request) -> Answer:
        return failing(request) if request.platform == ARM64 else Answer()

    tests: list[SmokeReport] = []
    with pytest.raises(SmokeError, match="on linux/arm64"):
        built(bench(tmp_path, answer), oci(tmp_path / "out"), AMD64, ARM64, tests=tests)

    assert [bool(report) for report in tests] == [True, False]
    assert not (tmp_path / "out").exists()


def test_an_export_that_fails_leaves_the_old_image(tmp_path: Path) -> None:
    """And nothing half-written beside it."""
    out = tmp_path / "out"
    built(bench(tmp_path), oci(out))
    before = tree(out)

    def answer(request: Request) -> Answer:
        return Answer(error=BuildError("disk")) if request.exports else Answer()

    with pytest.raises(BuildError, match="disk"):
        built(bench(tmp_path, answer), oci(out), compression=Compression.GZIP)

    assert tree(out) == before
    assert {path.name for path in tmp_path.iterdir()} == {"out", "cache"}


def test_layers_are_reported_with_their_components(tmp_path: Path) -> None:
    """Lowest first, with digest and size of what was written."""
    report = built(bench(tmp_path), oci(tmp_path / "out"))
    (platform,) = report.platforms
    blobs = read_manifest(tmp_path / "out", platform.digest).layers

    assert [layer.component for layer in platform.layers] == [layer.component for layer in composed().layers]
    assert [(layer.digest, layer.size) for layer in platform.layers] == [(blob.digest, blob.size) for blob in blobs]


def test_layers_are_cached_the_second_time(tmp_path: Path) -> None:
    """A root is so from the start, unless it was bootstrapped for this build."""
    desk = bench(tmp_path)
    first, second = (built(desk, oci(tmp_path / "out")).platforms[0].layers for _ in range(2))
    fresh = bench(tmp_path)
    fresh.made.add(root_digest("bootstrap", AMD64))
    third = built(fresh, oci(tmp_path / "out")).platforms[0].layers

    assert [layer.cached for layer in first] == [True, False, False, False, False, False]
    assert [layer.cached for layer in second] == [True] * 6
    assert third[0].cached is False


def test_the_same_build_has_the_same_digest(tmp_path: Path) -> None:
    """Into whatever folder."""
    one, other = (built(bench(tmp_path / name), oci(tmp_path / name / "out")).digest for name in ("a", "b"))

    assert one == other


def test_several_platforms_are_one_index(tmp_path: Path) -> None:
    """With a graph digest of its own over both."""
    report = built(bench(tmp_path), oci(tmp_path / "out"), AMD64, ARM64)
    index = json.loads((tmp_path / "out/blobs/sha256" / report.digest.partition(":")[2]).read_text())

    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    assert [entry["digest"] for entry in index["manifests"]] == [platform.digest for platform in report.platforms]
    assert report.graph_digest not in {platform.graph_digest for platform in report.platforms}


def test_the_report_has_the_keys_others_rely_on(tmp_path: Path) -> None:
    """Those of the command-line contract, and two for people."""
    document = built(bench(tmp_path), oci(tmp_path / "out")).as_json()
    (platform,) = document["platforms"]

    assert set(document) - {"outputs", "command"} == {"name", "digest", "graphDigest", "platforms", "smoke", "seconds"}
    assert set(platform) == {"platform", "digest", "graphDigest", "layers"}
    assert {frozenset(layer) for layer in platform["layers"]} == {frozenset({"component", "digest", "size", "cached"})}
    assert document["smoke"] == {"passed": 9, "failed": 0}
    assert document["graphDigest"] == platform["graphDigest"] == composed().graph_digest
    assert {"build", "export", "deliver"} <= set(document["seconds"])
    assert json.loads(json.dumps(document)) == document


def test_an_image_without_output_is_kept_in_the_cache(tmp_path: Path) -> None:
    """So that its layers can be reported."""
    desk = bench(tmp_path)
    report = built(desk, Output(OutputKind.NONE))

    assert (desk.settings.cache / "images/index.json").is_file()
    assert (report.outputs, report.command) == ((), "")


@pytest.mark.parametrize(("native", "seconds"), [("linux/amd64", "30"), ("linux/arm64", "150")])
def test_tests_have_longer_where_the_engine_emulates(tmp_path: Path, native: str, seconds: str) -> None:
    """Which is what its settings say, whatever machine asks it; what was tested in haste is tested again."""
    desk = bench(tmp_path)
    first = built(desk, oci(tmp_path / "out"))
    engine = EngineSettings.model_validate({"native-platforms": [native]})
    remote = replace(desk, settings=desk.settings.model_copy(update={"engine": engine}))
    done = len(desk.requests)
    second = built(remote, oci(tmp_path / "out"))
    (presence,) = (
        state
        for request in desk.requests[done:] or desk.requests
        for state in walk(request.state)
        if state.name == "smoke agents/claude: presence"
    )

    assert isinstance(presence.op, Run)
    assert presence.op.args[4] == seconds
    assert first.digest == second.digest


def test_a_push_goes_to_the_registry_after_everything_else(tmp_path: Path) -> None:
    """As it lies in the layout, and a tag names it last of all."""
    registry = MemoryRegistry()
    desk = bench(tmp_path, registry=registry)
    report = built(desk, Output(OutputKind.PUSH, "ghcr.io/me"))
    changes = [request for request in registry.asked if request.method not in {"GET", "HEAD"}]

    assert changes[-1].url == f"https://ghcr.io/v2/me/{report.name}/manifests/latest"
    assert registry.tags(f"me/{report.name}") == {"latest": report.digest}
    assert report.outputs == (f"ghcr.io/me/{report.name}:latest",)


def test_a_push_of_several_platforms_is_the_index_of_the_layout(tmp_path: Path) -> None:
    """The registry has the digest that was built, whichever it is."""
    registry = MemoryRegistry()
    report = built(bench(tmp_path, registry=registry), Output(OutputKind.PUSH, "ghcr.io/me"), AMD64, ARM64)

    assert registry.tags(f"me/{report.name}") == {"latest": report.digest}
    assert {one.digest for one in report.platforms} < registry.manifests[f"me/{report.name}"].keys()


def test_steps_are_told_while_it_builds(tmp_path: Path) -> None:
    """To whoever shows progress."""
    desk = bench(tmp_path)
    built(desk, oci(tmp_path / "out"))
    events = desk.reporter.events  # type: ignore[attr-defined]

    assert {"agents/claude", FAILING, "node-bun-claude"} <= {event.name for event in events}
    assert StepStatus.FAILED not in {event.status for event in events}


GONE = "http://deb.debian.org/debian/pool/main/t/tini/tini_1.0-1_amd64.deb"


def without(url: str, versions: dict[str, str] | None = None) -> Callable[[Request], Answer]:
    """Answer as an engine for which `url` is no longer there; apt then knows `versions`."""

    def answer(request: Request) -> Answer:
        if asked := apt_answer(request, versions):
            return asked
        wanted = {state.op.url for state in walk(request.state) if isinstance(state.op, Http)}
        return Answer(error=SourceGoneError(url)) if url in wanted else Answer()

    return answer


def tried(desk: Bench, *, locked: bool = False) -> dict[str, str]:
    """Build and test an image, and return the versions of the packages it got."""

    async def run() -> dict[str, str]:
        laid = await lay_roots([plan()], locks(definitions()).roots, desk, locked=locked)
        done = await try_image(compose(laid[0]), desk, locked=locked)
        assert done.smoke
        return {pin.name: pin.version for pin in done.composition.plan.system.packages}

    return anyio.run(run)


def test_a_package_that_left_the_archive_is_resolved_again(tmp_path: Path) -> None:
    """For this build, with a warning that says what moved."""
    desk = bench(tmp_path, without(GONE, {"tini": "1.0-2"}))

    assert tried(desk) == {"git": "1.0-1", "libatomic1": "1.0-1", "tini": "1.0-2"}
    assert desk.notes == [
        (
            "warning: base node-bun (tini_1.0-1_amd64.deb) is not what is locked, for this machine's builds alone; "
            "the archive has moved: tini 1.0-1 → 1.0-2. Refresh with: agc lock"
        )
    ]
    assert isinstance(desk.requests[1].exports[0], FilesExport)


def test_a_package_of_the_mock_that_left_the_archive_is_resolved_again(tmp_path: Path) -> None:
    """The image keeps what is locked."""
    gone = GONE.replace("/t/tini/tini_", "/p/python3-uvicorn/python3-uvicorn_")
    desk = bench(tmp_path, without(gone, {"python3-uvicorn": "1.0-2"}))

    assert set(tried(desk).values()) == {"1.0-1"}
    assert ["base model-mock (python3-uvicorn_1.0-1" in note for note in desk.notes] == [True]


def test_what_was_resolved_again_is_remembered(tmp_path: Path) -> None:
    """The next build on this machine asks apt no more, and says so again."""
    tried(bench(tmp_path, without(GONE, {"tini": "1.0-2"})))
    desk = bench(tmp_path, without(GONE))

    assert tried(desk)["tini"] == "1.0-2"
    assert [request.state.name for request in desk.requests] == ["smoke tests"]
    assert "tini 1.0-1 → 1.0-2" in desk.notes[0]


def test_a_locked_build_takes_nothing_but_what_is_locked(tmp_path: Path) -> None:
    """Neither resolved again nor remembered."""
    tried(bench(tmp_path, without(GONE, {"tini": "1.0-2"})))
    desk = bench(tmp_path, without(GONE, {"tini": "1.0-2"}))

    with pytest.raises(SourceGoneError):
        tried(desk, locked=True)

    assert len(desk.requests) == 1
    assert desk.notes == []


def test_an_npm_archive_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """The registry keeps every version; this is no archive that moved on."""
    url = "https://registry.npmjs.org/npm/-/npm-12.2.0.tgz"
    desk = bench(tmp_path, without(url))

    with pytest.raises(SourceGoneError, match="npm-12"):
        tried(desk)

    assert len(desk.requests) == 1


def test_an_archive_that_keeps_losing_packages_is_given_up(tmp_path: Path) -> None:
    """After a few rounds."""
    desk = bench(tmp_path, without(GONE))

    with pytest.raises(SourceGoneError):
        tried(desk)

    assert 2 <= len(desk.requests) <= 8


def test_an_image_that_is_where_it_belongs_is_not_made_again(tmp_path: Path) -> None:
    """The engine is not asked; the report says the same, with all of it cached."""
    first = built(bench(tmp_path), oci(tmp_path / "out"))
    tests: list[SmokeReport] = []
    desk = bench(tmp_path)
    again = built(desk, oci(tmp_path / "out"), tests=tests)

    assert desk.requests == []
    assert (again.digest, again.graph_digest, again.outputs, again.command) == (
        *(first.digest, first.graph_digest, first.outputs, first.command),
    )
    assert all(layer.cached for platform in again.platforms for layer in platform.layers)
    assert [(one.name, one.passed) for one in tests[0].results] == [(one.name, True) for one in first.smoke[0].results]
    assert all(result.cached for result in tests[0].results)


def _lose_a_blob(out: Path) -> None:
    max((out / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size).unlink()


def _cut_a_blob(out: Path) -> None:
    path = max((out / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[:-1])


def _lose_the_index(out: Path) -> None:
    (out / "index.json").unlink()


def _name_another(out: Path) -> None:
    path = out / "index.json"
    path.write_text(path.read_text().replace("node-bun-claude", "node-bun-other"))


@pytest.mark.parametrize("harm", [_lose_a_blob, _cut_a_blob, _lose_the_index, _name_another])
def test_an_image_that_is_not_whole_is_made_again(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """Whatever happened to it."""
    first = built(bench(tmp_path), oci(tmp_path / "out"))
    before = tree(tmp_path / "out")
    harm(tmp_path / "out")
    desk = bench(tmp_path)

    assert built(desk, oci(tmp_path / "out")).digest == first.digest
    assert any(request.exports for request in desk.requests)
    assert before.keys() <= tree(tmp_path / "out").keys()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"digest": "sha256:x"}', '{"digest": 1, "manifests": []}'])
def test_a_result_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    """The image is made again."""
    built(bench(tmp_path), oci(tmp_path / "out"))
    (path,) = (tmp_path / "cache" / "results").iterdir()
    path.write_text(text)
    desk = bench(tmp_path)
    built(desk, oci(tmp_path / "out"))

    assert desk.requests
    assert path.read_text() != text


def test_what_was_not_tested_is_tested(tmp_path: Path) -> None:
    """A result without tests is none for who wants them."""
    built(bench(tmp_path), oci(tmp_path / "out"), tested=False)
    desk = bench(tmp_path)

    assert built(desk, oci(tmp_path / "out")).smoke[0].passed > 0
    assert desk.requests


def test_a_docker_daemon_is_always_given_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what it did with it."""
    desk = bench(tmp_path)
    built(desk, Output(OutputKind.NONE))
    monkeypatch.setattr("pipeline.stages.building.deliver", _delivered)
    again = bench(tmp_path)
    built(again, Output(OutputKind.DOCKER))

    assert again.requests


async def _delivered(*_: object) -> None:
    await anyio.lowlevel.checkpoint()


def test_an_engine_that_shares_nothing_is_worked_with_as_it_is(tmp_path: Path) -> None:
    """Only some engines can hand on what they built."""
    plain = bench(tmp_path)

    assert plain.shared_as("node-bun-claude", "node-bun") is plain
