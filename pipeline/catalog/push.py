"""Put an image index under a tag (OCI distribution-spec v1.1, `PUT /v2/<name>/manifests/<reference>`).

Its platform manifests are there already: the engine pushed them by digest. The tag moves with this one request, so it
never names an image of which a platform is missing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.catalog.credentials import Credentials
from pipeline.digest import Digest, digest_bytes
from pipeline.errors import OutputError
from pipeline.resolve.oci import Reference

if TYPE_CHECKING:
    import httpx

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_UNAUTHORIZED = 401


async def push_index(
    reference: Reference, index: bytes, client: httpx.AsyncClient, credentials: Credentials | None
) -> Digest:
    """Put `index` under `reference` and return its digest.

    Raises OutputError where the registry refuses it, or keeps something else than what was sent.
    """
    import httpx  # slow to import, and most builds push nothing

    address = f"{reference.base_url}/manifests/{reference.tag}"
    repository, tag = reference.repository, reference.tag
    headers = {"Content-Type": INDEX_TYPE}
    try:
        answer = await client.put(address, content=index, headers=headers)
        if answer.status_code == _UNAUTHORIZED:
            challenge = answer.headers.get("WWW-Authenticate", "")
            headers["Authorization"] = await _authorize(challenge, repository, client, credentials)
            answer = await client.put(address, content=index, headers=headers)
    except httpx.HTTPError as error:
        raise OutputError(f"{repository}:{tag} could not be pushed: {error or type(error).__name__}") from error
    if not answer.is_success:
        raise OutputError(
            f"{repository}:{tag} could not be pushed: the registry says HTTP {answer.status_code}",
            remedy="docker login" if answer.status_code in {_UNAUTHORIZED, 403} else "",
        )
    kept = answer.headers.get("Docker-Content-Digest", digest_bytes(index))
    if kept != digest_bytes(index):
        raise OutputError(f"{repository}:{tag}: the registry kept {kept} of {digest_bytes(index)}")
    return digest_bytes(index)


async def _authorize(
    challenge: str, repository: str, client: httpx.AsyncClient, credentials: Credentials | None
) -> str:
    """Return the Authorization header a challenge asks for (RFC 7617 Basic, distribution-spec token Bearer)."""
    import httpx  # as above

    basic = httpx.BasicAuth(credentials.username, credentials.secret) if credentials else None
    if challenge.lower().startswith("basic"):
        if basic is None:
            raise OutputError(f"{repository}: the registry wants a login", remedy="docker login")
        return next(basic.auth_flow(httpx.Request("GET", "http://registry"))).headers["Authorization"]
    fields = dict(_CHALLENGE.findall(challenge))
    scope = {"service": fields.get("service", ""), "scope": f"repository:{repository}:pull,push"}
    granted = await client.get(fields.get("realm", ""), params=scope, auth=basic)
    if not granted.is_success:
        raise OutputError(f"{repository}: the registry gave no token for pushing", remedy="docker login")
    document = granted.json()
    return f"Bearer {document.get('token') or document.get('access_token')}"
