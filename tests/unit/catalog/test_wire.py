"""One request: what is tried again, what is not read, and who sees the login."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import httpx
import pytest

from pipeline.catalog.wire import Answer, BusyError, Call, RefusalError, follow, raise_for_status, send
from pipeline.errors import OutputError

HERE = httpx.URL("https://registry.example/v2/a/manifests/x?token=s3cret")
LOGIN = "Bearer c4n4ry"


def exchange(answer: Callable[[httpx.Request], httpx.Response], call: Call) -> Answer:
    """Send a call to a host that answers by `answer`."""

    async def work() -> Answer:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True) as client:
            return await send(client, call, LOGIN)

    return anyio.run(work)


def answered(status: int = 200, headers: dict[str, str] | None = None, content: bytes = b"") -> Answer:
    """Return an answer."""
    return Answer(status, httpx.Headers(headers or {}), content, HERE)


def test_a_redirect_to_another_host_is_followed_without_the_login() -> None:
    """Storage is open to whoever knows the address."""
    heard: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        elsewhere = {"Location": "https://storage.example/blob?signed"}
        return httpx.Response(307, headers=elsewhere) if request.url.host == "registry.example" else httpx.Response(200)

    assert exchange(answer, Call("GET", HERE)).status == 200
    assert [request.headers.get("Authorization") for request in heard] == [LOGIN, None]


@pytest.mark.parametrize("port", ["", ":444"])
def test_another_port_is_another_place(port: str) -> None:
    """Who listens there may be anybody."""
    heard: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        again = {"Location": f"https://registry.example{port}/else"}
        return httpx.Response(302, headers=again) if len(heard) == 1 else httpx.Response(200)

    exchange(answer, Call("GET", HERE))

    assert ("Authorization" in heard[1].headers) == (not port)


def test_redirects_end() -> None:
    """Five are enough for anybody."""
    with pytest.raises(OutputError, match="redirects without end"):
        exchange(lambda _: httpx.Response(302, headers={"Location": "/v2/b"}), Call("GET", HERE))


def test_a_put_is_not_redirected() -> None:
    """What was sent would be sent again, to nobody knows whom."""
    answer = exchange(lambda _: httpx.Response(307, headers={"Location": "https://else.example/"}), Call("PUT", HERE))

    assert answer.status == 307


LOCATIONS = {
    "http://registry.example/x": "go on without TLS",
    "ftp://registry.example/x": "no address to go on with",
    "": "no address to go on with",
    "https://me:pw@registry.example/": "a login in it",
    "https://[::1": "an address that is none",
}


@pytest.mark.parametrize(("location", "words"), LOCATIONS.items())
def test_a_place_nobody_may_follow_is_an_error(location: str, words: str) -> None:
    """And nothing of the address that was asked but its path is shown."""
    with pytest.raises(OutputError, match=words) as caught:
        follow(answered(headers={"Location": location}), Call("POST", HERE).shown)

    assert "s3cret" not in caught.value.message


def test_a_login_refused_tells_the_status_and_the_registrys_code() -> None:
    """But not its words, which may repeat what it was sent."""
    body = b'{"errors": [{"code": "DENIED", "message": "no entry for s3cret"}]}'

    with pytest.raises(RefusalError, match="HTTP 403 DENIED") as caught:
        raise_for_status(Call("PUT", HERE), answered(403, content=body), {201})

    assert "s3cret" not in str(caught.value)
    assert (caught.value.status, caught.value.code) == (403, "DENIED")


WAITS = {
    "2": 2.0,
    "Fri, 01 Jan 2021 00:00:00 GMT": 0.0,
    "": None,
    "soon": None,
    "-1": None,
    "Fri, 99 Jan 2021": None,
}


@pytest.mark.parametrize(("text", "seconds"), WAITS.items())
def test_a_busy_registry_may_say_how_long(text: str, seconds: float | None) -> None:
    """In seconds or as a date; what is neither is as if it had said nothing."""
    with pytest.raises(BusyError) as caught:
        raise_for_status(Call("GET", HERE), answered(503, {"Retry-After": text}), {200})

    assert caught.value.wait == seconds


def test_a_connection_that_breaks_may_do_better_next_time() -> None:
    """What httpx raises does not get out."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset", request=request)

    with pytest.raises(BusyError, match=r"GET registry\.example/v2/a/manifests/x: reset"):
        exchange(answer, Call("GET", HERE))


def test_an_answer_that_is_compressed_is_not_read() -> None:
    """A little of it may become very much."""
    with pytest.raises(OutputError, match="encoding"):
        exchange(lambda _: httpx.Response(200, headers={"Content-Encoding": "gzip"}), Call("GET", HERE))
