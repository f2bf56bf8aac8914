"""Reading a repository to verify what is in it: pages, logins, limits, and what broken registries answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import httpx
import pytest

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.patience import Patience
from pipeline.catalog.reader import RegistryReader
from pipeline.catalog.repository import Repository
from pipeline.catalog.session import Session
from pipeline.digest import digest_bytes
from pipeline.errors import ResolveError

SUBJECT = digest_bytes(b"subject")
SECRET = "canary-55d1"  # noqa: S105 (of nobody)

Handler = Callable[[httpx.Request], httpx.Response]


def read(handler: Handler, work: Callable[[RegistryReader], Coroutine[Any, Any, Any]], seconds: float = 0) -> Any:
    """Return what comes of reading a registry that answers as `handler` does, where it is given some patience."""

    async def run() -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler), follow_redirects=True) as client:
            base = httpx.URL("https://registry.example")
            patience = Patience(whole=seconds, first=0.001, stranger=0)
            session = Session("registry.example", base, client, Credentials("me", SECRET), patience)
            return await work(RegistryReader(Repository(session, "agents/claude", "pull")))

    return anyio.run(run)


def page(content: bytes, following: str = "") -> httpx.Response:
    """Return a page of a list of referrers."""
    link = {"Link": f'<{following}>; rel="next"'} if following else {}
    return httpx.Response(200, content=content, headers={"Content-Type": "application/json", **link})


def listed(*names: str) -> bytes:
    """Return a list of referrers."""
    return json.dumps({"manifests": [{"digest": name} for name in names]}).encode()


def test_referrers_come_page_by_page() -> None:
    """Until there is no next one."""

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("page"):
            return page(listed("b"))
        return page(listed("a"), f"{request.url.path}?page=2")

    assert read(handler, lambda reader: reader.referrers(SUBJECT)) == [{"digest": "a"}, {"digest": "b"}]


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_registry_that_knows_no_referrers(status: int) -> None:
    """Then a tag is asked, by whoever reads."""
    assert read(lambda _: httpx.Response(status), lambda reader: reader.referrers(SUBJECT)) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(500), "HTTP 500"),
        (page(b"{"), "the list of what refers to"),
        (page(b'{"manifests":[],"manifests":[]}'), "written twice"),
        (page(b" " * (5 << 20)), "more than 4096 KiB"),
        (page(listed(), "https://evil.example/"), r"another host, evil\.example"),
        (page(listed(), "http://registry.example/"), "without TLS"),
        (page(listed(), "?n=1"), "without end"),
    ],
)
def test_a_broken_list_of_referrers_is_an_error(answer: httpx.Response, words: str) -> None:
    """No answer, no endless reading, and no other host is asked."""
    with pytest.raises(ResolveError, match=words):
        read(lambda _: answer, lambda reader: reader.referrers(SUBJECT))


def test_a_login_is_asked_for_once_and_goes_nowhere_else() -> None:
    """A blob may lie on another host, which learns nothing of us."""
    seen: list[tuple[str, str]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, request.headers.get("Authorization", "")))
        if request.url.host == "storage.example":
            return httpx.Response(200, content=b"blob")
        if not request.headers.get("Authorization"):
            return httpx.Response(401, headers={"WWW-Authenticate": "Basic realm=x"})
        return httpx.Response(307, headers={"Location": "https://storage.example/blob"})

    async def twice(reader: RegistryReader) -> list[bytes | None]:
        return [await reader.blob(SUBJECT, 10), await reader.blob(SUBJECT, 10)]

    assert read(handler, twice) == [b"blob", b"blob"]
    assert [login for host, login in seen if host == "storage.example"] == ["", ""]
    assert [bool(login) for host, login in seen if host == "registry.example"] == [False, True, True]


def test_a_blob_is_measured_without_being_kept() -> None:
    """Its digest and size, or that it is not there."""
    content = b"x" * 100_000

    assert read(lambda _: httpx.Response(200, content=content), lambda reader: reader.measure(SUBJECT)) == (
        digest_bytes(content),
        len(content),
    )
    assert read(lambda _: httpx.Response(404), lambda reader: reader.measure(SUBJECT)) is None


def test_a_large_bundle_is_not_read() -> None:
    """What is larger than anybody's is refused on the way."""
    with pytest.raises(ResolveError, match="more than"):
        read(lambda _: httpx.Response(200, content=b"x" * 11), lambda reader: reader.blob(SUBJECT, 10))


def test_a_registry_that_is_busy_is_asked_again() -> None:
    """A layer that was measured in part counts from its beginning."""
    answers = iter([httpx.Response(503), httpx.Response(429), httpx.Response(200, content=b"whole")])

    found = read(lambda _: next(answers), lambda reader: reader.measure(SUBJECT), seconds=10)

    assert found == (digest_bytes(b"whole"), 5)


def test_a_registry_that_cannot_be_reached() -> None:
    """The host is named, and nothing of the login."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    with pytest.raises(ResolveError, match=r"registry\.example.*no route") as caught:
        read(handler, lambda reader: reader.manifest("latest"))
    assert SECRET not in str(caught.value)
