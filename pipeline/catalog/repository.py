"""A repository of a registry: its manifests, tags and blobs (OCI distribution-spec v1.1).

Every document is checked against the digest it was asked by, and none may be larger than 4 MiB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.catalog.session import Scopes, Session
from pipeline.catalog.wire import REDIRECTS, Answer, Call, follow, origin, place
from pipeline.digest import Digest, digest_bytes
from pipeline.engine.layout import Descriptor
from pipeline.errors import OutputError
from pipeline.resolve.oci import MANIFEST_TYPES

if TYPE_CHECKING:
    import httpx

_NOT_FOUND = 404
_OK = 200
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')
_PAGES = 200


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document of a registry, with its digest and the media type the registry gave it."""

    digest: Digest
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository; `access` is what its tokens are to be good for."""

    session: Session
    name: str
    access: str = "pull,push"

    def __str__(self) -> str:
        """Return the name people write."""
        return f"{self.session.registry}/{self.name}"

    @property
    def scopes(self) -> Scopes:
        """What a token for it is asked for."""
        return frozenset({f"repository:{self.name}:{self.access}"})

    async def ask(self, method: str, path: str, accepted: set[int], **more: Any) -> Answer:
        """Return the answer to a call below the repository; `more` are fields of Call. Raises OutputError."""
        url = self.session.base.join(f"/v2/{self.name}/{path}")
        return await self.session.ask(Call(method, url, **more), self.scopes, accepted)

    async def has_blob(self, digest: Digest, size: int) -> bool:
        """Tell whether a blob is there, in its full size where the registry says it; raises OutputError.

        A redirect to where it is stored is a yes: what signs such addresses need not sign them for HEAD.
        """
        answer = await self.ask("HEAD", f"blobs/{digest}", {_OK, _NOT_FOUND, *REDIRECTS}, follows=False)
        length = answer.headers.get("Content-Length", "")
        return answer.status in REDIRECTS or (answer.status == _OK and length in {"", str(size)})

    async def blob(self, digest: Digest) -> bytes | None:
        """Return a small blob, None where it is not there; raises OutputError."""
        answer = await self.ask("GET", f"blobs/{digest}", {_OK, _NOT_FOUND})
        if answer.status == _NOT_FOUND:
            return None
        if digest_bytes(answer.content) != digest:
            raise OutputError(f"{self}@{digest}: the registry answered with {digest_bytes(answer.content)}")
        return answer.content

    async def manifest(self, reference: str) -> Fetched | None:
        """Return the manifest of a tag or digest, None where there is none; raises OutputError."""
        answer = await self.ask("GET", f"manifests/{reference}", {_OK, _NOT_FOUND}, headers={"Accept": MANIFEST_TYPES})
        if answer.status == _NOT_FOUND:
            return None
        digest = digest_bytes(answer.content)
        if _DIGEST.fullmatch(reference) and digest != reference:
            raise OutputError(f"{self}@{reference}: the registry answered with {digest}")
        return Fetched(digest, answer.headers.get("Content-Type", "").partition(";")[0].strip(), answer.content)

    async def digest_of(self, reference: str) -> Digest | None:
        """Return what a tag names, or a digest where it is there; None where it is not. Raises OutputError."""
        answer = await self.ask("HEAD", f"manifests/{reference}", {_OK, _NOT_FOUND}, headers={"Accept": MANIFEST_TYPES})
        if answer.status == _NOT_FOUND:
            return None
        told = answer.headers.get("Docker-Content-Digest", "")
        if _DIGEST.fullmatch(told):
            return Digest(told)
        found = await self.manifest(reference)  # the header is no duty of registries
        return found.digest if found else None

    async def put_manifest(self, content: bytes, media_type: str, reference: str = "") -> None:
        """Put a manifest under a tag, or under its digest.

        Raises OutputError where the registry refuses it, or keeps something else than what was sent.
        """
        digest = digest_bytes(content)
        named = reference or digest
        headers = {"Content-Type": media_type}
        answer = await self.ask("PUT", f"manifests/{named}", {200, 201, 202}, headers=headers, body=content)
        kept = answer.headers.get("Docker-Content-Digest", digest)
        if kept != digest:
            shown = kept if _DIGEST.fullmatch(kept) else "something else"
            raise OutputError(f"{self}: the registry kept {shown} of {digest}")

    async def put_missing(self, descriptor: Descriptor, content: bytes) -> None:
        """Put a manifest under its digest where it is not there yet; raises OutputError."""
        if await self.digest_of(descriptor.digest) != descriptor.digest:
            await self.put_manifest(content, descriptor.media_type)

    async def tags(self) -> tuple[str, ...]:
        """Return all tags, none where the repository is not there; raises OutputError."""
        url = self.session.base.join(f"/v2/{self.name}/tags/list").copy_with(params={"n": "1000"})
        found: dict[str, None] = {}
        for _ in range(_PAGES):
            answer = await self.session.ask(Call("GET", url), self.scopes, {_OK, _NOT_FOUND})
            if answer.status == _NOT_FOUND:
                return ()
            document = answer.document()
            names = document.get("tags") if isinstance(document, dict) else ()
            if not isinstance(names, (list, type(None))) or not all(isinstance(name, str) for name in names or ()):
                raise OutputError(f"{self}: the registry did not answer with a list of tags")
            found.update(dict.fromkeys(names or ()))
            following = self.next_page(answer, "tags")
            if following is None:
                return tuple(found)
            url = following
        raise OutputError(f"{self}: the registry lists tags without end")

    def next_page(self, answer: Answer, what: str) -> httpx.URL | None:
        """Return where a list goes on, None where it ends; raises OutputError where that is at another host."""
        following = _NEXT.search(answer.headers.get("Link", ""))
        if not following:
            return None
        answer.headers["Location"] = following[1]
        url = follow(answer, f"the {what} of {self}")
        if origin(url) != origin(self.session.base):
            raise OutputError(f"{self}: the registry goes on with its {what} at another host, {place(url)}")
        return url
