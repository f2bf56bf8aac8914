"""The order of a push, resumed uploads, and what refers to an image, against a registry in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest

from pipeline.catalog import upload
from pipeline.catalog.credentials import Credentials
from pipeline.catalog.index import assemble_index
from pipeline.catalog.patience import Patience
from pipeline.catalog.publish import Consignment, Published, publish_image
from pipeline.catalog.referrers import fallback_tag, find_referrers
from pipeline.catalog.repository import Repository
from pipeline.catalog.session import Session
from pipeline.catalog.stock import Stock
from pipeline.digest import Digest, digest_bytes
from pipeline.engine.layout import MANIFEST_TYPE, Descriptor, adopt, staged, write_image
from pipeline.errors import OutputError
from pipeline.resolve.tags import Tags
from pipeline.supply.artifact import Artifact, Blob
from tests.unit.catalog.registry import HOST, MemoryRegistry

QUICK = Patience(2.0, 0.001, 0.001, 2.0)
BIG = bytes(range(256)) * 40


def consignment(folder: Path, *layers: bytes) -> Consignment:
    """Return an image for two platforms."""
    manifests = {
        f"linux/{name}": write_image(folder, name, {"architecture": name, "os": "linux"}, layers)
        for name in ("amd64", "arm64")
    }
    return Consignment(folder, manifests)


def push(registry: MemoryRegistry, image: Consignment, name: str = "ns/one") -> Published:
    """Publish an image under two tags."""

    async def tags(_repository: Repository, _digest: Digest) -> Tags:
        return Tags(("2026.11.21",), ("latest",))

    return anyio.run(lambda: publish_image(image, repository(registry, name), Stock(), tags))


def repository(registry: MemoryRegistry, name: str = "ns/one") -> Repository:
    """Return a repository of a registry."""
    client = httpx.AsyncClient(transport=httpx.MockTransport(registry))
    return Repository(Session(HOST, httpx.URL(f"https://{HOST}"), client, patience=QUICK), name)


def note(subject: Descriptor, text: str) -> Artifact:
    """Return an artifact about something."""
    return Artifact("application/vnd.example.note", (Blob("text/plain", text.encode()),), subject=subject)


def test_every_step_comes_before_the_next(tmp_path: Path) -> None:
    """Blobs, manifests, index, evidence, signature, dated tag, `latest`."""
    registry = MemoryRegistry(has_referrers=True)
    plain = consignment(tmp_path, b"layer")
    top, _ = plain.top
    evidence = note(top, "sbom")
    signature = note(top, "signature")
    seen: list[int] = []

    async def sign(index: Descriptor, platforms: Mapping[str, Descriptor]) -> Sequence[Artifact]:
        assert (index, platforms) == (top, plain.platforms)
        seen.append(len(registry.asked))
        return [signature]

    push(registry, replace(plain, referrers=[evidence], sign=sign))

    puts = [request.url.path.rpartition("/")[2] for request in registry.asked if request.method == "PUT"]
    manifests = [*plain.manifests.values(), top.digest, evidence.descriptor.digest, signature.descriptor.digest]
    order = [name for name in puts if name.startswith("sha256:") or name in {"latest", "2026.11.21"}]
    assert order == [*manifests, "2026.11.21", "latest"]
    before = [request for request in registry.asked[: seen[0]] if request.method == "GET"]
    assert f"/v2/ns/one/manifests/{top.digest}" in {request.url.path for request in before}


def test_a_registry_with_the_api_needs_no_list_under_a_tag(tmp_path: Path) -> None:
    """It finds what refers to an image by itself."""
    registry = MemoryRegistry(has_referrers=True)
    plain = consignment(tmp_path, b"layer")
    top, _ = plain.top
    push(registry, replace(plain, referrers=[note(top, "sbom")]))

    assert fallback_tag(top.digest) not in registry.manifests["ns/one"]
    found = anyio.run(find_referrers, repository(registry), top.digest)
    assert [entry["digest"] for entry in found] == [note(top, "sbom").descriptor.digest]


def test_a_list_that_is_lost_to_another_writer_is_written_again(tmp_path: Path) -> None:
    """It is read back, and what is not in it is added to what is."""
    plain = consignment(tmp_path, b"layer")
    top, _ = plain.top
    theirs = note(top, "theirs")
    lost: list[bytes] = []
    registry = MemoryRegistry()

    def race(request: httpx.Request) -> httpx.Response | None:
        if request.method != "PUT" or fallback_tag(top.digest) not in request.url.path or lost:
            return None
        lost.append(request.content)
        entry = theirs.descriptor.as_json()
        other = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
        registry.manifests["ns/one"][theirs.descriptor.digest] = (MANIFEST_TYPE, theirs.manifest)
        registry.manifests["ns/one"][fallback_tag(top.digest)] = ("application/vnd.oci.image.index.v1+json", other)
        return httpx.Response(201)

    registry.before = race
    push(registry, replace(plain, referrers=[note(top, "ours")]))

    _, listed = registry.manifests["ns/one"][fallback_tag(top.digest)]
    digests = {entry["digest"] for entry in json.loads(listed)["manifests"]}
    assert digests == {theirs.descriptor.digest, note(top, "ours").descriptor.digest}


@pytest.mark.parametrize("kept", [0, 1, 5000, len(BIG)], ids=lambda kept: f"kept-{kept}")
def test_an_upload_that_is_cut_goes_on_where_the_registry_kept_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """And comes to the blob, however much that was."""
    monkeypatch.setattr(upload, "STREAMED_FROM", 1000)
    registry = MemoryRegistry()
    cut: list[int] = []

    def cutting(request: httpx.Request) -> httpx.Response | None:
        if request.method != "PATCH" or cut:
            return None
        key = request.url.path.rpartition("/")[2]
        registry.uploads[key] += request.content[:kept]
        cut.append(kept)
        raise httpx.WriteError("cut", request=request)

    registry.before = cutting
    push(registry, consignment(tmp_path, BIG))

    patches = [request for request in registry.asked if request.method == "PATCH"]
    assert registry.blobs["ns/one"][digest_bytes(BIG)] == BIG
    if kept > 1:
        assert sum(len(request.content) for request in patches[1:]) == len(BIG) - kept
    if 1 < kept < len(BIG):
        assert patches[1].headers["Content-Range"] == f"{kept}-{len(BIG) - 1}"


def test_an_upload_that_is_forgotten_is_begun_again(tmp_path: Path) -> None:
    """A registry that was started anew knows nothing of it."""
    registry = MemoryRegistry()
    forgot: list[str] = []

    def forgetting(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PUT" and "/uploads/" in request.url.path and len(forgot) < 2:
            forgot.append(request.url.path)
            return httpx.Response(404, json={"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]})
        return None

    registry.before = forgetting
    push(registry, consignment(tmp_path, b"layer"))

    assert len(forgot) == 2
    assert registry.tags("ns/one").keys() == {"latest", "2026.11.21"}


def test_a_registry_that_loses_a_manifest_gets_no_tag(tmp_path: Path) -> None:
    """It is read back before the tags move."""
    registry = MemoryRegistry()
    image = consignment(tmp_path, b"layer")
    lost = image.manifests["linux/arm64"]
    registry.before = lambda request: (
        httpx.Response(404) if request.method == "GET" and str(request.url).endswith(lost) else None
    )

    with pytest.raises(OutputError, match=f"does not have {lost}"):
        push(registry, image)

    assert registry.tags("ns/one") == {}


def test_an_upload_at_another_host_is_made_without_the_login(tmp_path: Path) -> None:
    """The registry may keep its blobs there."""
    heard: list[httpx.Request] = []

    def elsewhere(request: httpx.Request) -> httpx.Response | None:
        if request.url.host != HOST:
            heard.append(request)
            registry.blobs["ns/one"][request.url.params["digest"]] = request.content
            return httpx.Response(201)
        if "Authorization" not in request.headers:
            return httpx.Response(401, headers={"WWW-Authenticate": "Basic realm=x"})
        if request.method == "POST":
            return httpx.Response(202, headers={"Location": "https://storage.example/put?signed=1"})
        return None

    registry = MemoryRegistry(before=elsewhere)
    where = repository(registry)
    where.session.credentials = Credentials("me", "c4n4ry")

    async def tags(_repository: Repository, _digest: Digest) -> Tags:
        return Tags(moving=("latest",))

    image = consignment(tmp_path, b"layer")
    anyio.run(lambda: publish_image(image, where, Stock(), tags))

    assert {request.url.host for request in heard} == {"storage.example"}
    assert not [request for request in heard if "Authorization" in request.headers]
    assert registry.tags("ns/one").keys() == {"latest"}


def test_the_index_is_that_of_the_layout(tmp_path: Path) -> None:
    """Without attestations there is one form of it, byte for byte."""
    with staged(tmp_path / "out") as staging:
        image = consignment(staging, b"layer")
        digest = adopt(staging, tmp_path / "out", "one", image.manifests)

    assert Consignment(tmp_path / "out", image.manifests).top[0].digest == digest


def test_an_index_has_its_attestations_in_one_order(tmp_path: Path) -> None:
    """Whatever order they came in; each names what it is about."""
    platforms = consignment(tmp_path, b"layer").platforms
    attestations = [note(one, text) for one in platforms.values() for text in ("a", "b")]
    index = assemble_index(platforms, attestations)

    assert assemble_index(platforms, reversed(attestations)) == index
    entries = json.loads(index)["manifests"]
    assert [entry["platform"]["architecture"] for entry in entries] == ["amd64", "arm64", *["unknown"] * 4]
    assert {entry["annotations"]["vnd.docker.reference.type"] for entry in entries[2:]} == {"attestation-manifest"}


def test_an_attestation_about_something_else_is_a_mistake(tmp_path: Path) -> None:
    """In an index it could not be found."""
    stranger = Descriptor(MANIFEST_TYPE, digest_bytes(b"else"), 4)

    with pytest.raises(ValueError, match="about one of its platforms"):
        assemble_index(consignment(tmp_path, b"layer").platforms, [note(stranger, "x")])


def test_tags_are_read_over_many_pages() -> None:
    """As far as the registry itself goes on; another host is not asked."""

    def pages(request: httpx.Request) -> httpx.Response:
        last = int(request.url.params.get("last", "0"))
        more = {"Link": f'</v2/ns/one/tags/list?last={last + 1}>; rel="next"'} if last < 3 else {}
        return httpx.Response(200, json={"tags": [f"t{last}"]}, headers=more)

    registry = MemoryRegistry(before=pages)

    assert anyio.run(repository(registry).tags) == ("t0", "t1", "t2", "t3")
    registry.before = lambda _: httpx.Response(
        200, json={"tags": []}, headers={"Link": "<https://evil.example/>; rel=next"}
    )
    with pytest.raises(OutputError, match=r"at another host, evil\.example"):
        anyio.run(repository(registry).tags)
