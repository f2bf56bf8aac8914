"""`agc init` on a terminal: it asks for what was not given."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from pipeline.cli import main; raise SystemExit(main())"]
HOUSE = Path(__file__).parents[2]


def answered(folder: Path, *answers: str) -> tuple[int, str]:
    """Run it in a folder on a terminal, type each answer where something is asked, and return how it ended."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "PYTHONPATH": str(HOUSE), "TERM": "dumb"}
    process = subprocess.Popen(
        [*COMMAND, "init"], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown, left = "", list(answers)
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            try:
                piece = os.read(ours, 4096).decode()
            except OSError:  # Linux says so when nobody has the other end any more
                break
            shown += piece
            if left and piece.rstrip().endswith(":"):
                os.write(ours, f"{left.pop(0)}\n".encode())
        return process.wait(30), shown
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_it_asks_for_an_agent_and_its_package(tmp_path: Path) -> None:
    """And writes the project into the folder it was called in."""
    folder = tmp_path / "new"
    folder.mkdir()

    code, shown = answered(folder, "tool", "n", "some-tool", "some")

    assert code == 0, shown
    text = (folder / "definitions" / "agents" / "tool.yaml").read_text(encoding="utf-8")
    assert "pypi: some-tool" in text.replace('"', "")
    assert "some: bin/some\n" in text.replace('"', "")
    assert "next: make" in shown


def test_an_answer_that_cannot_be_meant_is_asked_for_again(tmp_path: Path) -> None:
    """With what is wrong with it; what was answered before is not lost."""
    folder = tmp_path / "new"
    folder.mkdir()

    code, shown = answered(folder, "My Tool", "tool", "n", "no such/name", "some-tool", "")

    assert code == 0, shown
    assert shown.count("What is the agent called?") == 2
    assert shown.count("What is its package called there?") == 2
    assert "Error" in shown
    assert (folder / "definitions" / "agents" / "tool.yaml").is_file()
