"""What a push leaves in the catalog: the image as its registry has it, and why it is another than before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.catalog.record import Catalog, ContentRecord, ImageRecord, LayerRecord, PlatformRecord, per_blob
from pipeline.catalog.store import catalog_path, update_catalog
from pipeline.compose.image import Composition
from pipeline.compose.labels import settings_of
from pipeline.digest import Digest
from pipeline.engine.layout import read_manifest
from pipeline.stages.reasons import why
from pipeline.stages.report import PlannedImage, planned_images


@dataclass(frozen=True, slots=True)
class Publication:
    """An image that was pushed: its record, what is in its layers, and what it was planned to be."""

    planned: PlannedImage
    image: ImageRecord
    contents: Mapping[str, ContentRecord]


def publication(
    repository: str,
    digest: Digest,
    compositions: Sequence[Composition],
    manifests: Mapping[str, Digest],
    layout: Path,
    tags: Sequence[str] = ("latest",),
) -> Publication:
    """Return what was pushed to `repository`, as the same manifests in `layout` tell it.

    `manifests` are the digests by platform, `digest` is what the tags name.
    """
    (planned,) = planned_images(compositions)
    platforms = {
        str(one.plan.platform): _platform(one, manifests[str(one.plan.platform)], layout) for one in compositions
    }
    contents = {
        str(layer.graph_digest): ContentRecord(packages=layer.contents)
        for platform in planned.platforms
        for layer in platform.layers
        if layer.contents or layer.below
    }
    record = ImageRecord(digest=digest, repositories=(repository,), tags=tuple(sorted(tags)), platforms=platforms)
    return Publication(planned, record, contents)


def remember(project: Path, published: Publication) -> None:
    """Put a pushed image into the project's catalog; raises CatalogError or OutputError."""
    update_catalog(catalog_path(project), lambda catalog: with_publication(catalog, published))


def with_publication(catalog: Catalog, published: Publication) -> Catalog:
    """Return the catalog with a pushed image in it.

    Pushed again, the same digest keeps its other repositories and tags, and the reason for which it was once made.
    """
    name, image = published.planned.name, published.image
    before = catalog.images.get(name)
    reasons = tuple(reason.text for reason in why(published.planned, before, catalog.contents))
    if before:
        same = before.digest == image.digest
        places = {*image.repositories, *(before.repositories if same else ())}
        tags = {*image.tags, *(before.tags if same else ())}
        told = {
            "repositories": tuple(sorted(places)),
            "tags": tuple(sorted(tags)),
            "reasons": reasons or before.reasons,
        }
        image = before.model_copy(update=told) if same else image.model_copy(update=told)
    else:
        image = image.model_copy(update={"reasons": reasons})
    return catalog.with_image(name, image, published.contents)


def _platform(composition: Composition, digest: Digest, layout: Path) -> PlatformRecord:
    manifest = read_manifest(layout, digest)
    held = per_blob(composition.layers, len(manifest.layers), composition.plan.name)
    return PlatformRecord(
        digest=digest,
        config=manifest.config.digest,
        graph_digest=composition.graph_digest,
        layers=tuple(
            LayerRecord(
                component=layer.component,
                graph_digest=layer.state.digest,
                digest=blob.digest,
                size=blob.size,
                version=layer.version,
                pin=layer.pin,
            )
            for layer, blob in zip(held, manifest.layers, strict=True)
        ),
        settings=settings_of(composition.document["config"]),
    )
