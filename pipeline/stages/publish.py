"""The publishing of images from end to end: licences, build and tests, registries, the project's record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.catalog.publish import Published
from pipeline.catalog.store import catalog_path, read_catalog
from pipeline.compose.image import compose
from pipeline.digest import Digest
from pipeline.engine.api import Compression
from pipeline.errors import AgcError, ErrorGroup
from pipeline.platform import Platform
from pipeline.resolve.plan import ImagePlan
from pipeline.stages.building import build_image
from pipeline.stages.crowd import for_each
from pipeline.stages.destinations import Destinations, open_destinations, open_ports
from pipeline.stages.licences import check_licences
from pipeline.stages.outputs import Output, OutputKind
from pipeline.stages.project import Project
from pipeline.stages.publishing import (
    Made,
    Occasion,
    PublishReport,
    evidence_for,
    occasion,
    present_tags,
    publish_made,
    tags_of,
)
from pipeline.stages.recording import publication, remember
from pipeline.stages.report import ImageReport
from pipeline.stages.roots import lay_roots
from pipeline.stages.workbench import Workbench, http_client
from pipeline.verify.smoke import SmokeReport


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """What to publish: images (all where none is named), platforms, and where to, as `REGISTRY/NAMESPACE`.

    `day` is the one that dated tags tell, `commit` that of definitions and locks, empty where it is not known.
    """

    names: tuple[str, ...]
    platforms: tuple[Platform, ...]
    to: tuple[str, ...]
    day: date
    commit: str = ""
    locked: bool = False
    compression: Compression = Compression.ZSTD
    junit: Path | None = None


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """What would become of an image in one place: its tags if it is a new one, or why it may not go there."""

    name: str
    repository: str
    tags: tuple[str, ...] = ()
    refused: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the object of `agc publish --dry-run --json`."""
        refused = {"refused": self.refused} if self.refused else {}
        return {"name": self.name, "repository": self.repository, "tags": list(self.tags), **refused}


async def publish_images(project: Project, request: PublishRequest, bench: Workbench) -> tuple[PublishReport, ...]:
    """Build, test and publish images side by side; see `flow.publish`."""
    started = time.monotonic()
    plans = project.plan(request.names, request.platforms)
    known = read_catalog(catalog_path(project.folder))  # one that could not be written to afterwards is told now
    when = occasion(project, request.day, request.commit)
    tests: list[SmokeReport] = []
    allowed = {plan.name: _allowed(plan, request.to, project) for plan in plans}
    wanted = [plan for plan in plans if allowed[plan.name][0]]
    try:
        async with open_destinations(request.to, bench, known) as destinations:
            laid = await lay_roots(wanted, project.locks.roots, bench, locked=request.locked) if wanted else ()

            async def one(name: str) -> PublishReport:
                places, refusals = allowed[name]
                own = [plan for plan in laid if plan.name == name]
                if not own:
                    raise _together(refusals)
                report, made = await _build(own, request, bench, tests)
                done, failures = await _everywhere(made, places, destinations, when, project, bench)
                if refusals or failures:
                    raise _together([*refusals, *failures])
                seconds = {**report.seconds, "total": time.monotonic() - started}
                return PublishReport(replace(report, seconds=seconds), done)

            return await for_each(tuple(dict.fromkeys(plan.name for plan in plans)), one, str)
    finally:
        if request.junit is not None:
            from pipeline.verify.junit import write_junit  # only who asks for it pays for its library

            write_junit(tests, request.junit)


async def plan_publication(project: Project, request: PublishRequest) -> tuple[PublishPlan, ...]:
    """Return what publishing would do to each image in each place; see `flow.plan_publish`."""
    when = occasion(project, request.day, request.commit)
    first = {plan.name: plan for plan in reversed(project.plan(request.names, request.platforms))}
    async with http_client(project.settings) as client:
        destinations = await open_ports(request.to, client, project.settings)

        async def one(place: tuple[ImagePlan, str]) -> PublishPlan:
            plan, namespace = place
            repository, _ = destinations.repository(namespace, plan.name)
            try:
                check_licences(plan, namespace, project.settings.publish.private)
            except AgcError as error:
                return PublishPlan(plan.name, str(repository), refused=error.message)
            tags = tags_of(compose(plan), Digest(""), await present_tags(repository, when), when)
            return PublishPlan(plan.name, str(repository), (*tags.fixed, *tags.moving))

        places = [(plan, namespace) for plan in reversed(first.values()) for namespace in request.to]
        return await for_each(places, one, lambda place: place[0].name)


async def _build(
    plans: Sequence[ImagePlan], request: PublishRequest, bench: Workbench, tests: list[SmokeReport]
) -> tuple[ImageReport, Made]:
    """Build and test an image into the cache's own layout, whichever engine does it."""
    heard: list[Made] = []
    shared = bench.shared_as(plans[0].name, plans[0].base.name)
    nowhere = Output(OutputKind.NONE)
    report = await build_image(
        *(plans, nowhere, request.compression, shared, tests), locked=request.locked, on_made=heard.append
    )
    return report, heard[0]


async def _everywhere(
    made: Made,
    namespaces: Sequence[str],
    destinations: Destinations,
    when: Occasion,
    project: Project,
    bench: Workbench,
) -> tuple[tuple[Published, ...], tuple[AgcError, ...]]:
    """Publish an image to several places one after the other; returns what was done and what failed."""
    evidence = await evidence_for(made, bench)
    done: list[Published] = []
    failed: list[AgcError] = []
    for namespace in namespaces:
        try:
            with bench.reporter.stage(f"publish {namespace}/{made.name}"):
                published = await publish_made(made, evidence, namespace, destinations, when)
            told = publication(
                *(published.repository, published.digest, made.compositions, made.result.manifests, made.layout),
                tags=published.tags,
            )
            remember(project.folder, told)
        except AgcError as error:
            failed.append(error)
        else:
            done.append(published)
            bench.reporter.notify(f"published {published.repository}@{published.digest}: {', '.join(published.tags)}")
    return tuple(done), tuple(failed)


def _allowed(plan: ImagePlan, namespaces: Sequence[str], project: Project) -> tuple[list[str], list[AgcError]]:
    """Return where an image may go, and why it may not go elsewhere."""
    places: list[str] = []
    refusals: list[AgcError] = []
    for namespace in namespaces:
        try:
            check_licences(plan, namespace, project.settings.publish.private)
        except AgcError as error:
            refusals.append(error)
        else:
            places.append(namespace)
    return places, refusals


def _together(errors: Sequence[AgcError]) -> AgcError:
    return errors[0] if len(errors) == 1 else ErrorGroup(tuple(errors))
