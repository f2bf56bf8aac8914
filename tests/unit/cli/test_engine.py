"""`agc engine`, as a person and as a program see it."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from pipeline.cli import main
from pipeline.errors import ExitCode

Capture = pytest.CaptureFixture[str]
ADDRESS = "tcp://buildkit.example:1234"


@pytest.mark.parametrize(
    ("host", "told"),
    [(ADDRESS, f"configured: {ADDRESS}\n"), ("", "no embedded daemon runs; the next build starts one\n")],
    ids=["configured", "found"],
)
def test_status_says_what_the_next_build_will_use(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, host: str, told: str
) -> None:
    """Where an engine is configured no other is started."""
    monkeypatch.setenv("AGC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BUILDKIT_HOST", host)

    assert main(["-C", str(tmp_path), "engine", "status"]) == ExitCode.OK
    assert capsys.readouterr().out == told
    assert main(["-C", str(tmp_path), "engine", "status", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"running": False, "configured": host or None}


@pytest.mark.parametrize(("option", "left"), [([], {"images", "results", "roots", "sbom"}), (["--all"], {"roots"})])
def test_pruning_removes_what_is_made_again_and_keeps_roots(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, option: list[str], left: set[str]
) -> None:
    """What is removed of our own folder is counted with what the engine freed."""

    async def freed(*_: object, everything: bool) -> int:
        await anyio.lowlevel.checkpoint()
        return 1000 if everything else 100

    monkeypatch.setenv("AGC_CACHE", str(tmp_path))
    monkeypatch.setattr("pipeline.engine.choose.prune_engine", freed)
    for folder in ("dagger", "images", "results", "roots", "sbom"):
        (tmp_path / folder / "below").mkdir(parents=True)
        (tmp_path / folder / "below/file").write_bytes(b"x" * 7)

    assert main(["-C", str(tmp_path), "engine", "prune", "--json", *option]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == {"freedBytes": 1028 if option else 107}
    assert {path.name for path in tmp_path.iterdir()} == left
