"""Ask a server whether a pinned file is still there, to tell a file that is gone from one that was changed.

BuildKit hashes the body of an error page like any other, so a 404 on a pinned source reads as a digest mismatch.
"""

from __future__ import annotations

import ssl
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from pipeline.engine.buildkit.lowering import Wiring

if TYPE_CHECKING:
    import httpx

_SECONDS = 10.0
_GONE = frozenset({404, 410})
_REFUSED = 400


async def probe(url: str, wiring: Wiring, ca_bundle: Path | None) -> int | str:
    """Return the HTTP status that the mirror of the public `url` answers with, or why there was no answer."""
    import httpx  # needed after a failure only, and it takes longer to import than all of this package

    try:
        context = ssl.create_default_context(cafile=ca_bundle)
        with anyio.fail_after(_SECONDS):
            async with httpx.AsyncClient(
                follow_redirects=True, timeout=_SECONDS, trust_env=False, verify=context, mounts=routes(wiring)
            ) as client:
                return await _status(client, wiring.mirrored(url))
    except (TimeoutError, httpx.TimeoutException):
        return f"no answer within {_SECONDS:.0f} seconds"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return str(error) or type(error).__name__


async def _status(client: httpx.AsyncClient, url: str) -> int:
    answer = await client.head(url)
    if answer.status_code < _REFUSED or answer.status_code in _GONE:
        return answer.status_code
    # Some servers refuse HEAD; the body is not read, for some send all of it whatever range is asked for.
    async with client.stream("GET", url, headers={"Range": "bytes=0-0"}) as got:
        return got.status_code


def routes(wiring: Wiring) -> dict[str, httpx.AsyncHTTPTransport | None]:
    """Return through which transport each pattern of URLs goes, as httpx wants it; None is the direct way."""
    import httpx  # as above

    proxied: dict[str, httpx.AsyncHTTPTransport | None] = {
        f"{scheme}://": httpx.AsyncHTTPTransport(proxy=proxy)
        for scheme in ("http", "https")
        if (proxy := wiring.proxies.get(f"{scheme}_proxy"))
    }
    # A range of addresses (`10.0.0.0/8`) cannot be said to httpx.
    hosts = (host.strip() for host in wiring.proxies.get("no_proxy", "").split(","))
    exempt = [host for host in hosts if host and "/" not in host]
    if "*" in exempt:
        return {}
    return proxied | dict.fromkeys(map(_pattern, exempt))


def _pattern(host: str) -> str:
    """Return what httpx calls the hosts that an entry of `no_proxy` covers: a name covers its subdomains too."""
    try:
        address = ip_address(host)
    except ValueError:
        return "all://localhost" if host == "localhost" else f"all://*{host.removeprefix('*')}"
    return f"all://[{host}]" if isinstance(address, IPv6Address) else f"all://{host}"
