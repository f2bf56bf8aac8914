"""An index is put under its tag with the login the registry asks for, and read back by digest."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import httpx
import pytest

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.push import push_index
from pipeline.digest import Digest, digest_bytes
from pipeline.engine.layout import INDEX_TYPE
from pipeline.errors import OutputError
from pipeline.resolve.oci import parse_reference

INDEX = b'{"manifests":[]}'
SECRET = "c4n4ry"  # noqa: S105  # what must never be shown
REFERENCE = parse_reference("registry.example/agents/one:latest")
ADDRESS = "https://registry.example/v2/agents/one/manifests/latest"


def push(answer: Callable[[httpx.Request], httpx.Response], credentials: Credentials | None = None) -> Digest:
    """Push INDEX to a registry that answers by `answer`."""

    async def work() -> Digest:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            return await push_index(REFERENCE, INDEX, client, credentials)

    return anyio.run(work)


def test_an_open_registry_takes_it_at_once() -> None:
    """One PUT with the index's media type, and its digest comes back."""
    heard: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(201)

    assert push(answer) == digest_bytes(INDEX)
    assert [(request.method, str(request.url)) for request in heard] == [("PUT", ADDRESS)]
    assert heard[0].headers["Content-Type"] == INDEX_TYPE
    assert heard[0].content == INDEX


def test_basic_login_is_given_when_asked_for() -> None:
    """The password goes out only after the registry asked."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "Authorization" not in request.headers:
            return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        assert request.headers["Authorization"] == httpx.BasicAuth("me", SECRET)._auth_header
        return httpx.Response(201)

    assert push(answer, Credentials("me", SECRET)) == digest_bytes(INDEX)


def test_a_token_is_fetched_for_pushing_this_repository() -> None:
    """The token service is asked for pull and push on the repository, with the login."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            asked.append(request)
            return httpx.Response(200, json={"token": "t0ken"})
        if request.headers.get("Authorization") != "Bearer t0ken":
            challenge = 'Bearer realm="https://auth.example/token",service="registry.example"'
            return httpx.Response(401, headers={"WWW-Authenticate": challenge})
        return httpx.Response(201)

    assert push(answer, Credentials("me", SECRET)) == digest_bytes(INDEX)
    assert asked[0].url.params["scope"] == "repository:agents/one:pull,push"
    assert asked[0].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: httpx.Response(401, headers={"WWW-Authenticate": "Basic"}), "wants a login"),
        (lambda _: httpx.Response(403), "HTTP 403"),
        (lambda _: httpx.Response(500), "HTTP 500"),
        (lambda _: httpx.Response(201, headers={"Docker-Content-Digest": "sha256:" + "0" * 64}), "kept sha256:000"),
    ],
    ids=["no-login", "forbidden", "broken", "other-bytes"],
)
def test_a_refusal_says_what_was_refused(answer: Callable[[httpx.Request], httpx.Response], words: str) -> None:
    """The error names the image or the reason."""
    with pytest.raises(OutputError, match=words):
        push(answer)


def test_an_unreachable_registry_is_an_error_of_ours() -> None:
    """What httpx raises does not get out."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(OutputError, match="could not be pushed: refused"):
        push(answer)
