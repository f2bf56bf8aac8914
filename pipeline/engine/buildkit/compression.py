"""How layers are compressed: one level for each format, everywhere, or a digest would depend on who built before.

A daemon takes a blob it has for the asked one where only the level differs, so images and shared caches must agree.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.engine.api import Compression

LEVELS = {Compression.ZSTD: 3, Compression.GZIP: 6}
"""The one level of each compression; another would give other bytes."""


def compression_attributes(compression: Compression) -> Iterator[str]:
    """Yield the attributes by which an exporter compresses so and in no other way."""
    yield f"compression={compression}"
    yield "force-compression=true"
    if compression in LEVELS:
        yield f"compression-level={LEVELS[compression]}"
