"""What a registry says of an image, over a transport that answers from a table."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import pytest

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.patience import Patience
from pipeline.catalog.published import read_published
from pipeline.catalog.record import Catalog, ImageRecord
from pipeline.digest import Digest, digest_bytes
from pipeline.engine.layout import CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE
from pipeline.errors import ResolveError
from pipeline.platform import AMD64, ARM64, PLATFORMS, Platform
from pipeline.resolve.oci import parse_reference
from pipeline.stages.changes import compare
from tests.unit.compose.samples import composed
from tests.unit.stages.published import planned, platform_record

NAME = "node-bun-claude"
REFERENCE = parse_reference(f"registry.example/agents/{NAME}:latest")
BASE = f"/v2/agents/{NAME}"
BOTH = tuple(str(platform) for platform in PLATFORMS)
(IMAGE,) = planned(names=[NAME])


@dataclass
class Shelf:
    """A registry with one image in it."""

    content: dict[str, bytes] = field(default_factory=dict)
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append(request)
        content = self.content.get(request.url.path.removeprefix(BASE))
        return httpx.Response(404) if content is None else httpx.Response(200, content=content)

    def put(self, kind: str, document: Any, name: str = "") -> dict[str, Any]:
        """Add a document, under its digest and under a name, and return its descriptor."""
        data = json.dumps(document).encode()
        for key in {digest_bytes(data), name} - {""}:
            self.content[f"/{kind}/{key}"] = data
        return {"digest": digest_bytes(data), "size": len(data)}

    def image(self, platform: Platform, name: str = "", edit: Callable[[Any], None] = lambda _: None) -> dict[str, Any]:
        """Add the sample image for a platform; `edit` changes its config first."""
        config = json.loads(composed(NAME, platform).config)
        edit(config)
        (planned_one,) = (one for one in IMAGE.platforms if one.platform == str(platform))
        layers = [{"digest": one.digest, "size": one.size} for one in platform_record(planned_one).layers]
        described = {"mediaType": CONFIG_TYPE, **self.put("blobs", config)}
        return self.put("manifests", {"mediaType": MANIFEST_TYPE, "config": described, "layers": layers}, name)


def both() -> Shelf:
    """Return a registry with the image for two platforms, and an attestation beside them."""
    shelf = Shelf()
    entries = [{**shelf.image(one), "platform": {"os": one.os, "architecture": one.architecture}} for one in PLATFORMS]
    entries.append({"digest": "sha256:" + "0" * 64, "platform": {"os": "unknown", "architecture": "unknown"}})
    shelf.put("manifests", {"mediaType": INDEX_TYPE, "manifests": entries}, "latest")
    return shelf


def read(
    answer: Callable[[httpx.Request], httpx.Response],
    platforms: tuple[str, ...] = BOTH,
    credentials: Credentials | None = None,
) -> ImageRecord | None:
    """Read the image."""

    async def work() -> ImageRecord | None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            return await read_published(REFERENCE, platforms, client, credentials, Patience(0, 0, 0, 0))

    return anyio.run(work)


def found(answer: Callable[[httpx.Request], httpx.Response], platforms: tuple[str, ...] = BOTH) -> ImageRecord:
    """Read the image, which is there."""
    record = read(answer, platforms)
    assert record is not None
    return record


def test_labels_say_all_that_a_record_says_but_packages() -> None:
    """Layer by layer, on each platform."""
    record = found(both())

    assert list(record.platforms) == list(BOTH)
    assert record.repositories == (f"registry.example/agents/{NAME}",)
    for one in IMAGE.platforms:
        told, recorded = record.platforms[one.platform], platform_record(one)
        assert (told.layers, told.graph_digest) == (recorded.layers, recorded.graph_digest)
        assert told.settings == recorded.settings
    assert compare([IMAGE], Catalog(images={NAME: record}), "x", whole=False).to_build == ()


def test_platforms_that_nobody_asks_about_are_not_read() -> None:
    """Index, manifest and config: three requests."""
    shelf = both()

    assert list(found(shelf, ("linux/arm64",)).platforms) == ["linux/arm64"]
    assert len(shelf.asked) == 3


def test_an_image_for_one_platform_has_no_index() -> None:
    """Its config says which platform that is."""
    shelf = Shelf()
    described = shelf.image(ARM64, "latest")
    record = found(shelf)

    assert (record.digest, list(record.platforms)) == (described["digest"], ["linux/arm64"])


def test_a_tag_that_is_not_there_is_no_error() -> None:
    """The image was never published."""
    assert read(Shelf()) is None


def _without_layers(config: Any) -> None:
    del config["config"]["Labels"]["dev.agentcontainers.layers"]


def _with_odd_layers(config: Any) -> None:
    config["config"]["Labels"]["dev.agentcontainers.layers"] = "agents/claude"


def _with_too_many_layers(config: Any) -> None:
    labels = config["config"]["Labels"]
    labels["dev.agentcontainers.layers"] = " ".join([labels["dev.agentcontainers.layers"]] * 2)


def _without_anything(config: Any) -> None:
    config["config"] = None


@pytest.mark.parametrize("edit", [_without_layers, _with_odd_layers, _with_too_many_layers, _without_anything])
def test_an_image_that_does_not_say_what_it_is_made_of_has_no_layers(edit: Callable[[Any], None]) -> None:
    """It is there all the same."""
    shelf = Shelf()
    shelf.image(AMD64, "latest", edit)

    assert found(shelf).platforms["linux/amd64"].layers == ()


def test_basic_login_is_given_once_it_is_asked_for() -> None:
    """And with every request after that."""
    shelf, secret = both(), "c4n4ry"

    def answer(request: httpx.Request) -> httpx.Response:
        if "Authorization" not in request.headers:
            return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        assert base64.b64decode(request.headers["Authorization"].split()[1]).decode() == f"me:{secret}"
        return shelf(request)

    assert read(answer, credentials=Credentials("me", secret)) is not None
    assert len(shelf.asked) == 5


def test_a_token_is_fetched_for_pulling() -> None:
    """Not for pushing."""
    shelf, scopes = both(), []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.example":
            scopes.append(request.url.params["scope"])
            return httpx.Response(200, json={"token": "t0ken"})
        if request.headers.get("Authorization") != "Bearer t0ken":
            return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="https://auth.example/token"'})
        return shelf(request)

    assert read(answer) is not None
    assert scopes == [f"repository:agents/{NAME}:pull"]


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def _answering(status: int, headers: Mapping[str, str] | None = None, content: bytes = b"") -> Any:
    return lambda _: httpx.Response(status, headers=headers, content=content)


REFUSALS = {
    "unreachable": (_unreachable, "registry.example cannot be asked: .*: refused"),
    "no login": (_answering(401, {"WWW-Authenticate": "Basic"}), "the registry wants a login"),
    "forbidden": (_answering(403), "registry.example answers with HTTP 403"),
    "broken": (_answering(500), "the registry says HTTP 500"),
    "no JSON": (_answering(200, content=b"<html>"), "did not answer with JSON"),
    "no object": (_answering(200, content=b"[]"), "did not answer with an object"),
    "no image": (_answering(200, content=b"{}"), "is no image that can be read"),
    "odd index": (_answering(200, content=b'{"manifests": [1]}'), "is no image that can be read"),
    "endless": (_answering(200, content=b" " * (5 << 20)), "more than 4096 KiB"),
}


@pytest.mark.parametrize(("answer", "words"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_cannot_be_read_is_said(answer: Callable[[httpx.Request], httpx.Response], words: str) -> None:
    """By an error of ours that names the registry or the image."""
    with pytest.raises(ResolveError, match=words):
        read(answer)


@pytest.mark.parametrize(
    ("status", "words"), [(404, "not in the registry"), (200, "the registry answered with sha256")]
)
def test_a_document_that_is_not_what_its_name_says_is_an_error(status: int, words: str) -> None:
    """Or one that its index names and nobody has."""
    shelf = both()

    def answer(request: httpx.Request) -> httpx.Response:
        if "/blobs/" in request.url.path:
            return httpx.Response(status, content=b"{}")
        return shelf(request)

    with pytest.raises(ResolveError, match=words):
        read(answer)


def test_digests_come_from_the_bytes_that_were_read() -> None:
    """No header is trusted."""
    shelf = both()
    digest: Digest = digest_bytes(shelf.content["/manifests/latest"])

    assert found(shelf).digest == digest
