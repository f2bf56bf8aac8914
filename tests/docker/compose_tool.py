"""The real Docker Compose 2: that of this machine, or what Go makes of its module, kept between runs."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import platformdirs
import pytest

VERSION = "2.40.3"
MODULE = Path(__file__).parent / "compose"
"""go.mod and go.sum, which say what it is made of."""


def obtain_compose() -> Path:
    """Return the folder with a `docker-compose` of version 2; skips where there is none and none can be made."""
    kept = Path(platformdirs.user_cache_dir("agc-tools")) / f"compose-{VERSION}"
    if (kept / "docker-compose").exists():
        return kept
    if shutil.which("go") is None:
        pytest.skip(f"Go, which makes Docker Compose {VERSION}, is not installed")
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / "docker-compose").exists():
            _make(kept)
    return kept


def _make(folder: Path) -> None:
    new = folder / "docker-compose.new"
    flags = f"-s -w -X github.com/docker/compose/v2/internal.Version=v{VERSION}"
    command = ["go", "build", "-trimpath", "-ldflags", flags, "-o", str(new), "github.com/docker/compose/v2/cmd"]
    environment = {**os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=1800, env=environment, cwd=MODULE
    )
    if done.returncode != 0:
        pytest.skip(f"Docker Compose cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    new.rename(folder / "docker-compose")
