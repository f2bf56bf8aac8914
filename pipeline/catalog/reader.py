"""Read a repository as `evidence` wants it read: every byte as it comes, and what goes wrong as an error of reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.catalog.patience import Patience
from pipeline.catalog.referrers import referrers_of_api
from pipeline.catalog.repository import Repository
from pipeline.catalog.wire import DOCUMENT_LIMIT, Answer
from pipeline.digest import Digest
from pipeline.errors import OutputError, ResolveError
from pipeline.resolve.oci import MANIFEST_TYPES

READERS_PATIENCE = Patience(whole=30.0)
"""Somebody waits for the answer, and nothing is lost by asking later."""
_NOT_FOUND = 404
_OK = 200
_LAYER_LIMIT = 16 << 30
_LAYER_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class RegistryReader:
    """A repository of a registry, of which nothing is believed."""

    repository: Repository

    async def manifest(self, name: str) -> bytes | None:
        """Return a manifest as it comes; see `Source`."""
        answer = await self._ask(f"manifests/{name}", headers={"Accept": MANIFEST_TYPES})
        return answer.content if answer else None

    async def blob(self, digest: Digest, limit: int) -> bytes | None:
        """Return a blob as it comes; see `Source`."""
        answer = await self._ask(f"blobs/{digest}", limit=limit)
        return answer.content if answer else None

    async def measure(self, digest: Digest) -> tuple[Digest, int] | None:
        """Return digest and size of a blob without keeping it; see `Source`."""
        answer = await self._ask(f"blobs/{digest}", limit=_LAYER_LIMIT, seconds=_LAYER_SECONDS, kept=False)
        return answer.measured if answer else None

    async def referrers(self, digest: Digest) -> Sequence[Mapping[str, Any]] | None:
        """Return what refers to `digest`, page after page; see `Source`."""
        with _errors_of_reading():
            return await referrers_of_api(self.repository, digest)

    async def _ask(self, path: str, *, limit: int = DOCUMENT_LIMIT, **more: Any) -> Answer | None:
        with _errors_of_reading():
            answer = await self.repository.ask("GET", path, {_OK, _NOT_FOUND}, limit=limit, **more)
        return None if answer.status == _NOT_FOUND else answer


@contextmanager
def _errors_of_reading() -> Iterator[None]:
    try:
        yield
    except OutputError as error:
        raise ResolveError(error.message, remedy=error.remedy) from error
