"""An engine that is found or started when something is first built: what is where it belongs needs none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from pipeline.digest import Digest
from pipeline.engine.api import Engine, Export, ProgressSink, SecretFile, SharesCache, Solved
from pipeline.errors import AgcError
from pipeline.graph import State
from pipeline.platform import Platform


@dataclass(frozen=True, slots=True)
class Deferred:
    """The engine that `connect` gives; what is built is shared under `shared_as`, where that engine shares."""

    connect: Callable[[], Awaitable[Engine]]
    shared_as: tuple[str, ...] = ()

    def sharing(self, *names: str) -> Deferred:
        """Return the same engine for what is shared under `names`; see `SharesCache.sharing`."""
        return replace(self, shared_as=names)

    async def solve(
        self,
        state: State,
        *,
        platform: Platform,
        layouts: Mapping[Digest, Path],
        secrets: Iterable[SecretFile] = (),
        exports: Iterable[Export] = (),
        on_progress: ProgressSink | None = None,
    ) -> Solved:
        """Build `state`; see `Engine.solve`. Raises what `connect` raises too."""
        engine = await self.connect()
        if self.shared_as and isinstance(engine, SharesCache):
            engine = engine.sharing(*self.shared_as)
        return await engine.solve(
            state, platform=platform, layouts=layouts, secrets=secrets, exports=exports, on_progress=on_progress
        )


def once(connect: Callable[[], Awaitable[Engine]]) -> Callable[[], Awaitable[Engine]]:
    """Return a function that connects when it is first called, and gives all who call it the same engine or failure."""
    lock = anyio.Lock()
    found: list[Engine | AgcError] = []

    async def connected() -> Engine:
        async with lock:
            if not found:
                try:
                    found.append(await connect())
                except AgcError as error:
                    found.append(error)
        if isinstance(found[0], AgcError):
            raise found[0]
        return found[0]

    return connected
