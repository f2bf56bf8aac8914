"""An engine that is not asked for until something is built."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from pipeline.engine.api import Engine
from pipeline.engine.deferred import Deferred, once
from pipeline.engine.record import Recorder
from pipeline.errors import EngineError
from pipeline.graph import scratch
from pipeline.platform import AMD64


def test_it_is_found_when_something_is_first_built_and_once() -> None:
    """Whoever builds at the same time waits for the same one."""
    made: list[Engine] = []

    async def connect() -> Engine:
        await anyio.lowlevel.checkpoint()
        made.append(Recorder())
        return made[0]

    async def build(engine: Deferred) -> None:
        await engine.sharing("x").solve(scratch(), platform=AMD64, layouts={})

    async def run() -> None:
        engine = Deferred(once(connect))
        assert made == []
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(build, engine)

    anyio.run(run)
    assert len(made) == 1
    assert isinstance(made[0], Recorder)
    assert len(made[0].requests) == 2


def test_one_failure_is_told_to_all() -> None:
    """It is not tried again for each image."""
    tried: list[int] = []

    async def connect() -> Engine:
        tried.append(1)
        raise EngineError("no engine")

    async def run() -> None:
        engine = Deferred(once(connect))
        for _ in range(2):
            with pytest.raises(EngineError, match="no engine"):
                await engine.solve(scratch(), platform=AMD64, layouts={})

    anyio.run(run)
    assert len(tried) == 1
