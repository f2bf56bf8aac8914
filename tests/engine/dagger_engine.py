"""The Dagger engine that tests use, and a line to it that can be cut.

An engine is one that `_EXPERIMENTAL_DAGGER_RUNNER_HOST` names, or one that Docker, where it runs, can start. The
program `dagger` is needed too: `_EXPERIMENTAL_DAGGER_CLI_BIN`, or `dagger` on PATH.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import socketserver
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest

from pipeline.engine.dagger.connection import connect
from pipeline.errors import EngineError
from pipeline.settings import load_settings
from tests.engine.support import serving

RUNNER = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
PROGRAM = "_EXPERIMENTAL_DAGGER_CLI_BIN"


def require_engine() -> None:
    """Skip where there is no engine; one that is named must answer."""
    if not (os.environ.get(RUNNER) or _docker_runs()):
        pytest.skip(f"no Dagger engine: {RUNNER} is not set, and Docker does not run")
    program = os.environ.get(PROGRAM) or shutil.which("dagger")
    if not program:
        pytest.skip(f"no program dagger: {PROGRAM} is not set, and there is none on PATH")
    os.environ[PROGRAM] = program

    async def ask() -> None:
        async with connect(load_settings(Path("/nonexistent"), os.environ)):
            pass

    try:
        anyio.run(ask)
    except EngineError as error:
        if os.environ.get(RUNNER):
            raise
        pytest.skip(error.message.splitlines()[0])


def _docker_runs() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([str(docker), "info"], capture_output=True, check=False).returncode == 0


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@dataclass(frozen=True, slots=True)
class Line:
    """A socket at `address` that leads to the engine, until it is cut: then it is as if the engine had died."""

    address: str
    server: _Server
    ends: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """End all connections, and answer no more."""
        self.server.shutdown()
        self.server.server_close()
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to_engine(folder: Path) -> Iterator[Line]:
    """Yield a line to the engine that is named, its socket in `folder`; skips where it is reached in other ways."""
    upstream = urlsplit(os.environ.get(RUNNER, ""))
    if upstream.scheme not in {"unix", "tcp"}:
        pytest.skip("the engine is not behind a socket that a line could be laid to")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with _dial(upstream.scheme, upstream.path, upstream.hostname or "", upstream.port or 0) as there:
                line.ends.extend((self.request, there))
                _carry(self.request, there)

    path = folder / "line.sock"
    with _Server(str(path), Handler) as server, serving(server):
        line = Line(f"unix://{path}", server)
        try:
            yield line
        finally:
            line.cut()


def _dial(scheme: str, path: str, host: str, port: int) -> socket.socket:
    if scheme == "tcp":
        return socket.create_connection((host, port), 10)
    there = socket.socket(socket.AF_UNIX)
    there.connect(path)
    return there


def _carry(left: socket.socket, right: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    other = {left: right, right: left}
    with contextlib.suppress(OSError):
        while True:
            for end in select.select([left, right], [], [])[0]:
                if not (chunk := end.recv(1 << 18)):
                    return
                other[end].sendall(chunk)
