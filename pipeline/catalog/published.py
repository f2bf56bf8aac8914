"""What a registry holds of an image: its manifests, and what the labels in its configs say it is made of.

Rules kept here: every document is checked against the digest it was asked by, none may be larger than 4 MiB (what the
specification asks registries to accept), and a tag that is not there is an answer, not a failure.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.login import authorize
from pipeline.catalog.record import ImageRecord, LayerRecord, PlatformRecord, per_blob
from pipeline.compose.labels import GRAPH_LABEL, ROOT_LABEL, read_layers, read_version, settings_of
from pipeline.digest import Digest, digest_bytes
from pipeline.errors import AgcError, OutputError, ResolveError
from pipeline.resolve.oci import MANIFEST_TYPES, Reference

if TYPE_CHECKING:
    import httpx

_SIZE_LIMIT = 4 << 20
_NOT_FOUND = 404


@dataclass(slots=True)
class _Repository:
    """A repository that is read; it logs in once, when it is asked to."""

    reference: Reference
    client: httpx.AsyncClient
    credentials: Credentials | None
    authorization: str = ""

    async def document(self, kind: str, name: str) -> tuple[Digest, dict[str, Any]] | None:
        """Return digest and content of a manifest or blob, None where it is not there."""
        content = await self._fetch(f"{self.reference.base_url}/{kind}/{name}")
        if content is None:
            return None
        digest = digest_bytes(content)
        if name.startswith("sha256:") and digest != name:
            raise ResolveError(f"{self._shown(name)}: the registry answered with {digest}")
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ResolveError(f"{self._shown(name)}: the registry did not answer with JSON") from error
        if not isinstance(document, dict):
            raise ResolveError(f"{self._shown(name)}: the registry did not answer with an object")
        return digest, document

    async def needed(self, kind: str, name: str) -> dict[str, Any]:
        """Return a document that another one names; raises ResolveError where it is not there."""
        if found := await self.document(kind, name):
            return found[1]
        raise ResolveError(f"{self._shown(name)} is named by its image and not in the registry")

    async def _fetch(self, url: str) -> bytes | None:
        import httpx  # slow to import, and a plan without --against asks no registry

        registry = self.reference.registry
        try:
            answer, content = await self._get(url)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self.authorization = await authorize(answer, self.reference, self.client, self.credentials, to="pull")
                answer, content = await self._get(url)
            if answer.status_code == _NOT_FOUND:
                return None
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            refused = f"{self.reference.repository}: {registry} answers with HTTP {error.response.status_code}"
            raise ResolveError(refused, remedy="docker login, where the repository is there") from error
        except (httpx.HTTPError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise ResolveError(f"{registry} cannot be asked: {reason}", remedy="check name and network") from error
        except OutputError as error:
            raise ResolveError(error.message, remedy=error.remedy) from error
        return content

    async def _get(self, url: str) -> tuple[httpx.Response, bytes]:
        headers = {"Accept": MANIFEST_TYPES}
        if self.authorization:
            headers["Authorization"] = self.authorization
        content = bytearray()
        async with self.client.stream("GET", url, headers=headers) as answer:
            async for part in answer.aiter_bytes():
                content += part
                if len(content) > _SIZE_LIMIT:
                    raise ResolveError(f"{url} is larger than 4 MiB, which no manifest or config is")
        return answer, bytes(content)

    def _shown(self, name: str) -> str:
        return f"{self.reference.registry}/{self.reference.repository}@{name}"


async def tag_digest(reference: Reference, client: httpx.AsyncClient, credentials: Credentials | None) -> Digest | None:
    """Return the digest of what `reference` names, None where it names nothing; raises ResolveError."""
    found = await _Repository(reference, client, credentials).document("manifests", reference.tag)
    return found[0] if found else None


async def read_published(
    reference: Reference, platforms: Collection[str], client: httpx.AsyncClient, credentials: Credentials | None
) -> ImageRecord | None:
    """Return what `reference` names, on those of `platforms` it has; None where it names nothing.

    Raises ResolveError where the registry cannot be reached, refuses, or answers with what is no image.
    """
    repository = _Repository(reference, client, credentials)
    found = await repository.document("manifests", reference.tag)
    if found is None:
        return None
    digest, document = found
    name = f"{reference.registry}/{reference.repository}"
    try:
        if "manifests" in document:
            wanted = {key: entry for key, entry in _entries(document).items() if key in platforms}
            records = {
                key: (await _platform(repository, entry, await repository.needed("manifests", entry)))[1]
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


async def _platform(repository: _Repository, digest: Digest, manifest: Mapping[str, Any]) -> tuple[str, PlatformRecord]:
    """Return an image on one platform, and which that is."""
    config = Digest(manifest["config"]["digest"])
    document = await repository.needed("blobs", config)
    told = document.get("config") or {}
    labels = told.get("Labels") or {}
    record = PlatformRecord(
        digest=digest,
        config=config,
        graph_digest=labels.get(GRAPH_LABEL, ""),
        layers=_layers(labels, manifest["layers"], repository.reference.repository),
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
