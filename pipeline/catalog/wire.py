"""One request to a registry: its limits, and who may see the login.

Rules kept here:

- what may do better next time (a cut connection, HTTP 408, 429 and 5xx) is a BusyError, everything else ends at once;
- no answer is read past a limit, none takes longer than one, none is decompressed;
- a login goes to the registry alone: not where it redirects to, and not to another host that takes an upload;
- a registry spoken to by HTTPS is never left for HTTP;
- messages show method, host and path of an address, never its query, which may hold what grants access.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from pipeline.digest import Digest
from pipeline.errors import OutputError

if TYPE_CHECKING:
    import httpx

DOCUMENT_LIMIT = 4 << 20
"""Bytes: what the distribution specification asks registries to accept as a manifest."""
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHUNK = 1 << 20
_SLOWEST = 32 << 10
_HOPS = 5
_CODE = re.compile(r"[A-Z][A-Z_]{2,40}")


class BusyError(OutputError):
    """A registry that may do better the next time; `wait` is how many seconds it asks for, None where it does not."""

    def __init__(self, message: str, *, wait: float | None = None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.wait = wait


class RefusalError(OutputError):
    """A registry that answered no; `status` is HTTP's, `code` the registry's own where it gave one."""

    def __init__(self, message: str, *, status: int, code: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class FilePart:
    """The bytes of a file from `start` on, which may be sent again."""

    path: Path
    size: int
    start: int = 0

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the bytes in pieces; raises OutputError where the file is shorter than it should be."""
        left = self.size - self.start
        try:
            async with await anyio.open_file(self.path, "rb") as file:
                await file.seek(self.start)
                while left:
                    piece = await file.read(min(left, _CHUNK))
                    if not piece:
                        raise OutputError(f"{self.path} is shorter than its manifest says", remedy="build it again")
                    left -= len(piece)
                    yield piece
        except OSError as error:
            raise OutputError(f"{self.path}: {error.strerror}", remedy="build it again") from error


Body = bytes | FilePart


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked: `seconds` and `limit` (bytes) bound its answer, `follows` says whether redirects are followed.

    Content that is not `kept` is only measured.
    """

    method: str
    url: httpx.URL
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body = b""
    limit: int = DOCUMENT_LIMIT
    seconds: float = 60.0
    follows: bool = True
    kept: bool = True

    @property
    def size(self) -> int:
        """The bytes of its body."""
        return self.body.size - self.body.start if isinstance(self.body, FilePart) else len(self.body)

    @property
    def shown(self) -> str:
        """How messages name it."""
        return f"{self.method} {place(self.url)}{self.url.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry answered: status, headers, content, and the address that answered in the end.

    `measured` is the digest and size (bytes) of content that is not kept.
    """

    status: int
    headers: httpx.Headers
    content: bytes
    url: httpx.URL
    measured: tuple[Digest, int] | None = None

    def document(self) -> Any:
        """Return the JSON it holds; raises OutputError where it is none, or none that Python can hold."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise OutputError(f"{place(self.url)}{self.url.path}: the registry did not answer with JSON") from error


async def send(client: httpx.AsyncClient, call: Call, authorization: str) -> Answer:
    """Return the answer to a call, whatever its status; GET and HEAD follow redirects, without the login elsewhere.

    Raises BusyError where there was no whole answer, OutputError for one that breaks the rules of this module.
    """
    import httpx  # slow to import, and most builds speak to no registry

    url, headers = call.url, {**call.headers, "Accept-Encoding": "identity"}
    try:
        with anyio.fail_after(call.seconds + call.size / _SLOWEST):
            for _ in range(_HOPS + 1):
                login = {"Authorization": authorization} if authorization and origin(url) == origin(call.url) else {}
                answer = await _exchange(client, call, url, {**headers, **login})
                if answer.status not in REDIRECTS or not call.follows or call.method not in {"GET", "HEAD"}:
                    return answer
                url = follow(answer, call.shown)
    except TimeoutError as error:
        raise BusyError(f"{call.shown}: the registry took too long to answer") from error
    except httpx.TransportError as error:
        reason = _reason(error)
        if _is_lasting(error):
            raise OutputError(f"{call.shown}: {reason}", remedy="check the address, ca-bundle and proxy") from error
        raise BusyError(f"{call.shown}: {reason}", remedy="check name and network, then run it again") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise OutputError(f"{call.shown}: the registry's answer cannot be read: {type(error).__name__}") from error
    raise OutputError(f"{call.shown}: the registry redirects without end")


async def _exchange(client: httpx.AsyncClient, call: Call, url: httpx.URL, headers: Mapping[str, str]) -> Answer:
    import httpx  # loaded by now

    body = call.body
    sized = {**headers, "Content-Length": str(call.size)} if call.method in {"PUT", "POST", "PATCH"} else headers
    content = body.read() if isinstance(body, FilePart) else body or None
    patience = httpx.Timeout(30, read=call.seconds)
    stream = client.stream(call.method, url, headers=sized, content=content, follow_redirects=False, timeout=patience)
    found, size, taken = bytearray(), 0, hashlib.sha256()
    async with stream as answer:
        if call.method != "HEAD":
            if answer.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
                raise OutputError(f"{call.shown}: the registry answered in an encoding that was not asked for")
            async for piece in answer.aiter_bytes():
                size += len(piece)
                if size > call.limit:
                    raise OutputError(f"{call.shown}: the registry answered with more than {call.limit >> 10} KiB")
                if call.kept:
                    found += piece
                else:
                    taken.update(piece)
        measured = None if call.kept else (Digest(f"sha256:{taken.hexdigest()}"), size)
        return Answer(answer.status_code, answer.headers, bytes(found), url, measured)


def follow(answer: Answer, shown: str) -> httpx.URL:
    """Return where an answer's `Location` points to; raises OutputError where nobody may follow."""
    import httpx  # loaded by now

    try:
        url = answer.url.join(answer.headers.get("Location", ""))
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise OutputError(f"{shown}: the registry names an address that is none") from error
    if not answer.headers.get("Location") or url.scheme not in {"http", "https"} or not url.host:
        raise OutputError(f"{shown}: the registry names no address to go on with")
    if url.scheme == "http" and answer.url.scheme == "https":
        raise OutputError(
            f"{shown}: the registry wants to go on without TLS, at {place(url)}",
            remedy="let it name itself by https: behind a proxy it needs X-Forwarded-Proto, or `http.host` set",
        )
    if url.userinfo:
        raise OutputError(f"{shown}: the registry names an address with a login in it")
    return url


def place(url: httpx.URL) -> str:
    """Return host and port as messages show them."""
    return url.netloc.decode("ascii", "replace")


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return what a login belongs to."""
    return url.scheme, url.host, url.port


def raise_for_status(call: Call, answer: Answer, accepted: Collection[int], remedy: str = "") -> None:
    """Raise BusyError or RefusalError for a status that was not to be expected."""
    if answer.status in accepted:
        return
    code = _error_code(answer)
    text = f"{call.shown}: the registry says HTTP {answer.status}{f' {code}' if code else ''}"
    if answer.status in TRANSIENT:
        raise BusyError(text, wait=_wait(answer.headers.get("Retry-After", "")), remedy="run it again later")
    if code == "NAME_UNKNOWN":
        remedy = "create the repository first: this registry makes none on push"
    raise RefusalError(text, status=answer.status, code=code, remedy=remedy)


def _error_code(answer: Answer) -> str:
    """Return the registry's own word for an error. Its message is not shown: it may repeat what it was sent."""
    try:
        code = json.loads(answer.content)["errors"][0]["code"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _wait(text: str) -> float | None:
    """Return the seconds that a `Retry-After` asks for (RFC 9110 section 10.2.3: seconds, or a date)."""
    from email.utils import parsedate_to_datetime  # a busy registry has time for it

    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError):
        return None


def _is_lasting(error: BaseException) -> bool:
    """Tell whether a fault of the connection is there the next time too."""
    import ssl

    import httpx  # loaded by now

    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return True
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
