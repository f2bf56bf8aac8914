"""Processes that outlive this one: start, recognise and end them.

A pid alone says nothing, for it is given to another process once it is free: a process is known by its pid and the
time at which it started, or as the listener of a socket.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import anyio

from pipeline.errors import EngineError

_STOP_SECONDS = 10
_LOG_LINES = 12
# The shell ends at once, so the daemon is nobody's child: whoever starts it need not wait for it, nor reap it.
_DETACH = 'umask 022; log=$1; shift; "$@" </dev/null >"$log" 2>&1 & echo $!'


def spawn(command: list[str], environment: Mapping[str, str], log: Path) -> int:
    """Start `command` with its output in `log` and return its pid."""
    done = subprocess.run(
        ["/bin/sh", "-c", _DETACH, "sh", str(log), *command],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    return int(done.stdout)


def listener(path: Path) -> int | None:
    """Return the pid of the process that listens on the unix socket `path`; None where nobody answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(os.fspath(path))
        except OSError:
            return None
        pid, _uid, _gid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)


async def terminate(pid: int) -> None:
    """End process `pid`: kindly, then by force; raises EngineError where it is another user's."""
    ticks = started_ticks(pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError as error:
            raise EngineError(f"process {pid} is another user's", remedy="sudo agc engine stop") from error
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            if started_ticks(pid) != ticks:
                return
            await anyio.sleep(0.02)


def started_ticks(pid: int) -> int | None:
    """Return when process `pid` started, in clock ticks since boot; None where it is gone or only unreaped."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(fields[18])


def last_words(log: str) -> list[str]:
    """Return the last lines of a log without the stack frames a Go program adds to its error."""
    lines = log.splitlines()
    following = [*lines[1:], ""]
    return [line for line, after in zip(lines, following, strict=True) if "\t" not in (line[:1], after[:1])][
        -_LOG_LINES:
    ]


def mounts_below(folder: Path, mountinfo: str) -> tuple[str, ...]:
    """Return the mount points below `folder` in the text of /proc/PID/mountinfo, innermost first.

    White space in them is written as octal there (proc_pid_mountinfo(5)).
    """
    points = [
        line.split()[4].encode("latin-1", "backslashreplace").decode("unicode_escape")
        for line in mountinfo.splitlines()
    ]
    return tuple(sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True))


def unmount_below(folder: Path) -> None:
    """Unmount what a killed daemon left mounted below `folder`, or nobody could delete it."""
    for point in mounts_below(folder, Path("/proc/self/mountinfo").read_text(encoding="utf-8")):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
