"""A registry that is spoken to: one login for all, one more where it expires, and tries that end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio
import httpx
import pytest

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.patience import Backoff, Patience
from pipeline.catalog.session import Session, open_session
from pipeline.catalog.side_by_side import side_by_side
from pipeline.catalog.wire import BusyError, Call, RefusalError
from pipeline.errors import OutputError

BASE = httpx.URL("https://registry.example")
PULL = frozenset({"repository:a:pull"})
PUSH = frozenset({"repository:a:pull,push"})


class Service:
    """A registry with a token service; a token is good for `lasts` calls."""

    def __init__(self, lasts: int = 1000) -> None:
        self.lasts = lasts
        self.tokens: dict[str, int] = {}
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append(request)
        if request.url.path == "/token":
            token = f"t{len(self.tokens)}"
            self.tokens[token] = self.lasts
            return httpx.Response(200, json={"token": token})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, 0) <= 0:
            return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="https://registry.example/token"'})
        self.tokens[token] -= 1
        return httpx.Response(200)


def session(answer: Callable[[httpx.Request], httpx.Response], patience: Patience | None = None) -> Session:
    """Return a session with a registry that answers by `answer`."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return Session(
        "registry.example", BASE, client, Credentials("me", "pw"), patience or Patience(0.05, 0.001, 0.01, 0.02)
    )


def ask(where: Session, count: int, scopes: frozenset[str] = PULL, *, at_once: bool = False) -> None:
    """Ask so many times, one after the other or all at once."""

    async def work() -> None:
        works = [partial(where.ask, Call("GET", BASE.join("/v2/a")), scopes, {200})] * count
        if at_once:
            await side_by_side(works)
        else:
            for one in works:
                await one()

    anyio.run(work)


def test_a_login_is_kept() -> None:
    """One refusal, one token, and it is given from then on."""
    service = Service()
    ask(session(service), 5)

    assert len(service.tokens) == 1
    assert len(service.asked) == 1 + 1 + 5


def test_of_many_who_are_refused_at_once_one_logs_in() -> None:
    """For all of them."""
    service = Service()
    ask(session(service), 20, at_once=True)

    assert len(service.tokens) == 1


def test_a_login_that_expired_is_renewed() -> None:
    """As often as that happens."""
    service = Service(lasts=3)
    ask(session(service), 10)

    assert len(service.tokens) == 4


def test_a_login_that_is_never_good_is_asked_for_once() -> None:
    """Then it is a refusal."""
    service = Service(lasts=0)

    with pytest.raises(RefusalError, match="HTTP 401"):
        ask(session(service), 1)

    assert len(service.tokens) == 1


def test_pulling_and_pushing_have_tokens_of_their_own() -> None:
    """No token can more than it is wanted for."""
    service = Service()
    where = session(service)
    ask(where, 2, PULL)
    ask(where, 2, PUSH)
    ask(where, 2, PULL)

    scopes = [request.url.params["scope"] for request in service.asked if request.url.path == "/token"]
    assert scopes == ["repository:a:pull", "repository:a:pull,push"]


def test_a_session_shows_no_login() -> None:
    """Not in what is logged by accident."""
    where = session(Service())
    ask(where, 1)

    assert "t0" not in repr(where)
    assert "pw" not in repr(where)


def test_a_stranger_is_given_up_on_sooner() -> None:
    """A registry that never answered is perhaps none."""
    calls: list[int] = []

    def nobody(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(BusyError, match="refused"):
        ask(session(nobody, Patience(whole=3600, first=0.001, longest=0.001, stranger=0.01)), 1)

    assert len(calls) > 1


def test_a_pause_is_what_the_registry_asks_for_and_a_little_more() -> None:
    """And none is made where it would last too long."""

    async def paused(wait: float | None) -> float:
        started = anyio.current_time()
        await Backoff(Patience(1.0, 0.01, 0.02, 1.0)).pause(BusyError("busy", wait=wait), met=True)
        return anyio.current_time() - started

    assert anyio.run(paused, 0.1) >= 0.1
    assert anyio.run(paused, None) < 0.1
    with pytest.raises(BusyError):
        anyio.run(paused, 5.0)


def test_half_a_login_ends_before_anything_is_asked() -> None:
    """It is a mistake of whoever runs it."""

    async def opened() -> Session:
        async with httpx.AsyncClient(transport=httpx.MockTransport(Service())) as client:
            told = {"AGC_REGISTRY_REGISTRY_EXAMPLE_USERNAME": "me"}
            return await open_session("registry.example", str(BASE), client, environment=told)

    with pytest.raises(OutputError, match="one is not set"):
        anyio.run(opened)
