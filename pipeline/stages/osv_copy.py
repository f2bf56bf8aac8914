"""A copy of OSV's data that is fetched from an address, kept in the cache, and asked for again by its ETag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from pipeline.errors import DatabaseError
from pipeline.files import write_text
from pipeline.settings import Settings
from pipeline.stages.workbench import http_client
from pipeline.verify.vulnerabilities.component import read_components
from pipeline.verify.vulnerabilities.finding import ScanResult
from pipeline.verify.vulnerabilities.osv import OsvScanner, wanted_of

if TYPE_CHECKING:
    import httpx

LIMIT = 4 << 30
_ARCHIVE = "all.zip"
_TAG = "etag"
_NOT_MODIFIED = 304
_OK = 200
_REMEDY = "check `osv` in the [gate] table of agc.toml, and the network: agc doctor"


@dataclass(frozen=True, slots=True)
class FetchedOsv:
    """The scanner on OSV's data at `settings.gate.osv`, of which it fetches what an SBOM needs."""

    settings: Settings

    async def scan(self, sbom: Path) -> ScanResult:
        """Fetch what is new of the ecosystems in `sbom`, and look; raises DatabaseError where that cannot be had."""
        components = await anyio.to_thread.run_sync(read_components, sbom)
        folder = self.settings.cache / "gate" / "osv"
        ecosystems = sorted({wanted.ecosystem for item in components if (wanted := wanted_of(item))})
        async with http_client(self.settings) as client:
            for name in ecosystems:
                await _fetch(client, f"{self.settings.gate.osv_url.rstrip('/')}/{name}/all.zip", folder / name)
        return await OsvScanner(folder, self.settings.cache / "gate").scan(sbom)


async def _fetch(client: httpx.AsyncClient, url: str, folder: Path) -> None:
    """Bring `folder`/all.zip up to date; what is there stays as it was until the whole of the new one is."""
    import httpx

    new = folder / ".new.zip"
    try:
        known = _known(folder)
        async with client.stream("GET", url, headers=known) as response:
            if response.status_code == _NOT_MODIFIED:
                return
            if response.status_code != _OK:
                raise DatabaseError(f"{url} answered {response.status_code}", remedy=_REMEDY)
            with new.open("wb") as file:
                async for chunk in response.aiter_bytes():
                    file.write(chunk)
                    if file.tell() > LIMIT:
                        raise DatabaseError(f"{url} has more than 4 GiB", remedy=_REMEDY)
        # The old tag goes first: beside the new archive it would say that the next one is this one.
        (folder / _TAG).unlink(missing_ok=True)
        new.replace(folder / _ARCHIVE)
        write_text(folder / _TAG, response.headers.get("etag", ""))
    except httpx.HTTPError as error:
        raise DatabaseError(f"{url}: {error or type(error).__name__}", remedy=_REMEDY) from error
    except OSError as error:
        raise DatabaseError(f"{folder}: {error.strerror}", remedy="make room, or set another `cache`") from error
    finally:
        new.unlink(missing_ok=True)


def _known(folder: Path) -> dict[str, str]:
    """Return the header that asks only for something newer than what is there; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tag = folder / _TAG
    if not (folder / _ARCHIVE).is_file() or not tag.is_file():
        return {}
    text = tag.read_text(encoding="utf-8")
    return {"If-None-Match": text} if text else {}
