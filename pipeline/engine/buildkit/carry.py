"""Run `buildctl`, read what it says as it comes, and never leave it behind.

Rules kept here: what it prints is streamed, never held; it is asked to end before it is made to, so that the daemon
cancels the solve; and a disk that is full ends the solve even where buildctl does not notice.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import IO

import anyio
import anyio.abc

from pipeline.engine.api import Export, FilesExport, ProgressSink
from pipeline.engine.buildkit.failure import disk_full
from pipeline.engine.buildkit.progress import Progress
from pipeline.errors import EngineError

_STOP_SECONDS = 5
_WATCH_SECONDS = 1.0
_QUIET_LOOKS = 2
_FULL = 64 * 1024
_CHUNK = 64 * 1024
_LONGEST_LINE = 32 * 1024 * 1024


async def carry(
    arguments: list[str],
    stdin: IO[bytes],
    exports: tuple[Export, ...],
    progress: Progress,
    on_progress: ProgressSink | None,
) -> int:
    """Run buildctl, feed `progress` with its words, and return its exit status.

    Raises EngineError where it cannot be started, OutputError where a folder it writes to is full.
    """
    try:
        # A session of its own keeps a terminal's Ctrl-C from killing buildctl before it can cancel the solve.
        process = await anyio.open_process(arguments, start_new_session=True, stdin=stdin, stdout=subprocess.DEVNULL)
    except OSError as error:
        raise EngineError(f"{arguments[0]}: {error.strerror}", remedy="agc doctor") from error
    folders = tuple(export.directory for export in exports if isinstance(export, FilesExport))
    async with process:
        try:
            await _read(process, progress, on_progress, folders)
            code = await process.wait()
        except BaseException:
            await _stop(process)
            raise
    # Where it does notice, all it says is that the other side hung up.
    if code != 0 and progress.export_failed() and (full := next(filter(_is_full, folders), None)):
        raise disk_full(str(full))
    return code


class Lines:
    """Bytes cut into lines as they come; a line too long to be a message of the daemon is dropped."""

    def __init__(self, longest: int = _LONGEST_LINE) -> None:
        self._longest = longest
        self._rest: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a piece and return the lines it completes."""
        first, *others = chunk.split(b"\n")
        self._keep(first)
        if not others:
            return []
        *whole, rest = others
        lines = [*self.rest(), *whole]
        self._keep(rest)
        return lines

    def rest(self) -> list[bytes]:
        """Return the line that was begun, if it is one, and forget it."""
        lines = [b"".join(self._rest)] if self._size <= self._longest else []
        self._rest, self._size = [], 0
        return lines

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        self._rest = [*self._rest, piece] if self._size <= self._longest else []


async def _read(
    process: anyio.abc.Process, progress: Progress, on_progress: ProgressSink | None, folders: tuple[Path, ...]
) -> None:
    """Read to the end.

    buildctl waits for ever where a file of a `type=local` export finds no room (seen with v0.32.1), so while such an
    export runs and nothing is said, the room left is looked at.
    """
    if process.stderr is None:
        raise AssertionError("the process was opened with a pipe")
    lines = Lines()
    quiet = 0
    while True:
        chunk = None
        with anyio.move_on_after(_WATCH_SECONDS if folders else None):
            try:
                chunk = await process.stderr.receive(_CHUNK)
            except anyio.EndOfStream:
                break
        quiet = 0 if chunk or not progress.exporting() else quiet + 1
        if quiet >= _QUIET_LOOKS and (full := next(filter(_is_full, folders), None)):
            raise disk_full(str(full))
        _tell(progress, lines.feed(chunk or b""), on_progress)
    _tell(progress, lines.rest(), on_progress)
    for event in progress.finish():
        if on_progress:
            on_progress(event)


def _tell(progress: Progress, lines: list[bytes], on_progress: ProgressSink | None) -> None:
    for line in lines:
        for event in progress.feed(line):
            if on_progress:
                on_progress(event)


def _is_full(folder: Path) -> bool:
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _FULL or (room.f_files > 0 and room.f_favail == 0)


async def _stop(process: anyio.abc.Process) -> None:
    """Let buildctl cancel its solve, and make sure it is gone."""
    with anyio.CancelScope(shield=True), contextlib.suppress(ProcessLookupError):
        process.terminate()
        with anyio.move_on_after(_STOP_SECONDS):
            await process.wait()
            return
        process.kill()
