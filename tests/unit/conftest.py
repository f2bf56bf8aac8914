"""Unit tests start no process and speak to no network, and this keeps it so."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

_PROCESSES = frozenset({"subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn"})
_SOCKETS = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"})


class _Guard:
    """Refuses what it hears of while a unit test runs. An audit hook stays for ever, so it is switched, not removed."""

    active = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event in _PROCESSES:
            raise AssertionError(f"a unit test may start no process: {event} {arguments[0]!r}")
        local = bool(arguments) and isinstance(arguments[0], socket.socket) and arguments[0].family == socket.AF_UNIX
        if event in _SOCKETS and not local:
            raise AssertionError(f"a unit test may open no socket: {event} {arguments[-1]!r}")


_guard = _Guard()
sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def _no_processes_and_no_sockets() -> Iterator[None]:
    _guard.active = True
    yield
    _guard.active = False
