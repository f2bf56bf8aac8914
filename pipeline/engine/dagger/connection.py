"""Reach a Dagger engine: through the session this program runs in, or one of the `dagger` program's own."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import dagger
from dagger.client._session import SharedConnection

from pipeline.engine.dagger.client import Dagger, in_module
from pipeline.engine.dagger.failure import lost
from pipeline.engine.dagger.lowering import World
from pipeline.errors import AgcError, EngineError
from pipeline.settings import Settings

OLDEST = (0, 21)
_NEXT = (1, 0)
_KEPT = 64 * 1024
_CONNECT_SECONDS = 5
_RUNNER = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
_REMEDY = "check _EXPERIMENTAL_DAGGER_RUNNER_HOST, or that Docker runs; `dagger version` says what is installed"


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
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(dagger.connection(dagger.Config(log_output=words)))
            check_version(await dagger.dag.version())
        except dagger.DaggerError as error:
            said = str(error).strip() or _last(words.getvalue())
            raise EngineError(f"no Dagger engine: {said}", remedy=_REMEDY) from error
        yield dagger.dag


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
            remedy="install Dagger 0.21, or build with --engine buildkit",
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
