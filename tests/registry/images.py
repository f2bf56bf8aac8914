"""Small images in OCI layouts, made without an engine, and their publishing."""

from __future__ import annotations

import gc
import random
import ssl
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
import httpx

from pipeline.catalog.credentials import Credentials
from pipeline.catalog.patience import Patience
from pipeline.catalog.publish import Consignment, Published, publish_image
from pipeline.catalog.repository import Repository
from pipeline.catalog.session import Session
from pipeline.catalog.side_by_side import side_by_side
from pipeline.catalog.stock import Stock
from pipeline.digest import Digest
from pipeline.engine.layout import Descriptor, write_image
from pipeline.resolve.tags import Tags
from pipeline.supply.artifact import Artifact, Blob

QUICK = Patience(whole=20.0, first=0.01, longest=0.1, stranger=1.0)
TAGS = Tags(fixed=("2026.11.21",), moving=("1.0", "latest"))


def blob(name: str, size: int = 2000) -> bytes:
    """Return bytes that are the same for the same name, and do not compress."""
    return random.Random(name).randbytes(size)  # noqa: S311  # no secret


def image(
    layout: Path, layers: Sequence[bytes], platforms: Sequence[str] = ("linux/amd64", "linux/arm64")
) -> Consignment:
    """Write an image of `layers` for each platform into a layout."""
    manifests: dict[str, Digest] = {}
    for platform in platforms:
        system, _, architecture = platform.partition("/")
        config = {"architecture": architecture, "os": system, "config": {}}
        manifests[platform] = write_image(layout, platform, config, layers)
    return Consignment(layout, manifests)


def about(subject: Descriptor, text: str, kind: str = "application/vnd.example.note") -> Artifact:
    """Return an artifact that says `text` of what it refers to."""
    return Artifact(kind, (Blob("text/plain", text.encode()),), subject=subject, annotations={"note": text})


def publish(
    images: Mapping[str, Consignment],
    address: str,
    tags: Tags = TAGS,
    patience: Patience = QUICK,
    credentials: Credentials | None = None,
    ca: Path | None = None,
    hints: Mapping[Digest, Sequence[str]] | None = None,
) -> dict[str, Published]:
    """Publish images by name into `address` (`host/namespace`), side by side, as one run does."""
    registry, _, namespace = address.partition("/")
    scheme = "http" if registry.startswith(("localhost", "127.0.0.1:")) else "https"
    done: dict[str, Published] = {}

    async def choose(_repository: Repository, _digest: Digest) -> Tags:
        return tags

    async def work() -> None:
        trusted = ssl.create_default_context(cafile=str(ca)) if ca else True
        async with httpx.AsyncClient(verify=trusted, trust_env=False) as client:
            base = httpx.URL(f"{scheme}://{registry}")
            session = Session(registry, base, client, credentials, patience)
            stock = Stock(hints or {})

            async def one(name: str, item: Consignment) -> None:
                done[name] = await publish_image(item, Repository(session, f"{namespace}/{name}"), stock, choose)

            await side_by_side([partial(one, name, item) for name, item in images.items()])

    try:
        anyio.run(work)
    finally:
        # asyncio leaves what broke in a TLS handshake to the collector, which would come in the middle of another test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return done
