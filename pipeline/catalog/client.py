"""Read a catalog from wherever it is published: what other programs use.

from pipeline.catalog.client import load_catalog
catalog = load_catalog("https://example.com/registry/catalog.json")
print(catalog.images["node-bun-claude"].digest)
"""

from __future__ import annotations

from pathlib import Path

from pipeline.catalog.record import Catalog
from pipeline.catalog.store import parse_catalog, read_catalog
from pipeline.errors import CatalogError, Location

_LIMIT = 64 << 20
_SECONDS = 30


def load_catalog(source: str | Path) -> Catalog:
    """Return the catalog in a file or at an `https://` (or `http://`) address.

    Raises CatalogError where it is not there, is larger than 64 MiB, or cannot be read by this version.
    """
    text = str(source)
    if not text.startswith(("http://", "https://")):
        catalog = read_catalog(Path(source))
        if catalog is None:
            raise CatalogError("is not there", location=Location(text), remedy="publish something first: agc publish")
        return catalog
    return parse_catalog(_fetch(text), text)


def _fetch(address: str) -> str:
    import httpx  # who reads a file needs none of it

    content = b""
    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=_SECONDS) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _LIMIT:
                    raise CatalogError(f"is larger than {_LIMIT >> 20} MiB", location=Location(address))
        return content.decode()
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeDecodeError) as error:
        reason = str(error) or type(error).__name__
        raise CatalogError(f"cannot be read: {reason}", location=Location(address)) from error
