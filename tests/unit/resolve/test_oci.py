"""A tag of a registry turned into digests, over a transport that answers from a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from pipeline.digest import digest_bytes
from pipeline.errors import ResolveError
from pipeline.resolve.oci import Reference, parse_reference, resolve_image
from pipeline.resolve.pins import ImagePin

REF = "docker.io/library/debian:trixie-slim"
URL = "https://registry-1.docker.io/v2/library/debian/manifests/trixie-slim"
PLATFORMS = ("linux/amd64", "linux/arm64")
AMD, ARM, OTHER = (digest_bytes(name) for name in (b"amd", b"arm", b"other"))


def entry(digest: str, architecture: str, **more: Any) -> dict[str, Any]:
    """Return one manifest of an index."""
    return {"digest": digest, "platform": {"os": "linux", "architecture": architecture, **more}}


INDEX = {
    "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [
        entry(AMD, "amd64"),
        entry(OTHER, "arm", variant="v7"),
        entry(ARM, "arm64", variant="v8"),
        {"digest": OTHER, "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": OTHER},
    ],
}


def resolved(answer: Callable[[httpx.Request], httpx.Response], platforms: tuple[str, ...] = PLATFORMS) -> ImagePin:
    """Resolve the image with a registry that is a function."""

    async def run() -> ImagePin:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            return await resolve_image(REF, platforms, client)

    return anyio.run(run)


REFERENCES = {
    REF: (Reference("docker.io", "library/debian", "trixie-slim"), "https://registry-1.docker.io/v2/library/debian"),
    "ghcr.io/a/b/c:1.2": (Reference("ghcr.io", "a/b/c", "1.2"), "https://ghcr.io/v2/a/b/c"),
    "localhost:5000/x:y": (Reference("localhost:5000", "x", "y"), "http://localhost:5000/v2/x"),
    "127.0.0.1:80/x:y": (Reference("127.0.0.1:80", "x", "y"), "http://127.0.0.1:80/v2/x"),
    "localhost.example.com/x:y": (
        Reference("localhost.example.com", "x", "y"),
        "https://localhost.example.com/v2/x",
    ),
}


@pytest.mark.parametrize(("ref", "expected"), REFERENCES.items())
def test_a_reference_is_taken_apart(ref: str, expected: tuple[Reference, str]) -> None:
    """Plain HTTP is for loopback alone."""
    assert (parse_reference(ref), parse_reference(ref).base_url) == expected


def test_an_index_gives_a_digest_per_platform() -> None:
    """Variants and attestations beside them are passed over; the index is known by its bytes."""
    content = json.dumps(INDEX, indent=3).encode()
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=content)

    assert resolved(answer) == ImagePin(
        ref=REF, index=digest_bytes(content), platforms={"linux/amd64": AMD, "linux/arm64": ARM}
    )
    assert [str(request.url) for request in asked] == [URL]
    assert "image.index" in asked[0].headers["Accept"]


def test_the_first_of_two_entries_for_a_platform_counts() -> None:
    """As container runtimes have it."""
    index = {"manifests": [entry(AMD, "amd64"), entry(OTHER, "amd64")]}

    assert resolved(lambda _: httpx.Response(200, json=index), ("linux/amd64",)).platforms == {"linux/amd64": AMD}


def test_a_token_is_fetched_where_the_registry_asks_for_one() -> None:
    """With the scope it names, and sent to the registry alone."""
    asked: list[tuple[str, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((str(request.url), request.headers.get("Authorization")))
        if request.url.host == "auth.docker.io":
            return httpx.Response(200, json={"access_token": "t0"})
        if "Authorization" in request.headers:
            return httpx.Response(200, json=INDEX)
        challenge = (
            'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",'
            'scope="repository:library/debian:pull"'
        )
        return httpx.Response(401, headers={"WWW-Authenticate": challenge})

    resolved(answer)

    token = "https://auth.docker.io/token?service=registry.docker.io&scope=repository%3Alibrary%2Fdebian%3Apull"  # noqa: S105
    assert asked == [(URL, None), (token, None), (URL, "Bearer t0")]


def unreachable(request: httpx.Request) -> httpx.Response:
    """Answer as a network that is down does."""
    raise httpx.ConnectError("Name or service not known", request=request)


FAILURES: dict[str, tuple[Callable[[httpx.Request], httpx.Response], str]] = {
    "no network": (unreachable, f"{REF}: docker.io cannot be asked: Name or service not known"),
    "no such tag": (lambda _: httpx.Response(404), f"{REF}: docker.io cannot be asked: Client error '404 Not Found'"),
    "refused without a realm": (lambda _: httpx.Response(401), f"{REF}: docker.io cannot be asked: Client error '401"),
    "limit": (lambda _: httpx.Response(429), f"{REF}: docker.io cannot be asked: Client error '429"),
    "a login page": (
        lambda _: httpx.Response(200, text="<html>"),
        f"{REF}: docker.io cannot be asked: it did not answer with JSON",
    ),
    "one platform": (
        lambda _: httpx.Response(200, json={"config": {}, "layers": []}),
        f"{REF} is an image for one platform; give a tag that has an index",
    ),
    "a list": (
        lambda _: httpx.Response(200, json=["manifests"]),
        f"{REF} is an image for one platform; give a tag that has an index",
    ),
    "missing platform": (
        lambda _: httpx.Response(200, json={"manifests": INDEX["manifests"][:1]}),
        f"{REF} has no image for linux/arm64",
    ),
    "no digest": (
        lambda _: httpx.Response(200, json={"manifests": [{"platform": {"os": "linux", "architecture": "amd64"}}]}),
        f"{REF}: docker.io answered with an index that cannot be read",
    ),
    "bad digest": (
        lambda _: httpx.Response(200, json={"manifests": [entry("sha256:0", "amd64"), entry(ARM, "arm64")]}),
        f"{REF}: docker.io answered with an index that cannot be read",
    ),
    "entries of another form": (
        lambda _: httpx.Response(200, json={"manifests": ["x"]}),
        f"{REF}: docker.io answered with an index that cannot be read",
    ),
}


@pytest.mark.parametrize(("answer", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_a_registry_that_does_not_help_is_quoted(
    answer: Callable[[httpx.Request], httpx.Response], message: str
) -> None:
    """Image and registry are named."""
    with pytest.raises(ResolveError) as caught:
        resolved(answer)

    assert caught.value.message.startswith(message)
