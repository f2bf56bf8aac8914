"""Do several things at once, of which one failure ends the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import anyio

from pipeline.errors import AgcError


async def side_by_side(works: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """Do all of `works`; raises the first AgcError as it is, where a task group would wrap it."""
    failed: list[AgcError] = []

    async with anyio.create_task_group() as tasks:

        async def one(work: Callable[[], Awaitable[object]]) -> None:
            try:
                await work()
            except AgcError as error:
                failed.append(error)
                tasks.cancel_scope.cancel()

        for work in works:
            tasks.start_soon(one, work)
    if failed:
        raise failed[0]
