"""Open the engine that the settings name, or empty its cache."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from pipeline.engine.api import Engine
from pipeline.engine.deferred import Deferred, once
from pipeline.engine_name import EngineName
from pipeline.errors import UsageError
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.engine.dagger.client import Dagger


@asynccontextmanager
async def open_engine(settings: Settings, notify: Callable[[str], None]) -> AsyncIterator[Engine]:
    """Find or start the engine, and let go of it at the end; BuildKit once something is built.

    Raises UsageError where it needs what is not installed, EngineError where it does not answer.
    """
    # Each imported late: neither is needed to validate or plan, and one of them need not be installed.
    if settings.engine.name is EngineName.DAGGER:
        async with _dagger(settings) as engine:
            yield engine
    else:

        async def connect() -> Engine:
            from pipeline.engine.buildkit.locate import connect as connect_buildkit

            return (await connect_buildkit(settings, notify)).engine

        yield Deferred(once(connect))


async def prune_engine(settings: Settings, notify: Callable[[str], None], *, everything: bool) -> int:
    """Drop what the engine's cache can spare, or `everything` not in use, and return the bytes freed.

    Raises as `open_engine` does.
    """
    if settings.engine.name is EngineName.DAGGER:
        async with _dagger(settings) as dagger:
            from pipeline.engine.dagger.cache import prune

            return await prune(dagger.client, everything=everything)
    from pipeline.engine.buildkit import daemon
    from pipeline.engine.buildkit.locate import connect

    return await daemon.prune((await connect(settings, notify)).engine, everything=everything)


def _dagger(settings: Settings) -> AbstractAsyncContextManager[Dagger]:
    try:
        from pipeline.engine.dagger.connection import connect
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the Dagger engine needs the Python package that has {error.name!r}, which is not installed",
            remedy="pip install 'agentcontainers[dagger]', or build with --engine buildkit",
        ) from error
    return connect(settings)
