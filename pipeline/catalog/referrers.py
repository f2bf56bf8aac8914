"""What refers to a manifest: pushed after it, and found by its digest (distribution-spec v1.1, "Referrers").

A registry that knows the API lists a referrer once it has taken it. For the others an index under the tag `sha256-HEX`
lists them, which clients write. That index has no lock: so there is one writer for a subject, which writes
the whole set once and reads it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio

from pipeline.catalog.repository import Repository
from pipeline.catalog.side_by_side import side_by_side
from pipeline.catalog.stock import Stock, Traffic
from pipeline.catalog.upload import sources
from pipeline.catalog.wire import REDIRECTS, Call
from pipeline.digest import Digest, canonical_json, digest_bytes, hex_of
from pipeline.engine.layout import INDEX_TYPE, Descriptor
from pipeline.errors import OutputError
from pipeline.supply.artifact import Artifact
from pipeline.supply.strict_json import parse_object

_OK = 200
_NO_API = frozenset({400, 404, 405, 406, 501}) | REDIRECTS
_TRIES = 4
_PAGES = 20


def fallback_tag(subject: Digest) -> str:
    """Return the tag under which the referrers of a manifest are listed where there is no API."""
    return f"sha256-{hex_of(subject)}"


async def attach(
    artifacts: Sequence[Artifact], repository: Repository, stock: Stock, traffic: Traffic | None = None
) -> None:
    """Push artifacts and see that each is found by its subject; raises OutputError, ValueError without a subject."""
    counted = traffic or Traffic()
    by_subject: dict[Digest, list[Artifact]] = {}
    for artifact in artifacts:
        if artifact.subject is None:
            raise ValueError("a referrer names its subject")
        by_subject.setdefault(artifact.subject.digest, []).append(artifact)
    await put_artifact_blobs(artifacts, repository, stock, counted)

    async def one(subject: Digest, own: Sequence[Artifact]) -> None:
        for artifact in own:
            await repository.put_missing(artifact.descriptor, artifact.manifest)
        listed = {entry["digest"] for entry in await referrers_of_api(repository, subject) or ()}
        if not {artifact.descriptor.digest for artifact in own} <= listed:
            await _list_under_tag(subject, own, repository)

    await side_by_side([partial(one, subject, own) for subject, own in by_subject.items()])


async def put_artifact_blobs(
    artifacts: Iterable[Artifact], repository: Repository, stock: Stock, traffic: Traffic
) -> None:
    """Bring everything that artifacts name into a repository; raises OutputError."""
    blobs = {digest: data for artifact in artifacts for digest, data in artifact.blobs.items()}
    await side_by_side([partial(stock.bring, blob, repository, traffic) for blob in sources(blobs.items())])


async def find_referrers(repository: Repository, subject: Digest) -> tuple[Mapping[str, Any], ...]:
    """Return the descriptors of what refers to a manifest, from the API and the tag; raises OutputError.

    Both, because some was perhaps listed under the tag before the registry had the API.
    """
    found = [*(await referrers_of_api(repository, subject) or ()), *await _from_tag(repository, subject)]
    return tuple({entry["digest"]: entry for entry in reversed(found)}.values())


async def referrers_of_api(repository: Repository, subject: Digest) -> list[dict[str, Any]] | None:
    """Return what the API lists, page after page, None where there is none; raises OutputError.

    Some registries that have none lead to a page for people.
    """
    answer = await repository.ask("GET", f"referrers/{subject}", {_OK, *_NO_API}, follows=False)
    if answer.status != _OK or "json" not in answer.headers.get("Content-Type", "").lower():
        return None
    found = []
    for _ in range(_PAGES):
        found += _entries(answer.content, repository, subject)
        url = repository.next_page(answer, "referrers")
        if url is None:
            return found
        answer = await repository.session.ask(Call("GET", url, follows=False), repository.scopes, {_OK})
    raise OutputError(f"{repository}: the registry lists referrers without end")


async def _from_tag(repository: Repository, subject: Digest) -> list[dict[str, Any]]:
    found = await repository.manifest(fallback_tag(subject))
    return _entries(found.content, repository, subject) if found else []


def _entries(content: bytes, repository: Repository, subject: Digest) -> list[dict[str, Any]]:
    shown = f"{repository}: the list of what refers to {subject}"
    try:
        entries = parse_object(content).get("manifests")
    except ValueError as error:
        raise OutputError(f"{shown} {error}") from error
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("digest"), str) for entry in entries
    ):
        raise OutputError(f"{shown} is no index")
    return entries


async def _list_under_tag(subject: Digest, artifacts: Collection[Artifact], repository: Repository) -> None:
    """Add artifacts to the list under the tag, read it back, and do it again where another writer was faster."""
    ours = {str(artifact.descriptor.digest): _listed(artifact) for artifact in artifacts}
    for attempt in range(_TRIES):
        present = {str(entry["digest"]): entry for entry in await _from_tag(repository, subject)}
        if ours.keys() <= present.keys():
            return
        entries = [entry for _, entry in sorted({**present, **ours}.items())]
        content = _index(entries, repository, subject)
        await anyio.sleep(attempt * 0.2)
        await repository.put_manifest(content, INDEX_TYPE, fallback_tag(subject))
    if not ours.keys() <= {str(entry["digest"]) for entry in await _from_tag(repository, subject)}:
        raise OutputError(
            f"{repository}: the registry does not keep the list of what refers to {subject}",
            remedy="see that nobody else publishes this image, then run it again",
        )


def _index(entries: Sequence[Mapping[str, Any]], repository: Repository, subject: Digest) -> bytes:
    try:
        return canonical_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": list(entries)})
    except TypeError as error:
        raise OutputError(f"{repository}: the list of what refers to {subject} is no index") from error


def _listed(artifact: Artifact) -> dict[str, Any]:
    more: dict[str, Any] = {"artifactType": artifact.artifact_type or artifact.config.media_type}
    if artifact.annotations:
        more["annotations"] = dict(artifact.annotations)
    return artifact.descriptor.as_json(**more)


def described(content: bytes, media_type: str) -> Descriptor:
    """Return what names `content`."""
    return Descriptor(media_type, digest_bytes(content), len(content))
