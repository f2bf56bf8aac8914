"""Bring a blob into a repository: it is there, it is mounted from another one, or it is sent.

Rules kept here:

- a small blob goes in one request; a large one is streamed, and goes on after a cut where the registry kept the rest;
- an upload that a registry no longer knows is begun again, a few times;
- what a registry was sent, it is asked for: a cut may have come after the last byte was taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.catalog.patience import Backoff
from pipeline.catalog.repository import Repository
from pipeline.catalog.wire import Answer, Body, BusyError, Call, FilePart, RefusalError, follow
from pipeline.digest import Digest
from pipeline.errors import OutputError

if TYPE_CHECKING:
    import httpx

STREAMED_FROM = 8 << 20
"""Bytes: smaller blobs are sent in one request."""
_RESTARTS = 5
_ACCEPTED, _CREATED, _NO_CONTENT = 202, 201, 204
_FORGOTTEN = frozenset({400, 404, 410, 416})
_DENIED = frozenset({400, 401, 403, 404, 405})
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_BINARY = {"Content-Type": "application/octet-stream"}
_SECONDS_TO_STORE = 300.0


@dataclass(frozen=True, slots=True)
class BlobSource:
    """A blob to bring somewhere: its bytes, or the file that holds them."""

    digest: Digest
    size: int
    content: bytes | Path

    def body(self, start: int = 0) -> Body:
        """Return the bytes from `start` on."""
        if isinstance(self.content, Path):
            return FilePart(self.content, self.size, start)
        return self.content[start:]


@dataclass(slots=True)
class _Upload:
    """Where an upload goes on, and how much of it the registry has; no address where it is still to be begun."""

    url: httpx.URL | None = None
    offset: int = 0


async def mount(repository: Repository, digest: Digest, source: str) -> tuple[bool, httpx.URL | None]:
    """Ask for a blob of the repository `source` of the same registry.

    Returns whether it was mounted, and where to upload it otherwise; None where the registry would not even say that.
    """
    url = _uploads(repository).copy_with(params={"mount": digest, "from": source})
    scopes = repository.scopes | {f"repository:{source}:pull"}
    try:
        answer = await repository.session.ask(Call("POST", url), scopes, {_CREATED, _ACCEPTED})
    except RefusalError as error:
        if error.status in _DENIED:  # it may be read by others, or mounting is not known
            return False, None
        raise
    return answer.status == _CREATED, None if answer.status == _CREATED else follow(answer, f"upload to {repository}")


async def upload(repository: Repository, blob: BlobSource, url: httpx.URL | None = None) -> None:
    """Send a blob, to the upload begun at `url` if there is one; raises OutputError."""
    backoff, state, restarts = Backoff(repository.session.patience), _Upload(url), 0
    while True:
        try:
            await _go_on(repository, blob, state)
        except BusyError as error:
            await backoff.pause(error, met=repository.session.met)
            if await repository.has_blob(blob.digest, blob.size):
                return
            if await _resume(repository, blob, state):
                backoff.restart()
        except RefusalError as error:
            restarts += 1
            if state.url is None or error.status not in _FORGOTTEN or restarts > _RESTARTS:
                raise
            state.url, state.offset = None, 0
        else:
            return


async def _go_on(repository: Repository, blob: BlobSource, state: _Upload) -> None:
    """Begin or go on with an upload, to its end."""
    if state.url is None:
        state.offset = 0
        answer = await repository.session.ask_once(Call("POST", _uploads(repository)), repository.scopes, {_ACCEPTED})
        state.url = follow(answer, f"upload to {repository}")
    streamed = blob.size > STREAMED_FROM or state.offset > 0
    if streamed and state.offset < blob.size:
        rest = {"Content-Range": f"{state.offset}-{blob.size - 1}"} if state.offset else {}
        call = Call("PATCH", state.url, {**_BINARY, **rest}, blob.body(state.offset), seconds=_SECONDS_TO_STORE)
        answer = await repository.session.ask_once(call, repository.scopes, {_ACCEPTED, _NO_CONTENT, _CREATED})
        state.url, state.offset = follow(answer, f"upload to {repository}"), blob.size
    url = state.url.copy_add_param("digest", blob.digest)
    body = b"" if streamed else blob.body()
    done = await repository.session.ask_once(
        Call("PUT", url, _BINARY, body, seconds=_SECONDS_TO_STORE), repository.scopes, {_CREATED, _NO_CONTENT}
    )
    kept = done.headers.get("Docker-Content-Digest", blob.digest)
    if kept != blob.digest:
        raise OutputError(f"{repository}: the registry kept something else than the blob {blob.digest}")


async def _resume(repository: Repository, blob: BlobSource, state: _Upload) -> bool:
    """Ask how much of an upload is there; tells whether it got on since it was asked last."""
    before, url, state.url = state.offset, state.url, None
    if url is None or blob.size <= STREAMED_FROM:
        return False
    try:
        answer = await repository.session.ask_once(Call("GET", url), repository.scopes, {_NO_CONTENT})
        state.url, state.offset = follow(answer, f"upload to {repository}"), _kept(answer)
    except OutputError:  # it is begun again
        return False
    if state.offset > blob.size:
        state.url = None
    return state.url is not None and state.offset > before


def _kept(answer: Answer) -> int:
    """Return how many bytes a registry says it has; one byte is told as none is, so that is none."""
    found = _RANGE.fullmatch(answer.headers.get("Range", ""))
    last = int(found[1]) if found else 0
    return last + 1 if last else 0


def _uploads(repository: Repository) -> httpx.URL:
    return repository.session.base.join(f"/v2/{repository.name}/blobs/uploads/")


def sources(blobs: Iterable[tuple[Digest, bytes]]) -> tuple[BlobSource, ...]:
    """Return blobs that are held in memory."""
    return tuple(BlobSource(digest, len(data), data) for digest, data in blobs)
