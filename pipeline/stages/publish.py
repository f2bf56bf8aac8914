"""The publishing of images from end to end: licences, build and tests, registries, the project's record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.catalog.publish import Published
from pipeline.catalog.store import catalog_path, read_catalog
from pipeline.compose.image import Composition, Shared, compose, compose_all
from pipeline.digest import Digest
from pipeline.engine.api import Compression
from pipeline.errors import AgcError, ErrorGroup
from pipeline.platform import Platform
from pipeline.resolve.plan import ImagePlan
from pipeline.settings import SignSettings
from pipeline.stages.building import build_image
from pipeline.stages.crowd import for_each
from pipeline.stages.destinations import Destinations, open_destinations, open_ports
from pipeline.stages.licences import bound_for, check_licences
from pipeline.stages.made import Made
from pipeline.stages.outputs import Output, OutputKind
from pipeline.stages.project import Project
from pipeline.stages.proving import Prover, open_prover, prove
from pipeline.stages.publishing import (
    Occasion,
    PublishReport,
    occasion,
    present_tags,
    publish_made,
    tags_of,
)
from pipeline.stages.recording import publication, remember
from pipeline.stages.report import ImageReport
from pipeline.stages.roots import lay_roots
from pipeline.stages.signing import verify_commands
from pipeline.stages.workbench import Workbench, http_client
from pipeline.supply.run import RunFacts
from pipeline.verify.smoke import SmokeReport


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """What to publish: images (all where none is named), platforms, and where to, as `REGISTRY/NAMESPACE`.

    `day` is the one that dated tags tell. `sign` stands in place of the project's settings, `waiver` is the written
    reason for which the gate looks at nothing, `run` is what is known of who publishes, and from which commit.
    """

    names: tuple[str, ...]
    platforms: tuple[Platform, ...]
    to: tuple[str, ...]
    day: date
    locked: bool = False
    compression: Compression = Compression.ZSTD
    junit: Path | None = None
    sign: SignSettings | None = None
    waiver: str = ""
    run: RunFacts = field(default_factory=RunFacts)

    @property
    def commit(self) -> str:
        """The commit that definitions and locks are of; empty where there is none, or they differ from it."""
        source = self.run.source
        return source.commit if source and not source.modified else ""


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
    prover = open_prover(project, request.sign or project.settings.sign, request.run, request.waiver)
    if prover.signer is None:
        bench.reporter.notify("note: nothing is signed; see docs/how-to/sign.md")
    tests: list[SmokeReport] = []
    wanted, refusals = _bound(plans, request.to, project)
    try:
        async with open_destinations(request.to, bench, known) as destinations:
            first = [plan for group in wanted.values() for plan in group.plans]
            laid = await lay_roots(first, project.locks.roots, bench, locked=request.locked) if first else ()
            layers: Shared = {}

            async def one(form: tuple[str, bool]) -> PublishReport | None:
                own = [plan for plan in laid if (plan.name, plan.late) == form]
                failures: Sequence[AgcError] = refusals.pop(form[0], ())
                done: tuple[Published, ...] = ()
                if own:
                    report, made = await _build(compose_all(own, layers), request, bench, tests)
                    done, more = await _everywhere(made, wanted[form].places, destinations, when, prover, bench)
                    failures = (*failures, *more)
                if failures:
                    raise _together(failures)
                seconds = {**report.seconds, "total": time.monotonic() - started}
                return PublishReport(replace(report, seconds=seconds), done)

            refused = ((name, False) for name in refusals if (name, True) not in wanted)
            reports = await for_each(tuple(dict.fromkeys([*wanted, *refused])), one, lambda form: form[0])
            return tuple(report for report in reports if report)
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
                plan = bound_for(plan, namespace, project.settings.publish.private)
                check_licences(plan, namespace, project.settings.publish.private)
            except AgcError as error:
                return PublishPlan(plan.name, str(repository), refused=error.message)
            tags = tags_of(compose(plan), Digest(""), await present_tags(repository, when), when)
            return PublishPlan(plan.name, str(repository), (*tags.fixed, *tags.moving))

        places = [(plan, namespace) for plan in reversed(first.values()) for namespace in request.to]
        return await for_each(places, one, lambda place: place[0].name)


async def _build(
    compositions: Sequence[Composition], request: PublishRequest, bench: Workbench, tests: list[SmokeReport]
) -> tuple[ImageReport, Made]:
    """Build and test an image into the cache's own layout, whichever engine does it."""
    heard: list[Made] = []
    plan = compositions[0].plan
    shared = bench.shared_as(plan.name, plan.base.name)
    # Two forms of one image have one name, so each has a layout of its own.
    late = Output(OutputKind.OCI, str(bench.settings.cache / "late-images"))
    kept = late if plan.late else Output(OutputKind.NONE)
    report = await build_image(
        *(compositions, kept, request.compression, shared, tests), locked=request.locked, on_made=heard.append
    )
    return report, heard[0]


async def _everywhere(
    made: Made,
    namespaces: Sequence[str],
    destinations: Destinations,
    when: Occasion,
    prover: Prover,
    bench: Workbench,
) -> tuple[tuple[Published, ...], tuple[AgcError, ...]]:
    """Publish an image to several places one after the other; returns what was done and what failed."""
    proof = await prove(made, prover, bench)
    done: list[Published] = []
    failed: list[AgcError] = []
    for namespace in namespaces:
        try:
            with bench.reporter.stage(f"publish {namespace}/{made.name}"):
                published, evidence = await publish_made(proof, prover, namespace, destinations, when)
            told = publication(
                *(published.repository, published.digest, made.compositions, made.result.manifests, made.layout),
                tags=published.tags,
                smoke=made.smoke,
                evidence=evidence,
                waiver=prover.waiver,
                verify=verify_commands(f"{published.repository}@{published.digest}", prover.sign),
            )
            remember(prover.project.folder, told)
        except AgcError as error:
            failed.append(error)
        else:
            done.append(published)
            bench.reporter.notify(f"published {published.repository}@{published.digest}: {', '.join(published.tags)}")
    return tuple(done), tuple(failed)


@dataclass(frozen=True, slots=True)
class _Form:
    """An image in the form in which it goes to some places."""

    plans: list[ImagePlan] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


def _bound(
    plans: Sequence[ImagePlan], namespaces: Sequence[str], project: Project
) -> tuple[dict[tuple[str, bool], _Form], dict[str, tuple[AgcError, ...]]]:
    """Return each form of each image with where it goes, and by image why it may not go elsewhere."""
    forms: dict[tuple[str, bool], _Form] = {}
    refusals: dict[str, tuple[AgcError, ...]] = {}
    private = project.settings.publish.private
    for namespace in namespaces:
        for plan in plans:
            try:
                bound = bound_for(plan, namespace, private)
                check_licences(bound, namespace, private)
            except AgcError as error:
                refusals[plan.name] = tuple({str(one): one for one in (*refusals.get(plan.name, ()), error)}.values())
                continue
            form = forms.setdefault((plan.name, bound.late), _Form())
            if bound not in form.plans:
                form.plans.append(bound)
            if namespace not in form.places:
                form.places.append(namespace)
    return forms, refusals


def _together(errors: Sequence[AgcError]) -> AgcError:
    return errors[0] if len(errors) == 1 else ErrorGroup(tuple(errors))
