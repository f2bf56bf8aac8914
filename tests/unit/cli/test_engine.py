"""`agc engine status`, as a person and as a program see it."""

from __future__ import annotations

import json
from pathlib import Path

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
