"""Log in where a registry asks for it: RFC 7617 Basic, or a token of the distribution specification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.catalog.credentials import Credentials
from pipeline.errors import OutputError
from pipeline.resolve.oci import Reference, bearer_token

if TYPE_CHECKING:
    import httpx


async def authorize(
    answer: httpx.Response, reference: Reference, client: httpx.AsyncClient, credentials: Credentials | None, *, to: str
) -> str:
    """Return the Authorization header that `answer` asks for; `to` is what for, `pull` or `pull,push`.

    Raises OutputError where a login is wanted and there is none, httpx.HTTPError where no token is given.
    """
    import httpx  # slow to import, and most builds speak to no registry

    basic = httpx.BasicAuth(credentials.username, credentials.secret) if credentials else None
    if answer.headers.get("WWW-Authenticate", "").lower().startswith("basic"):
        if basic is None:
            raise OutputError(f"{reference.repository}: the registry wants a login", remedy="docker login")
        return next(basic.auth_flow(httpx.Request("GET", "http://registry"))).headers["Authorization"]
    scope = f"repository:{reference.repository}:{to}"
    return f"Bearer {await bearer_token(answer, client, scope=scope, auth=basic)}"
