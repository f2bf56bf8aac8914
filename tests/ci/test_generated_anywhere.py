"""Generated files are the same bytes on any machine: other locale, time zone, hash seed and folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
KINDS = {"compose", "devcontainers", "helm", "kubernetes", "openshell", "sandbox"}
MACHINES = (
    {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "1"},
    {"LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4711", "PYTHONUTF8": "0"},
)


def generated(folder: Path, machine: dict[str, str]) -> dict[str, bytes]:
    """Return everything that `agc generate` writes into a new project."""
    shutil.copytree(HOUSE / "definitions" / "stacks", folder / "definitions" / "stacks")
    kept = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(HOUSE)}
    command = [sys.executable, "-c", "from pipeline.cli import main; raise SystemExit(main())"]
    subprocess.run([*command, "-C", str(folder), "generate"], check=True, env={**kept, **machine}, capture_output=True)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_machines_write_the_same(tmp_path: Path) -> None:
    """All files, and the record of them."""
    one, other = (generated(tmp_path / str(at), machine) for at, machine in enumerate(MACHINES))

    assert "registry/generated.json" in one
    assert {name.split("/")[1] for name in one if name.startswith("deploy/")} == KINDS
    assert one == other


def test_a_definition_changed_without_generating_is_found(tmp_path: Path) -> None:
    """As CI would: the check fails, shows the line, and names the command that mends it."""
    generated(tmp_path / "project", MACHINES[0])
    agents = tmp_path / "project" / "definitions" / "agents"
    agents.mkdir()
    text = (HOUSE / "definitions" / "agents" / "codex.yaml").read_text(encoding="utf-8")
    (agents / "codex.yaml").write_text(text.replace("host: chatgpt.com", "host: chat.example.com"), encoding="utf-8")
    command = [sys.executable, "-c", "from pipeline.cli import main; raise SystemExit(main())"]
    done = subprocess.run(
        [*command, "-C", str(tmp_path / "project"), "generate", "--only", "openshell", "--check"],
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(HOUSE)},
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert "+      - host: chat.example.com" in done.stdout
    assert "agc generate --only openshell" in done.stderr


if not (HOUSE / "pyproject.toml").is_file():
    pytestmark = pytest.mark.skip(reason="needs a checkout")
