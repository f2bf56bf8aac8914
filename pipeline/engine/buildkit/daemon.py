"""The embedded BuildKit daemon: started once, left running so that the next build is warm.

Rules kept here:

- a daemon whose settings are still the wanted ones is found with one connect, without starting a process;
- any other state (stale socket, stale record, dead or hanging daemon, changed settings) ends in one fresh daemon;
- no process is signalled unless it is the listener of our socket or was started by us, by pid and start time;
- the daemon keeps none of the environment of whoever happened to start it, but what is named here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.engine.buildkit.client import BuildKit
from pipeline.engine.buildkit.daemon_config import config_text, daemon_environment, fingerprint, socket_path
from pipeline.engine.buildkit.process import (
    last_words,
    listener,
    spawn,
    started_ticks,
    terminate,
    unmount_below,
)
from pipeline.engine.buildkit.programs import Notify, Programs, exclusive
from pipeline.errors import EngineError
from pipeline.settings import Settings

_START_SECONDS = 30
_PASSED_ON = ("PATH", "HOME", "LANG", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """What is known of the embedded daemon; `disk_bytes` is what its state takes on disk."""

    address: str
    pid: int
    version: str
    running: bool
    started: datetime
    root: Path
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """One thing in a daemon's cache: its id, what made it, and its bytes."""

    identity: str
    description: str
    size: int


class _Record(BaseModel):
    """What is written down about a daemon that was started; `ticks` is its start time as the kernel counts it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    ticks: int
    fingerprint: str
    version: str
    buildkitd: Path
    buildctl: Path
    started: datetime


async def ensure(settings: Settings, programs: Programs, notify: Notify) -> str:
    """Return the address of a daemon with these settings, started or restarted where there is none.

    Raises EngineError with the daemon's last words where it does not come up.
    """
    wanted = fingerprint(settings, programs)
    if _serves(settings, wanted):
        return _address(settings)
    require_host()
    async with exclusive(_run_folder(settings) / "lock"):
        if _serves(settings, wanted):
            return _address(settings)
        if await _end(settings):
            notify("the build engine's settings changed, or it hung: restarting it")
        await _start(settings, programs, wanted)
        return _address(settings)


def running(settings: Settings) -> Programs | None:
    """Return the programs of the daemon that answers and that we started, else None."""
    record = _read(settings)
    if record is None or listener(_socket(settings)) != record.pid:
        return None
    return Programs(record.buildctl, record.buildkitd, record.version)


def status(settings: Settings) -> DaemonStatus | None:
    """Return how the daemon is; None where none was started, or where it was stopped."""
    record = _read(settings)
    if record is None:
        return None
    alive = listener(_socket(settings)) == record.pid
    root = _root(settings)
    return DaemonStatus(_address(settings), record.pid, record.version, alive, record.started, root, _disk_bytes(root))


async def stop(settings: Settings) -> bool:
    """Stop the daemon and remove its run files; tell whether one was running."""
    async with exclusive(_run_folder(settings) / "lock"):
        return await _end(settings)


async def prunable(engine: BuildKit) -> tuple[CacheRecord, ...]:
    """Return what `prune` would drop: the records that no running build uses, biggest first."""
    return parse_records(await _buildctl(engine, "du", "--format={{json .}}"))


async def prune(engine: BuildKit, *, everything: bool) -> int:
    """Drop what the daemon's cache can spare, `everything` drops internal records too; return the bytes freed."""
    extra = ["--all"] if everything else []
    return parse_pruned(await _buildctl(engine, "prune", "--format={{.Size}}", *extra))


def parse_records(text: str) -> tuple[CacheRecord, ...]:
    """Return the unused records of what `buildctl du` printed as JSON."""
    records = (
        CacheRecord(entry["id"], entry["description"], entry["size"])
        for entry in json.loads(text) or ()
        if not entry["inUse"]
    )
    return tuple(sorted(records, key=lambda record: (-record.size, record.identity)))


def parse_pruned(text: str) -> int:
    """Return the sum of the sizes that `buildctl prune` printed, one a line."""
    return sum(int(line) for line in text.split())


def require_host() -> None:
    """Raise EngineError where this machine or user cannot run a BuildKit daemon."""
    if os.geteuid() != 0:
        raise EngineError(
            "BuildKit's own daemon needs root, and there is no other engine",
            remedy="start Docker or Podman, set BUILDKIT_HOST to a BuildKit you may use, or run agc with sudo",
        )
    if shutil.which("runc") is None:
        raise EngineError("runc is not installed, and BuildKit runs its steps with it", remedy="agc doctor --fix")


async def _buildctl(engine: BuildKit, *arguments: str) -> str:
    try:
        done = await anyio.run_process(engine.command(*arguments), check=False)
    except OSError as error:
        raise EngineError(f"{engine.buildctl}: {error.strerror}", remedy="agc doctor") from error
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()
        raise EngineError(f"buildctl {arguments[0]} failed: {words}", remedy="agc engine status")
    return done.stdout.decode()


def _root(settings: Settings) -> Path:
    return settings.cache / "buildkit"


def _run_folder(settings: Settings) -> Path:
    return settings.cache / "engine" / "run"


def _socket(settings: Settings) -> Path:
    return socket_path(_run_folder(settings), os.geteuid())


def _address(settings: Settings) -> str:
    return f"unix://{_socket(settings)}"


def _record_path(settings: Settings) -> Path:
    return _run_folder(settings) / "buildkitd.json"


def _read(settings: Settings) -> _Record | None:
    try:
        return _Record.model_validate_json(_record_path(settings).read_bytes())
    except (OSError, ValidationError):
        return None


def _serves(settings: Settings, wanted: str) -> bool:
    record = _read(settings)
    return record is not None and record.fingerprint == wanted and listener(_socket(settings)) == record.pid


async def _start(settings: Settings, programs: Programs, wanted: str) -> None:
    run, path = _run_folder(settings), _socket(settings)
    _private(run)
    _private(path.parent)
    config, log = run / "buildkitd.toml", run / "buildkitd.log"
    config.write_text(config_text(settings))
    with contextlib.suppress(FileNotFoundError):
        log.replace(run / "buildkitd.old.log")
    command = [str(programs.buildkitd), f"--config={config}", f"--root={_root(settings)}", f"--addr=unix://{path}"]
    command += ["--oci-worker=true", "--containerd-worker=false", "--allow-insecure-entitlement=network.host"]
    # Its temporary mounts lie below its root, where they are found and unmounted should it be killed.
    temporary = _root(settings) / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name in _PASSED_ON if (value := os.environ.get(name))}
    pid = spawn(command, {**kept, "TMPDIR": str(temporary), **daemon_environment(settings)}, log)
    ticks = started_ticks(pid) or 0
    record = _Record(
        pid=pid,
        ticks=ticks,
        fingerprint=wanted,
        version=programs.version,
        buildkitd=programs.buildkitd,
        buildctl=programs.buildctl,
        started=datetime.now(UTC),
    )
    _record_path(settings).write_text(record.model_dump_json())
    deadline = time.monotonic() + _START_SECONDS
    while listener(path) != pid:
        if started_ticks(pid) != ticks or time.monotonic() > deadline:
            await _end(settings)
            raise EngineError(
                f"buildkitd did not start; the end of {log}:\n  "
                + "\n  ".join(last_words(log.read_text(errors="replace"))),
                remedy="agc doctor",
            )
        await anyio.sleep(0.02)


async def _end(settings: Settings) -> bool:
    """End the daemon, by record or by socket, and remove its run files and mounts; tell whether there was one."""
    record, path = _read(settings), _socket(settings)
    pids = {pid for pid in [listener(path)] if pid}
    if record and started_ticks(record.pid) == record.ticks:
        pids.add(record.pid)
    with anyio.CancelScope(shield=True):
        for pid in pids:
            await terminate(pid)
        await anyio.to_thread.run_sync(unmount_below, _root(settings))
    for leftover in (path, _record_path(settings)):
        leftover.unlink(missing_ok=True)
    return bool(pids)


def _private(folder: Path) -> None:
    """Make `folder` with mode 0700; raises EngineError where someone else made it before us."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise EngineError(f"{folder} is not a folder of yours", remedy=f"look at it, then remove it: rm -r {folder}")
    folder.chmod(0o700)


def _disk_bytes(root: Path) -> int:
    """Return the bytes that lie below `root`: hard links once, and nothing that is mounted there."""
    if not root.is_dir():
        return 0
    seen = {found.st_ino: found.st_blocks * 512 for found in _stats(root, root.stat().st_dev)}
    return sum(seen.values())


def _stats(folder: Path, device: int) -> Iterator[os.stat_result]:
    # What a running build removes under our feet is gone, and takes no space.
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if found.st_dev != device:
                    continue
                yield found
                if entry.is_dir(follow_symlinks=False):
                    yield from _stats(Path(entry.path), device)
