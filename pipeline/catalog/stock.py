"""Which repositories of a registry have which blob, as far as a run knows, so that each is sent to a registry once.

Images are published side by side: who is first sends a blob, and the others wait and have it mounted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import anyio

from pipeline.catalog.repository import Repository
from pipeline.catalog.upload import BlobSource, mount, upload
from pipeline.digest import Digest
from pipeline.errors import OutputError

_AT_ONCE = 6


@dataclass(slots=True)
class Traffic:
    """What was done for an image: blobs sent, and their bytes, and blobs mounted from other repositories."""

    sent: int = 0
    sent_bytes: int = 0
    mounted: int = 0


@dataclass(slots=True)
class Stock:
    """What one registry has.

    `hints` are repositories that had a blob when they were last published; nobody has looked since.
    """

    hints: Mapping[Digest, Collection[str]] = field(default_factory=dict)
    _held: dict[Digest, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    _busy: dict[Digest, anyio.Lock] = field(default_factory=lambda: defaultdict(anyio.Lock))
    _places: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_AT_ONCE))

    async def bring(self, blob: BlobSource, repository: Repository, traffic: Traffic) -> None:
        """See that a repository has a blob; raises OutputError."""
        async with self._busy[blob.digest]:
            held = self._held[blob.digest]
            if repository.name not in held:
                async with self._places:
                    await self._bring(blob, repository, tuple(held), traffic)
                held[repository.name] = None

    async def _bring(self, blob: BlobSource, repository: Repository, held: Collection[str], traffic: Traffic) -> None:
        if await repository.has_blob(blob.digest, blob.size):
            return
        begun = None
        for other in [*held, *(name for name in self.hints.get(blob.digest, ()) if name not in held)][:2]:
            if other == repository.name:
                continue
            mounted, begun = await mount(repository, blob.digest, other)
            if mounted:
                traffic.mounted += 1
                return
        await upload(repository, blob, begun)
        if not await repository.has_blob(blob.digest, blob.size):
            raise OutputError(f"{repository}: the registry does not have the blob {blob.digest}, which it took")
        traffic.sent += 1
        traffic.sent_bytes += blob.size
