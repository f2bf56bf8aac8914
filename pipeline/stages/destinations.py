"""Registries that a run publishes to: one session and one record of blobs each, whatever number of images go there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.catalog.record import Catalog
from pipeline.catalog.repository import Repository
from pipeline.catalog.session import Session, open_session
from pipeline.catalog.stock import Stock
from pipeline.digest import Digest
from pipeline.errors import UsageError
from pipeline.resolve.oci import parse_reference
from pipeline.settings import Settings
from pipeline.stages.workbench import Workbench

if TYPE_CHECKING:
    import httpx

_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")


def parse_destination(text: str) -> str:
    """Return `REGISTRY/NAMESPACE` without slashes around it; raises UsageError where it is none."""
    namespace = text.strip("/")
    registry, *parts = namespace.split("/")
    is_host = bool(_HOST.fullmatch(registry)) and ("." in registry or ":" in registry or registry == "localhost")
    if not is_host or not all(_PART.fullmatch(part) for part in parts):
        raise UsageError(
            f"{text!r} is no place to publish to", remedy="write REGISTRY/NAMESPACE in lower case, as in ghcr.io/me"
        )
    return namespace


@dataclass(frozen=True, slots=True)
class Port:
    """A registry that is published to."""

    session: Session
    stock: Stock


@dataclass(frozen=True, slots=True)
class Destinations:
    """The registries of a run, by host."""

    ports: Mapping[str, Port]

    def repository(self, namespace: str, name: str) -> tuple[Repository, Stock]:
        """Return where the image `name` goes in a namespace of one of the registries."""
        registry, _, path = namespace.partition("/")
        port = self.ports[registry]
        return Repository(port.session, f"{path}/{name}" if path else name), port.stock


NOWHERE = Destinations({})


@asynccontextmanager
async def open_destinations(
    namespaces: Collection[str], bench: Workbench, catalog: Catalog | None = None
) -> AsyncIterator[Destinations]:
    """Yield the registries of `namespaces`; see `open_ports`."""
    if not namespaces:
        yield NOWHERE
        return
    async with bench.http_client() as client:
        yield await open_ports(namespaces, client, bench.settings, catalog)


async def open_ports(
    namespaces: Collection[str], client: httpx.AsyncClient, settings: Settings, catalog: Catalog | None = None
) -> Destinations:
    """Return the registries of `namespaces`; what `catalog` says lies there is asked for before anything is sent.

    Raises OutputError where credentials cannot be read.
    """
    ports = {}
    for registry in dict.fromkeys(namespace.partition("/")[0] for namespace in namespaces):
        base = parse_reference(f"{registry}/any:latest").base_url
        session = await open_session(registry, base, client, token_hosts=settings.publish.token_hosts)
        ports[registry] = Port(session, Stock(_hints(registry, catalog)))
    return Destinations(ports)


def _hints(registry: str, catalog: Catalog | None) -> Mapping[Digest, Collection[str]]:
    """Return the repositories of a registry that have a blob, as the catalog has it."""
    found: dict[Digest, dict[str, None]] = {}
    for image in catalog.images.values() if catalog else ():
        names = [name.removeprefix(f"{registry}/") for name in image.repositories if name.startswith(f"{registry}/")]
        for platform in image.platforms.values():
            for layer in platform.layers:
                found.setdefault(layer.digest, {}).update(dict.fromkeys(names))
    return {digest: tuple(names) for digest, names in found.items() if names}
