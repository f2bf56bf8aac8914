"""Free what a Dagger engine keeps of earlier builds."""

from __future__ import annotations

import dagger

from pipeline.engine.dagger.failure import lost


async def prune(client: dagger.Client, *, everything: bool) -> int:
    """Drop what the engine's policy can spare, or `everything` that is not in use; return the bytes freed.

    Raises EngineError where the engine does not answer.
    """
    cache = client.engine().local_cache()
    try:
        before = await cache.entry_set(key="before").disk_space_bytes()
        await cache.prune(use_default_policy=not everything)
        after = await cache.entry_set(key="after").disk_space_bytes()
    except dagger.DaggerError as error:
        raise lost(error) from error
    # Others may build on the same engine meanwhile.
    return max(before - after, 0)
