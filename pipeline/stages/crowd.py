"""Do the same for many images side by side, finish all that can be finished, then report every failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from pipeline.errors import AgcError, ErrorGroup

Item = TypeVar("Item")
Result = TypeVar("Result")

SIDE_BY_SIDE = 4
"""How many images are under way at once; the engine itself shares every step they have in common."""


async def for_each(
    items: Sequence[Item], work: Callable[[Item], Awaitable[Result]], label: Callable[[Item], str]
) -> tuple[Result, ...]:
    """Return what `work` makes of each item, in the order of the items.

    One failure stops no other item. At the end they are raised: a single one as it is where there was one item, or
    where the very same befell several; else an ErrorGroup in which each says by `label` whose it is.
    """
    results: dict[int, Result] = {}
    errors: dict[int, AgcError] = {}
    limiter = anyio.CapacityLimiter(SIDE_BY_SIDE)

    async def one(index: int) -> None:
        async with limiter:
            try:
                results[index] = await work(items[index])
            except AgcError as error:
                errors[index] = error

    async with anyio.create_task_group() as tasks:
        for index in range(len(items)):
            tasks.start_soon(one, index)
    if errors:
        first = next(iter(errors.values()))
        if len(items) == 1 or (len(errors) > 1 and all(error is first for error in errors.values())):
            raise first
        for index, error in errors.items():
            for part in _each(error):
                if not part.message.startswith(label(items[index])):
                    part.message = f"{label(items[index])}: {part.message}"
        raise ErrorGroup(tuple(error for index in sorted(errors) for error in _each(errors[index])))
    return tuple(results[index] for index in range(len(items)))


def _each(error: AgcError) -> tuple[AgcError, ...]:
    return error.errors if isinstance(error, ErrorGroup) else (error,)
