"""How long a step of a push is tried again: longer pauses each time, never in step with others, and an end."""

from __future__ import annotations

import random
from dataclasses import dataclass

import anyio

from pipeline.catalog.wire import BusyError


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: how long a step is tried after it failed, the first pause, the longest, and how long a stranger gets.

    A stranger is a registry that never answered: its name may be wrong.
    """

    whole: float = 180.0
    first: float = 0.25
    longest: float = 15.0
    stranger: float = 4.0


PATIENCE = Patience()


class Backoff:
    """The tries of one step. It counts from the first failure, so that a long upload does not use it up."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._tries = 0
        self._end: float | None = None

    async def pause(self, error: BusyError, *, met: bool) -> None:
        """Wait before the next try; raises `error` where there is to be none.

        A registry that says how long it wants is given that, and some more, so that not all come back at once.
        """
        now = anyio.current_time()
        if self._end is None:
            self._end = now + (self._patience.whole if met else self._patience.stranger)
        most = min(self._patience.first * 2**self._tries, self._patience.longest)
        jitter = random.uniform(0.5, 1.0)  # noqa: S311  # no secret: it keeps clients apart
        seconds = most * jitter if error.wait is None else error.wait + self._patience.first * jitter
        if now + seconds > self._end:
            raise error
        self._tries += 1
        await anyio.sleep(seconds)

    def restart(self) -> None:
        """Forget the failures so far: something got on."""
        self._tries = 0
        self._end = None
