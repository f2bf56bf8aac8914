"""Where a login may go, and what is asked for with it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

import anyio
import httpx
import pytest

from pipeline.catalog.credentials import IDENTITY, Credentials
from pipeline.catalog.tokens import authorize
from pipeline.catalog.wire import Answer
from pipeline.errors import OutputError

SECRET = "c4n4ry"  # noqa: S105  # what must never be shown
ME = Credentials("me", SECRET)


def login(
    challenge: str,
    *,
    at: str = "https://registry.corp.example",
    credentials: Credentials | None = ME,
    trusted: tuple[str, ...] = (),
    service: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(200, json={"token": "t"}),
) -> str:
    """Log in to the registry at `at`, which says `challenge`."""
    answer = Answer(401, httpx.Headers({"WWW-Authenticate": challenge}), b"", httpx.URL(f"{at}/v2/"))

    async def work() -> str:
        async with httpx.AsyncClient(transport=httpx.MockTransport(service)) as client:
            return await authorize(
                answer, {"repository:a:pull", "repository:b:pull"}, client, "r", credentials, trusted
            )

    return anyio.run(work)


def bearer(realm: str) -> str:
    """Return the challenge that names a token service."""
    return f'Bearer realm="{realm}",service="s"'


RELATED = {
    "https://registry-1.docker.io": "https://auth.docker.io/token",
    "https://registry.gitlab.com": "https://gitlab.com/jwt/auth",
    "https://quay.io": "https://quay.io/v2/auth",
    "https://us.icr.io": "https://us.icr.io/oauth/token",
    "https://corp.example": "https://auth.corp.example/token",
    "http://127.0.0.1:5000": "http://127.0.0.1:5001/token",
}
FOREIGN = {
    "https://ghcr.io": "https://evil.io/token",
    "https://registry.corp.example": "https://corp.example.evil/token",
    "https://quay.io": "https://quay.io.evil.example/token",
    "http://127.0.0.1:5000": "http://127.0.0.2:5000/token",
    "http://localhost:5000": "http://evil.localhost.example/token",
}


@pytest.mark.parametrize(("registry", "realm"), RELATED.items())
def test_a_token_service_of_the_same_domain_gets_the_login(registry: str, realm: str) -> None:
    """As the well-known registries have it."""
    heard: list[httpx.Request] = []

    def service(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(200, json={"access_token": "t"})

    assert login(bearer(realm), at=registry, service=service) == "Bearer t"
    assert heard[0].headers["Authorization"] == httpx.BasicAuth("me", SECRET)._auth_header
    assert heard[0].url.params.get_list("scope") == ["repository:a:pull", "repository:b:pull"]
    assert heard[0].url.params["service"] == "s"


@pytest.mark.parametrize(("registry", "realm"), FOREIGN.items())
def test_a_token_service_elsewhere_does_not_get_the_login(registry: str, realm: str) -> None:
    """Unless its host is named in agc.toml; without a login there is nothing to keep."""
    with pytest.raises(OutputError, match="sent to another host") as caught:
        login(bearer(realm), at=registry)

    assert "token-hosts" in caught.value.remedy
    assert login(bearer(realm), at=registry, trusted=(httpx.URL(realm).host,)) == "Bearer t"
    assert login(bearer(realm), at=registry, credentials=None) == "Bearer t"


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        (bearer("http://registry.corp.example/token"), "without TLS"),
        (bearer("https://x:y@registry.corp.example/token"), "names no token service"),
        (bearer(""), "names no token service"),
        (bearer("https://[::1"), "names no token service"),
        ("Negotiate", "of a kind that is not known"),
        ("", "of a kind that is not known"),
    ],
)
def test_a_challenge_that_cannot_be_met_is_an_error(challenge: str, words: str) -> None:
    """Before anything is sent."""
    with pytest.raises(OutputError, match=words):
        login(challenge)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"token": 5}', b'{"token": "a\\r\\nb"}', b"x"])
def test_what_is_no_token_is_an_error(body: bytes) -> None:
    """Whatever was answered."""
    with pytest.raises(OutputError, match=r"token service|did not answer with JSON"):
        login(bearer("https://registry.corp.example/t"), service=lambda _: httpx.Response(200, content=body))


def test_an_identity_token_is_exchanged() -> None:
    """By OAuth 2, in the body and not in the address, as Azure's registry wants it."""
    heard: list[httpx.Request] = []

    def service(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(200, json={"access_token": "t"})

    realm = "https://registry.corp.example/oauth2/token"
    assert login(bearer(realm), credentials=Credentials(IDENTITY, SECRET), service=service) == "Bearer t"
    form = parse_qs(heard[0].content.decode())
    assert (heard[0].method, form["grant_type"], form["refresh_token"]) == ("POST", ["refresh_token"], [SECRET])
    assert form["scope"] == ["repository:a:pull repository:b:pull"]
    assert SECRET not in str(heard[0].url)


def test_a_password_is_given_to_a_registry_that_wants_it_itself() -> None:
    """RFC 7617."""
    assert login('Basic realm="x"') == httpx.BasicAuth("me", SECRET)._auth_header


def test_of_several_ways_a_token_is_taken() -> None:
    """The password is then not sent with every request."""
    assert login(f'Basic realm="x", {bearer("https://registry.corp.example/t")}') == "Bearer t"


def test_a_refused_login_says_how_to_log_in() -> None:
    """And does not repeat what was tried."""
    with pytest.raises(OutputError, match="HTTP 401") as caught:
        login(bearer("https://registry.corp.example/t"), service=lambda _: httpx.Response(401))

    assert caught.value.remedy == "docker login r, or set AGC_REGISTRY_R_USERNAME and AGC_REGISTRY_R_PASSWORD"
    assert SECRET not in str(caught.value)
