"""Read a repository over HTTP, as `evidence` wants it read."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.evidence import DOCUMENT_LIMIT
from pipeline.catalog.tokens import authorize
from pipeline.catalog.wire import Answer
from pipeline.digest import Digest
from pipeline.errors import OutputError, ResolveError
from pipeline.resolve.oci import MANIFEST_TYPES, Reference
from pipeline.supply.strict_json import parse_object

if TYPE_CHECKING:
    import httpx

_NOT_FOUND = 404
_UNAUTHORIZED = 401
# What registries that do not know the call answer to it.
_NO_SUCH_CALL = frozenset({400, 404, 405, 501})
_PAGES = 20
_LAYER_LIMIT = 16 << 30


@dataclass(slots=True)
class RegistryReader:
    """A repository of a registry; it logs in once, when it is asked to."""

    reference: Reference
    client: httpx.AsyncClient
    credentials: Credentials | None
    authorization: str = ""
    token_hosts: Collection[str] = ()

    async def manifest(self, name: str) -> bytes | None:
        """Return a manifest as it comes; see `Source`."""
        return await self._read(f"{self.reference.base_url}/manifests/{name}", DOCUMENT_LIMIT)

    async def blob(self, digest: Digest, limit: int) -> bytes | None:
        """Return a blob as it comes; see `Source`."""
        return await self._read(f"{self.reference.base_url}/blobs/{digest}", limit)

    async def measure(self, digest: Digest) -> tuple[Digest, int] | None:
        """Return digest and size of a blob without keeping it; see `Source`."""
        taken, size = hashlib.sha256(), 0
        async with self._ask(f"{self.reference.base_url}/blobs/{digest}") as answer:
            if answer.status_code == _NOT_FOUND:
                return None
            self._expect(answer)
            async for piece in _pieces(answer, _LAYER_LIMIT):
                taken.update(piece)
                size += len(piece)
        return Digest(f"sha256:{taken.hexdigest()}"), size

    async def referrers(self, digest: Digest) -> Sequence[Mapping[str, Any]] | None:
        """Return what refers to `digest`, page after page; see `Source`."""
        import httpx  # loaded by now

        url = httpx.URL(f"{self.reference.base_url}/referrers/{digest}")
        host = (url.scheme, url.netloc)
        found: list[Mapping[str, Any]] = []
        for page in range(_PAGES):
            async with self._ask(str(url)) as answer:
                if page == 0 and answer.status_code in _NO_SUCH_CALL:
                    return None
                self._expect(answer)
                content = b"".join([piece async for piece in _pieces(answer, DOCUMENT_LIMIT)])
                following = answer.links.get("next", {}).get("url")
            found += _entries(content, self.reference)
            if not following:
                return found
            url = url.join(following)
            if (url.scheme, url.netloc) != host:
                raise ResolveError(f"{self.reference.registry} goes on with its referrers at {url.host}")
        raise ResolveError(f"{self.reference.registry} has more than {_PAGES} pages of referrers")

    async def _read(self, url: str, limit: int) -> bytes | None:
        async with self._ask(url) as answer:
            if answer.status_code == _NOT_FOUND:
                return None
            self._expect(answer)
            return b"".join([piece async for piece in _pieces(answer, limit)])

    @asynccontextmanager
    async def _ask(self, url: str) -> AsyncIterator[httpx.Response]:
        import httpx  # slow to import

        registry = self.reference.registry
        try:
            async with self.client.stream("GET", url, headers=self._headers()) as answer:
                if answer.status_code != _UNAUTHORIZED:
                    yield answer
                    return
                wanted = Answer(answer.status_code, answer.headers, b"", answer.url)
                scopes = (f"repository:{self.reference.repository}:pull",)
                self.authorization = await authorize(
                    wanted, scopes, self.client, registry, self.credentials, self.token_hosts
                )
            async with self.client.stream("GET", url, headers=self._headers()) as answer:
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise ResolveError(f"{registry} cannot be asked: {reason}", remedy="check name and network") from error
        except OutputError as error:
            raise ResolveError(error.message, remedy=error.remedy) from error

    def _headers(self) -> dict[str, str]:
        # No compression on the way: what comes is what the digest is about.
        headers = {"Accept": f"{MANIFEST_TYPES}, */*;q=0.1", "Accept-Encoding": "identity"}
        return {**headers, "Authorization": self.authorization} if self.authorization else headers

    def _expect(self, answer: httpx.Response) -> None:
        if not answer.is_success:
            said = f"{self.reference.registry} answers with HTTP {answer.status_code}"
            raise ResolveError(f"{self.reference.repository}: {said}", remedy="docker login, where it is there")


async def _pieces(answer: httpx.Response, limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in answer.aiter_bytes():
        size += len(piece)
        if size > limit:
            raise ResolveError(f"{answer.url.host} answers with more than {limit >> 20} MiB")
        yield piece


def _entries(content: bytes, reference: Reference) -> list[Mapping[str, Any]]:
    try:
        listed = parse_object(content, DOCUMENT_LIMIT).get("manifests")
    except ValueError as error:
        raise ResolveError(f"{reference.registry}: the list of referrers {error}") from error
    return [entry for entry in listed or () if isinstance(entry, dict)] if isinstance(listed, list) else []
