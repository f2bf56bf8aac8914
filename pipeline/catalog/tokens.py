"""Log in where a registry asks for it: RFC 7617 Basic, or a token of the distribution specification.

Formats: distribution `docs/spec/auth/token.md` and `oauth.md`. A registry names the service that hands out its tokens;
the login goes there only by HTTPS, and only where that service is of the registry's own domain or named in agc.toml.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Collection
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pipeline.catalog.credentials import IDENTITY, Credentials, variables
from pipeline.catalog.wire import Answer, Call, origin, place, raise_for_status, send
from pipeline.errors import OutputError

if TYPE_CHECKING:
    import httpx

_SCHEME = re.compile(r"(?:^|,)\s*(bearer|basic)(?:\s|$)", re.IGNORECASE)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_LEAST_SHARED = 2


def login_remedy(registry: str) -> str:
    """Return how to log in to a registry."""
    name, secret = variables(registry)
    return f"docker login {registry}, or set {name} and {secret}"


async def authorize(
    answer: Answer,
    scopes: Collection[str],
    client: httpx.AsyncClient,
    registry: str,
    credentials: Credentials | None,
    token_hosts: Collection[str] = (),
) -> str:
    """Return the Authorization header that `answer`, a 401, asks for.

    Raises OutputError where a login is wanted and there is none, or it may not be sent where it is wanted.
    """
    challenge = answer.headers.get("WWW-Authenticate", "")
    offered = {found.lower() for found in _SCHEME.findall(challenge)}
    if "bearer" in offered:
        return f"Bearer {await _token(answer, challenge, scopes, client, registry, credentials, token_hosts)}"
    if "basic" not in offered:
        raise OutputError(f"{registry}: the registry wants a login of a kind that is not known")
    if credentials is None or credentials.username == IDENTITY:
        raise OutputError(f"{registry}: the registry wants a login", remedy=login_remedy(registry))
    return _basic(credentials)


async def _token(
    answer: Answer,
    challenge: str,
    scopes: Collection[str],
    client: httpx.AsyncClient,
    registry: str,
    credentials: Credentials | None,
    token_hosts: Collection[str],
) -> str:
    import httpx  # loaded by now

    told = dict(_PARAMETER.findall(challenge))
    try:
        realm = httpx.URL(told.get("realm", ""))
    except (httpx.InvalidURL, ValueError) as error:
        raise OutputError(f"{registry}: the registry names no token service") from error
    _check_realm(realm, answer.url, registry, credentials, token_hosts)
    asked = [("service", told["service"])] if told.get("service") else []
    wanted = sorted(scopes) or [told.get("scope", "")]
    if credentials and credentials.username == IDENTITY:
        form = [("grant_type", "refresh_token"), ("client_id", "agc"), ("refresh_token", credentials.secret)]
        body = urlencode([*form, *asked, ("scope", " ".join(wanted))]).encode()
        call = Call("POST", realm, {"Content-Type": "application/x-www-form-urlencoded"}, body)
        granted = await send(client, call, "")
    else:
        params = [*realm.params.multi_items(), *asked, *(("scope", scope) for scope in wanted if scope)]
        call = Call("GET", realm.copy_with(params=params))
        granted = await send(client, call, _basic(credentials) if credentials else "")
    raise_for_status(call, granted, {200}, remedy=login_remedy(registry))
    document = granted.document()
    token = (document.get("token") or document.get("access_token")) if isinstance(document, dict) else None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise OutputError(f"{place(realm)}: the token service answered with no token")
    return token


def _basic(credentials: Credentials) -> str:
    return "Basic " + b64encode(f"{credentials.username}:{credentials.secret}".encode()).decode()


def _check_realm(
    realm: httpx.URL, registry_url: httpx.URL, registry: str, credentials: Credentials | None, trusted: Collection[str]
) -> None:
    """Raise OutputError where a login may not go to `realm`."""
    if realm.scheme not in {"http", "https"} or not realm.host or realm.userinfo:
        raise OutputError(f"{registry}: the registry names no token service")
    if realm.scheme == "http" and registry_url.scheme == "https":
        raise OutputError(f"{registry}: the registry names a token service without TLS, {place(realm)}")
    if credentials is None or origin(realm) == origin(registry_url) or realm.host in trusted:
        return
    if not _related(registry_url.host, realm.host):
        raise OutputError(
            f"{registry}: the registry wants its login sent to another host, {place(realm)}",
            remedy=f'if that is right, add token-hosts = ["{realm.host}"] to [publish] in agc.toml',
        )


def _related(registry: str, realm: str) -> bool:
    """Tell whether the token service is below the registry's name, or below or at the domain that name is in.

    A domain is of two labels at least.
    """
    if registry == realm or _is_address(registry) or _is_address(realm):
        return registry == realm
    above = registry.partition(".")[2]
    shared = next((name for name in (registry, above) if name and f".{realm}".endswith(f".{name}")), "")
    return len(shared.split(".")) >= _LEAST_SHARED


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
