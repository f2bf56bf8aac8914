"""Put an image index under a tag (OCI distribution-spec v1.1, `PUT /v2/<name>/manifests/<reference>`).

Its platform manifests are there already: the engine pushed them by digest. The tag moves with this one request, so it
never names an image of which a platform is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.login import authorize
from pipeline.digest import Digest, digest_bytes
from pipeline.engine.layout import INDEX_TYPE
from pipeline.errors import OutputError
from pipeline.resolve.oci import Reference

if TYPE_CHECKING:
    import httpx


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
            headers["Authorization"] = await authorize(answer, reference, client, credentials, to="pull,push")
            answer = await client.put(address, content=index, headers=headers)
    except (httpx.HTTPError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise OutputError(f"{repository}:{tag} could not be pushed: {reason}") from error
    if not answer.is_success:
        raise OutputError(
            f"{repository}:{tag} could not be pushed: the registry says HTTP {answer.status_code}",
            remedy="docker login" if answer.status_code in {_UNAUTHORIZED, 403} else "",
        )
    kept = answer.headers.get("Docker-Content-Digest", digest_bytes(index))
    if kept != digest_bytes(index):
        raise OutputError(f"{repository}:{tag}: the registry kept {kept} of {digest_bytes(index)}")
    return digest_bytes(index)
