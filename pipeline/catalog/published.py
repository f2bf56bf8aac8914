"""What a registry holds of an image: its manifests, and what the labels in its configs say it is made of.

Rules kept here: every document is checked against the digest it was asked by, none may be larger than 4 MiB (what the
specification asks registries to accept), and a tag that is not there is an answer, not a failure.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.patience import Patience
from pipeline.catalog.record import ImageRecord, LayerRecord, PlatformRecord, per_blob
from pipeline.catalog.repository import Repository
from pipeline.catalog.session import Session
from pipeline.catalog.wire import RefusalError
from pipeline.compose.labels import GRAPH_LABEL, ROOT_LABEL, read_layers, read_version, settings_of
from pipeline.digest import Digest, digest_bytes
from pipeline.errors import AgcError, OutputError, ResolveError
from pipeline.resolve.oci import Reference

if TYPE_CHECKING:
    import httpx

READING = Patience(whole=15.0, stranger=2.0)
"""A plan is asked for again by a person; it need not be had at any price."""


async def _document(repository: Repository, kind: str, name: str) -> tuple[Digest, dict[str, Any]] | None:
    """Return digest and content of a manifest or blob, None where it is not there; raises ResolveError."""
    try:
        content = await _content(repository, kind, name)
        document = None if content is None else json.loads(content)
    except RefusalError as error:
        refused = f"{repository.name}: {repository.session.registry} answers with HTTP {error.status}"
        raise ResolveError(refused, remedy="docker login, where the repository is there") from error
    except OutputError as error:
        reason = error.message
        raise ResolveError(
            f"{repository.session.registry} cannot be asked: {reason}", remedy=error.remedy or "check name and network"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResolveError(f"{repository}@{name}: the registry did not answer with JSON") from error
    if content is None:
        return None
    if not isinstance(document, dict):
        raise ResolveError(f"{repository}@{name}: the registry did not answer with an object")
    return digest_bytes(content), document


async def _content(repository: Repository, kind: str, name: str) -> bytes | None:
    if kind == "manifests":
        found = await repository.manifest(name)
        return found.content if found else None
    return await repository.blob(Digest(name))


async def _needed(repository: Repository, kind: str, name: str) -> dict[str, Any]:
    """Return a document that another one names; raises ResolveError where it is not there."""
    if found := await _document(repository, kind, name):
        return found[1]
    raise ResolveError(f"{repository}@{name} is named by its image and not in the registry")


def _repository(
    reference: Reference, client: httpx.AsyncClient, credentials: Credentials | None, patience: Patience
) -> Repository:
    import httpx  # slow to import, and a plan without --against asks no registry

    session = Session(reference.registry, httpx.URL(reference.base_url), client, credentials, patience)
    return Repository(session, reference.repository, access="pull")


async def read_published(
    reference: Reference,
    platforms: Collection[str],
    client: httpx.AsyncClient,
    credentials: Credentials | None,
    patience: Patience = READING,
) -> ImageRecord | None:
    """Return what `reference` names, on those of `platforms` it has; None where it names nothing.

    Raises ResolveError where the registry cannot be reached, refuses, or answers with what is no image.
    """
    repository = _repository(reference, client, credentials, patience)
    found = await _document(repository, "manifests", reference.tag)
    if found is None:
        return None
    digest, document = found
    name = f"{reference.registry}/{reference.repository}"
    try:
        if "manifests" in document:
            wanted = {key: entry for key, entry in _entries(document).items() if key in platforms}
            records = {
                key: (await _platform(repository, entry, await _needed(repository, "manifests", entry)))[1]
                for key, entry in wanted.items()
            }
        else:
            records = dict([await _platform(repository, digest, document)])
        return ImageRecord(digest=digest, repositories=(name,), tags=(reference.tag,), platforms=records)
    except (ValidationError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ResolveError(f"{name}:{reference.tag} is no image that can be read") from error


def _entries(index: Mapping[str, Any]) -> dict[str, Digest]:
    """Return the manifest of each platform; attestations stand beside them under an unknown one."""
    found: dict[str, Digest] = {}
    for entry in index["manifests"]:
        platform = entry.get("platform", {})
        found.setdefault(f"{platform.get('os')}/{platform.get('architecture')}", Digest(entry["digest"]))
    return found


async def _platform(repository: Repository, digest: Digest, manifest: Mapping[str, Any]) -> tuple[str, PlatformRecord]:
    """Return an image on one platform, and which that is."""
    config = Digest(manifest["config"]["digest"])
    document = await _needed(repository, "blobs", config)
    told = document.get("config") or {}
    labels = told.get("Labels") or {}
    record = PlatformRecord(
        digest=digest,
        config=config,
        graph_digest=labels.get(GRAPH_LABEL, ""),
        layers=_layers(labels, manifest["layers"], repository.name),
        settings=settings_of(told),
    )
    return f"{document['os']}/{document['architecture']}", record


def _layers(labels: Mapping[str, str], blobs: list[Mapping[str, Any]], name: str) -> tuple[LayerRecord, ...]:
    """Return the layers that the labels tell of; none where they tell of none, or of more than there are."""
    try:
        held = per_blob(read_layers(labels), len(blobs), name)
    except AgcError:
        return ()
    return tuple(
        LayerRecord(
            component=component,
            graph_digest=graph_digest,
            digest=Digest(blob["digest"]),
            size=blob["size"],
            version=read_version(labels, component),
            pin=labels.get(ROOT_LABEL, "") if component.startswith("roots/") else "",
        )
        for (component, graph_digest), blob in zip(held, blobs, strict=False)
    )
