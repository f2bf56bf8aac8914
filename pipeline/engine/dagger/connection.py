"""Reach a Dagger engine: through the session this program runs in, or one of the `dagger` program's own."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import dagger
from dagger.client._session import SharedConnection

from pipeline.engine.dagger.client import Dagger, in_module
from pipeline.engine.dagger.failure import is_lost, lost
from pipeline.engine.dagger.lowering import World
from pipeline.errors import AgcError, EngineError
from pipeline.settings import Settings

OLDEST = (0, 21)
_NEXT = (1, 0)
_KEPT = 64 * 1024
_ERROR = re.compile(r"^Error: (.*?)(?: \[traceparent:[^]]*\])?$", re.MULTILINE)
_LOOKS, _LOOK_SECONDS = 40, 0.05
_CONNECT_SECONDS = 5
_RUNNER = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
_REMEDY = "check _EXPERIMENTAL_DAGGER_RUNNER_HOST, or that Docker runs; `dagger version` says what is installed"
_OTHER_VERSION = "install program and engine of Dagger 0.21, or build with --engine buildkit"


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Dagger]:
    """Open a session and close it at the end; raises EngineError where there is none, or of a wrong version."""
    # Who calls a function of the module has a session already, and goes on with it afterwards.
    if SharedConnection().is_connected():
        yield Dagger(dagger.dag, settings.cache / "dagger", world(settings))
        return
    check_answers(os.environ.get(_RUNNER, ""))
    logging.getLogger("dagger").setLevel(logging.CRITICAL)
    try:
        async with _session() as client:
            yield Dagger(client, settings.cache / "dagger", world(settings))
    except dagger.DaggerError as error:
        # A session that was lost fails to close as well, which would hide what was lost with it.
        raise _first_of_ours(error) or lost(error) from error


@asynccontextmanager
async def _session() -> AsyncIterator[dagger.Client]:
    # What a session prints is its own progress; its last words matter where it cannot start.
    words = _Tail()
    others = _children()
    # Of a query that was tried again in vain the SDK tells no error of its own, and only after a while.
    config = dagger.Config(log_output=words, retry=dagger.Retry(execute=False))
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(dagger.connection(config))
            check_version(await dagger.dag.version())
        except dagger.DaggerError as error:
            raise not_started(error, await _heard(words)) from error
        session = _children() - others
        try:
            yield dagger.dag
        except AgcError as error:
            # Asked to end, it would first take leave of the engine, and wait five minutes for an answer.
            if is_lost(error):
                _kill(session)
            raise


def _children() -> frozenset[int]:
    """Return the processes this one has started; none where the system does not say."""
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(map(int, task.read_text().split()))
    return frozenset(found)


def _kill(processes: Iterable[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


async def _heard(words: io.StringIO) -> str:
    """Return the words of a session that did not start; the SDK gives up before all of them have come."""
    for _ in range(_LOOKS):
        if _ERROR.search(words.getvalue()):
            break
        await anyio.sleep(_LOOK_SECONDS)
    return words.getvalue()


def not_started(error: dagger.DaggerError, words: str) -> EngineError:
    """Return the error for a session that did not start, and said `words` of itself."""
    # What the SDK says is often only that nothing came.
    found = _ERROR.findall(words)
    said = found[-1] if found else str(error).strip() or _last(words)
    return EngineError(f"no Dagger engine: {said}", remedy=_OTHER_VERSION if "incompatible" in said else _REMEDY)


def _first_of_ours(error: BaseException) -> AgcError | None:
    """Return the failure of ours in whose wake `error` came."""
    while (before := error.__context__) is not None:
        if isinstance(before, AgcError):
            return before
        error = before
    return None


def check_answers(address: str) -> None:
    """Raise EngineError if nobody listens at `address`, for which the program `dagger` would wait ten minutes."""
    parts = urlsplit(address)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(_CONNECT_SECONDS)
                client.connect(parts.path)
        elif parts.scheme == "tcp":
            socket.create_connection((parts.hostname or "", parts.port or 0), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise EngineError(f"no Dagger engine answers at {address}: {error}", remedy=_REMEDY) from error


def world(settings: Settings) -> World:
    """Return how this machine reaches the world."""
    # The engine gives its steps the authorities it trusts; a module's own bundle is none it could read.
    bundle = None if in_module() else settings.ca_bundle
    return World(tuple(settings.mirrors.items()), settings.proxy.as_environment(), bundle)


def check_version(version: str) -> None:
    """Raise EngineError where the engine's API is not the one these calls are of; a build of its own has no number."""
    numbers = re.match(r"v?(\d+)\.(\d+)\.\d+", version)
    if numbers and not OLDEST <= (int(numbers[1]), int(numbers[2])) < _NEXT:
        raise EngineError(
            f"the Dagger engine is {version}; this program speaks to 0.21 and later, before 1.0",
            remedy=_OTHER_VERSION,
        )


class _Tail(io.StringIO):
    """Keeps only what was written lately: a session tells its progress for as long as it lasts."""

    def write(self, text: str, /) -> int:
        if self.tell() > _KEPT:
            self.seek(0)
            self.truncate()
        return super().write(text)


def _last(words: str) -> str:
    return next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "it gave no reason")
