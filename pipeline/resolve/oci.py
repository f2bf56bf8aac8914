"""Resolve a registry image's tag to digests (OCI distribution-spec v1.1, `GET /v2/<name>/manifests/<tag>`)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.digest import Digest, digest_bytes
from pipeline.errors import ResolveError
from pipeline.resolve.pins import ImagePin

if TYPE_CHECKING:
    import httpx

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_DOCKER_HUB = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference taken apart."""

    registry: str
    repository: str
    tag: str

    @property
    def base_url(self) -> str:
        """The registry's API address: plain HTTP for loopback, HTTPS for all others, as Docker does it."""
        host = _DOCKER_HUB if self.registry == "docker.io" else self.registry
        loopback = host.partition(":")[0] in {"localhost", "127.0.0.1"}
        return f"{'http' if loopback else 'https'}://{host}/v2/{self.repository}"


def parse_reference(ref: str) -> Reference:
    """Return the parts of `registry/repository:tag`."""
    registry, _, rest = ref.partition("/")
    repository, _, tag = rest.partition(":")
    return Reference(registry, repository, tag)


async def resolve_image(ref: str, platforms: Sequence[str], client: httpx.AsyncClient) -> ImagePin:
    """Return the digests `ref` has now; raises ResolveError where the registry cannot be reached or refuses."""
    reference = parse_reference(ref)
    content = await _get(reference, f"manifests/{reference.tag}", client)
    document = _json(content, reference)
    if "manifests" not in document:
        raise ResolveError(f"{ref} is an image for one platform; give a tag that has an index")
    try:
        return ImagePin(ref=ref, index=digest_bytes(content), platforms=_platforms(document, platforms, ref))
    except (ValidationError, AttributeError, KeyError) as error:
        raise ResolveError(f"{ref}: {reference.registry} answered with an index that cannot be read") from error


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What the config of an image says: its environment, and when it was made, where that is said."""

    variables: Mapping[str, str]
    created: datetime | None


async def image_settings(ref: str, manifest: Digest, client: httpx.AsyncClient) -> ImageSettings:
    """Return what the config of the image `manifest` of `ref`'s repository says; raises ResolveError."""
    reference = parse_reference(ref)
    document = _json(await _get(reference, f"manifests/{manifest}", client, manifest), reference)
    try:
        digest = Digest(document["config"]["digest"])
        config = _json(await _get(reference, f"blobs/{digest}", client, digest), reference)
        variables = config.get("config", {}).get("Env") or []
        named = (str(item).partition("=") for item in variables)
        return ImageSettings({name: value for name, _, value in named}, _time(config.get("created")))
    except (AttributeError, KeyError, TypeError) as error:
        raise ResolveError(f"{ref}: {reference.registry} answered with an image that cannot be read") from error


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return None


async def _get(reference: Reference, path: str, client: httpx.AsyncClient, digest: Digest | None = None) -> bytes:
    """Return what the registry holds at `path` of a repository; with `digest`, only if that is what it is."""
    import httpx  # slow to import, and a build that finds all it needs locked never asks a registry

    url = f"{reference.base_url}/{path}"
    try:
        answer = await client.get(url, headers={"Accept": MANIFEST_TYPES})
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            token = await bearer_token(answer, client)
            answer = await client.get(url, headers={"Accept": MANIFEST_TYPES, "Authorization": f"Bearer {token}"})
        answer.raise_for_status()
    except (httpx.HTTPError, ValueError) as error:
        shown = f"{reference.registry}/{reference.repository}:{reference.tag}"
        raise ResolveError(f"{shown}: {reference.registry} cannot be asked: {_reason(error)}") from error
    if digest and digest_bytes(answer.content) != digest:
        raise ResolveError(f"{reference.registry} answered with something else than {digest}")
    return answer.content


def _json(content: bytes, reference: Reference) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        shown = f"{reference.registry}/{reference.repository}:{reference.tag}"
        raise ResolveError(f"{shown}: {reference.registry} cannot be asked: it did not answer with JSON") from error
    return document if isinstance(document, dict) else {}


def _platforms(document: Mapping[str, object], platforms: Sequence[str], ref: str) -> dict[str, Digest]:
    found: dict[str, Digest] = {}
    entries = document["manifests"]
    for entry in entries if isinstance(entries, list) else ():
        platform = entry.get("platform", {})
        name = f"{platform.get('os')}/{platform.get('architecture')}"
        if name in platforms:
            found.setdefault(name, Digest(entry["digest"]))
    lacking = [name for name in platforms if name not in found]
    if lacking:
        raise ResolveError(f"{ref} has no image for {', '.join(lacking)}")
    return found


async def bearer_token(
    answer: httpx.Response, client: httpx.AsyncClient, *, scope: str = "", auth: httpx.Auth | None = None
) -> str:
    """Return the token that the challenge in `answer` asks for (distribution token authentication).

    `scope` replaces the one the registry names; without `auth` the token is an anonymous one. Raises httpx.HTTPError.
    """
    challenge = dict(_CHALLENGE.findall(answer.headers.get("WWW-Authenticate", "")))
    realm = challenge.pop("realm", None)
    if realm is None:
        answer.raise_for_status()
    granted = await client.get(str(realm), params=challenge | ({"scope": scope} if scope else {}), auth=auth)
    granted.raise_for_status()
    document = granted.json()
    return str(document.get("token") or document.get("access_token"))


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
