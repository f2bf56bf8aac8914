"""The engine in memory: remembers, answers, and writes what callers can go on with."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from pipeline.digest import Digest, digest_bytes
from pipeline.engine.api import (
    Engine,
    Export,
    FilesExport,
    ImageContent,
    LayoutExport,
    Solved,
    StepEvent,
    StepStatus,
)
from pipeline.engine.layout import adopt, read_blob, read_manifest, staged
from pipeline.engine.record import Answer, Recorder, Request
from pipeline.errors import BuildError
from pipeline.graph import State, stack
from pipeline.platform import AMD64, ARM64, Platform
from tests.unit.graph.samples import ROOT

LAYOUTS = {digest_bytes(b"root"): Path("/layouts/root")}
IMAGE = stack(ROOT, ROOT.run("a", output="/o"), ROOT.run("b", output="/o")).named("image")
CONTENT = ImageContent(
    "name", json.dumps({"architecture": "amd64", "os": "linux", "config": {"User": "dev"}}).encode(), 0
)


def solve(
    engine: Engine, state: State, *exports: Export, platform: Platform = AMD64, events: list[StepEvent] | None = None
) -> Solved:
    """Run one solve to its end."""

    async def run() -> Solved:
        sink = None if events is None else events.append
        return await engine.solve(state, platform=platform, layouts=LAYOUTS, exports=exports, on_progress=sink)

    return anyio.run(run)


def test_every_request_is_remembered(tmp_path: Path) -> None:
    """As a value that can be compared whole."""
    engine = Recorder()
    export = FilesExport(tmp_path)
    solve(engine, ROOT)
    solve(engine, IMAGE, export, platform=ARM64)

    assert engine.requests == [
        Request(ROOT, AMD64, (), tuple(LAYOUTS.items())),
        Request(IMAGE, ARM64, (export,), tuple(LAYOUTS.items())),
    ]


def test_an_exported_image_can_be_read_and_adopted(tmp_path: Path) -> None:
    """It has the config it was given, and a layer for each layer of the stack."""
    with staged(tmp_path / "out") as staging:
        digest = solve(Recorder(), IMAGE, LayoutExport(staging, CONTENT)).digest
        assert digest is not None
        adopt(staging, tmp_path / "out", "name", {"linux/amd64": digest})
    manifest = read_manifest(tmp_path / "out", digest)

    assert len({layer.digest for layer in manifest.layers}) == 3
    assert json.loads(read_blob(tmp_path / "out", manifest.config.digest))["config"] == {"User": "dev"}


def test_the_manifest_changes_with_state_and_config_and_shares_equal_layers(tmp_path: Path) -> None:
    """One layer more is one blob more."""

    def layers(folder: str, state: State, content: ImageContent) -> tuple[Digest | None, set[Digest]]:
        digest = solve(Recorder(), state, LayoutExport(tmp_path / folder, content)).digest
        assert digest is not None
        return digest, {layer.digest for layer in read_manifest(tmp_path / folder, digest).layers}

    first, first_layers = layers("a", IMAGE, CONTENT)
    again, _ = layers("b", IMAGE, CONTENT)
    other, other_layers = layers("c", stack(ROOT, ROOT.run("c")), CONTENT)
    config, _ = layers("d", IMAGE, ImageContent("name", b'{"os":"linux"}', 0))

    assert first == again
    assert len({first, other, config}) == 3
    assert len(first_layers & other_layers) == 1


def test_files_are_written_as_the_answer_says(tmp_path: Path) -> None:
    """A lock resolver gets its lock file."""
    engine = Recorder(answer=lambda request: Answer(files={"lock/package-lock.json": str(request.platform).encode()}))
    solve(engine, ROOT, FilesExport(tmp_path))

    assert (tmp_path / "lock/package-lock.json").read_text() == "linux/amd64"


def test_steps_are_told_in_order_and_cached_the_second_time() -> None:
    """As a warm daemon does, for each platform apart."""
    engine = Recorder(answer=lambda _: Answer(log=("hello",), seconds=2.0))
    state = ROOT.run("x").named("step")
    events: list[StepEvent] = []
    first = solve(engine, state, events=events)
    told = [(event.name, event.status, event.log) for event in events]
    events.clear()
    second = solve(engine, state, events=events)

    assert told == [
        ("root", StepStatus.STARTED, ""),
        ("root", StepStatus.DONE, ""),
        ("step", StepStatus.STARTED, ""),
        ("step", StepStatus.LOG, "hello"),
        ("step", StepStatus.DONE, ""),
    ]
    assert set(first.cached.values()) == {False}
    assert set(second.cached.values()) == {True}
    assert {event.status for event in events} == {StepStatus.STARTED, StepStatus.CACHED}
    assert set(solve(engine, state, platform=ARM64).cached.values()) == {False}


def test_an_error_ends_the_solve_and_is_told_as_a_failed_step() -> None:
    """What failed is not cached afterwards."""
    failing = Recorder(answer=lambda _: Answer(error=BuildError("no")))
    events: list[StepEvent] = []
    with pytest.raises(BuildError, match="no"):
        solve(failing, ROOT, events=events)
    failing.answer = lambda _: Answer()

    assert events[-1].status is StepStatus.FAILED
    assert solve(failing, ROOT).cached == {ROOT.digest: False}
