"""Ask a registry what it has of many images, a few at a time."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

import anyio

from pipeline.catalog.credentials import find_credentials
from pipeline.catalog.published import read_published
from pipeline.catalog.record import Catalog, ImageRecord
from pipeline.errors import AgcError, UsageError
from pipeline.resolve.oci import parse_reference
from pipeline.settings import Settings
from pipeline.stages.workbench import http_client

_AT_ONCE = 8


def parse_namespace(text: str) -> str:
    """Return a registry namespace without slashes around it; raises UsageError where it is none."""
    namespace = text.strip("/")
    if not namespace or "://" in namespace or " " in namespace:
        raise UsageError(f"{text!r} is no registry namespace", remedy="write REGISTRY/NAMESPACE, as in ghcr.io/me")
    return namespace


async def published_images(
    names: Sequence[str], platforms: Collection[str], namespace: str, settings: Settings
) -> Catalog:
    """Return what `namespace` has of the images under the tag `latest`; what is not there is left out.

    Raises ResolveError at the first image that cannot be asked for: the others would fail in the same way.
    """
    found: dict[str, ImageRecord] = {}
    errors: list[AgcError] = []
    limiter = anyio.CapacityLimiter(_AT_ONCE)
    credentials = await find_credentials(namespace.partition("/")[0], os.environ)

    async with http_client(settings) as client, anyio.create_task_group() as tasks:

        async def one(name: str) -> None:
            reference = parse_reference(f"{namespace}/{name}:latest")
            try:
                async with limiter:
                    record = await read_published(reference, platforms, client, credentials)
            except AgcError as error:
                errors.append(error)
                tasks.cancel_scope.cancel()
            else:
                if record is not None:
                    found[name] = record

        for name in names:
            tasks.start_soon(one, name)
    if errors:
        raise errors[0]
    return Catalog(images=found)
