"""What a push leaves in the catalog: the image as its registry has it, and why it is another than before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.catalog.record import (
    Catalog,
    ContentRecord,
    EvidenceRecord,
    ImageRecord,
    LayerRecord,
    LicenceRecord,
    PlatformRecord,
    per_blob,
)
from pipeline.catalog.store import catalog_path, update_catalog
from pipeline.compose.image import Composition
from pipeline.compose.labels import settings_of
from pipeline.digest import Digest
from pipeline.engine.layout import read_manifest
from pipeline.models.kinds import Agent
from pipeline.stages.reasons import why
from pipeline.stages.report import PlannedImage, planned_images
from pipeline.verify.smoke import SmokeReport


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
    smoke: Sequence[SmokeReport] = (),
    evidence: Sequence[EvidenceRecord] = (),
    verify: Sequence[str] = (),
    waiver: str = "",
) -> Publication:
    """Return what was pushed to `repository`, as the same manifests in `layout` tell it.

    `manifests` are the digests by platform, `digest` is what the tags name, `smoke` are the tests that were run,
    `evidence` is what was newly said of it there, and `verify` are the commands that check it, and `waiver` is
    why nobody looked for vulnerabilities.
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
    for report in smoke:
        depths = {result.depth for result in report.results if result.passed}
        known = platforms[str(report.platform)]
        platforms[str(report.platform)] = known.model_copy(update={"smoke": tuple(sorted(depths))})
    programs = (program for program, _ in compositions[0].plan.programs)
    record = ImageRecord(
        digest=digest,
        repositories=(repository,),
        tags=tuple(sorted(tags)),
        platforms=platforms,
        licences={
            f"{'agents' if isinstance(program.model, Agent) else 'toolpacks'}/{program.name}": LicenceRecord(
                name=program.model.spec.licence.name, publish=program.model.spec.licence.publish
            )
            for program in programs
        },
        evidence=_in_order(evidence),
        verify=tuple(verify),
        waiver=waiver,
    )
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
        evidence = _in_order({*image.evidence, *(before.evidence if same else ())})
        told = {
            "repositories": tuple(sorted(places)),
            "tags": tuple(sorted(tags)),
            "reasons": reasons or before.reasons,
            "evidence": evidence,
            "upstream": before.upstream,
        }
        if same:
            # A program that is older, or did not test this time, takes nothing away.
            kept = {name: item for name in ("licences", "verify", "waiver") if (item := getattr(image, name))}
            told = {**kept, **told, "platforms": _with_tests(image.platforms, before.platforms)}
        image = before.model_copy(update=told) if same else image.model_copy(update=told)
    else:
        image = image.model_copy(update={"reasons": reasons})
    return catalog.with_image(name, image, published.contents)


def _in_order(evidence: Iterable[EvidenceRecord]) -> tuple[EvidenceRecord, ...]:
    return tuple(sorted(evidence, key=lambda one: (one.subject, one.predicate_type, one.digest)))


def _with_tests(now: Mapping[str, PlatformRecord], before: Mapping[str, PlatformRecord]) -> dict[str, PlatformRecord]:
    """Return the platforms there are now and those there were, with the tests that any run of them passed."""
    tested = {
        name: one.model_copy(update={"smoke": one.smoke or (before[name].smoke if name in before else ())})
        for name, one in now.items()
    }
    return {**before, **tested}


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
