"""The whole pipeline on one screen: definitions, lock, plan, graph, image, tests, what was published.

definitions/*.yaml ─▶ Project ─▶ ImagePlan ─▶ Composition ─▶ tested ─▶ OCI layout ─▶ docker, registries ─▶ catalog.json
stages/    resolve/     compose/       verify/   engine/       stages/publishing, catalog/
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio

from pipeline.catalog.record import Catalog
from pipeline.catalog.store import catalog_path, read_catalog, update_catalog
from pipeline.compose.image import Shared, compose_all
from pipeline.engine.api import Compression
from pipeline.engine.choose import open_engine
from pipeline.engine_name import EngineName
from pipeline.errors import AgcError, ErrorGroup
from pipeline.platform import Platform, parse_platform
from pipeline.resolve.lock import require
from pipeline.resolve.plan import ImagePlan
from pipeline.settings import load_settings
from pipeline.stages.building import build_image, try_image
from pipeline.stages.changes import Comparison, compare
from pipeline.stages.crowd import for_each
from pipeline.stages.destinations import open_destinations
from pipeline.stages.licences import as_published, check_licences
from pipeline.stages.outputs import Output, OutputKind, check_output
from pipeline.stages.project import Project, load_project
from pipeline.stages.recording import Publication, remember
from pipeline.stages.report import ImageReport, planned_images
from pipeline.stages.roots import lay_roots
from pipeline.stages.workbench import Reporter, Workbench
from pipeline.starting import generate
from pipeline.verify.smoke import SmokeReport

if TYPE_CHECKING:
    from pipeline.stages.bills import Bill, BillFormat
    from pipeline.stages.explain import Explanation
    from pipeline.stages.publish import PublishPlan, PublishRequest
    from pipeline.stages.publishing import PublishReport
    from pipeline.stages.releasing import ReleaseReport
    from pipeline.stages.upgrade import LockRequest, LockResult
    from pipeline.stages.verifying import Verified, VerifyRequest
    from pipeline.supply.check.result import Verification
    from pipeline.supply.run import RunFacts


def open_project(folder: Path, engine: EngineName | None = None) -> Project:
    """Read and check a project, to be built on `engine`; raises ErrorGroup with everything that is wrong."""
    project = load_project(folder, os.environ)
    return replace(project, settings=project.settings.on_engine(engine))


def image_names(folder: Path) -> tuple[str, ...]:
    """Return the names of all images of a project, for shell completion."""
    return open_project(folder).images


def check_lock(project: Project) -> None:
    """Raise ErrorGroup where a pin is missing, stale or damaged; needs neither engine nor network."""
    require(project.locks, project.definitions, project.damage)


def explain(project: Project, name: str, platform: Platform) -> Explanation:
    """Return everything an image is made of, with its origins; needs neither engine nor network."""
    from pipeline.stages.explain import explain_image  # no build needs it

    (found,) = project.plan((name,), (platform,))
    return explain_image(found)


def plan(
    project: Project, names: Iterable[str], platforms: Iterable[Platform], output: Output | None = None
) -> Comparison:
    """Return what would be built beside what the project's catalog says was published; no engine, no network.

    With an `output` that is a registry, an image that was published elsewhere alone counts as changed.
    """
    wanted = tuple(names)
    path = catalog_path(project.folder)
    known = read_catalog(path)
    to = output.target if output and output.kind is OutputKind.PUSH else ""
    plans = [
        as_published(plan, to or _place(known, plan.name), project.settings.publish.private)
        for plan in project.plan(wanted, tuple(platforms))
    ]
    against = str(path.relative_to(project.folder))
    return compare(planned_images(compose_all(plans)), known, against, whole=not wanted, to=to)


def _place(catalog: Catalog | None, name: str) -> str:
    """Return the first place where an image was published, empty where it was not."""
    record = catalog.images.get(name) if catalog else None
    return record.repositories[0].removesuffix(f"/{name}") if record and record.repositories else ""


async def plan_against(
    project: Project, names: Iterable[str], platforms: Iterable[Platform], namespace: str
) -> Comparison:
    """Return what would be built beside what a registry has; needs no engine."""
    from pipeline.stages.registry import parse_namespace, published_images  # only who asks a registry pays for it

    where = parse_namespace(namespace)
    wanted = tuple(platforms)
    private = project.settings.publish.private
    plans = [as_published(plan, where, private) for plan in project.plan(tuple(names), wanted)]
    planned = planned_images(compose_all(plans))
    asked = [image.name for image in planned]
    published = await published_images(asked, {str(platform) for platform in wanted}, where, project.settings)
    return compare(planned, published, where, whole=False)


async def lock(project: Project, request: LockRequest, reporter: Reporter) -> LockResult:
    """Resolve what is missing, stale or asked for, write it, and return what changed, what did not, and why."""
    from pipeline.stages.locking import update_locks  # no build needs it

    async with _bench(project, reporter) as bench:
        return await update_locks(project, request, bench)


async def build(
    project: Project,
    names: Iterable[str],
    platforms: tuple[Platform, ...],
    output: Output,
    reporter: Reporter,
    *,
    locked: bool = False,
    compression: Compression = Compression.ZSTD,
    junit: Path | None = None,
    tested: bool = True,
) -> tuple[ImageReport, ...]:
    """Build, test and deliver images side by side; one that fails is not written, and stops no other.

    What was pushed is put into the project's catalog, image by image. `junit` is where the results of all smoke tests
    go, also of those that failed; none is run where the images need not be `tested`. Raises ErrorGroup with every
    failure.
    """
    started = time.monotonic()
    plans = project.plan(tuple(names), platforms)
    check_output(output, platforms)
    known = None
    if output.kind is OutputKind.PUSH:
        known = read_catalog(catalog_path(project.folder))  # one that could not be written to afterwards is told now
        for one_plan in plans:
            check_licences(one_plan, output.target, project.settings.publish.private)
    planned = time.monotonic()
    tests: list[SmokeReport] = []

    def pushed(published: Publication) -> None:
        remember(project.folder, published)

    pushed_to = (output.target,) if output.kind is OutputKind.PUSH else ()
    async with _bench(project, reporter) as bench, open_destinations(pushed_to, bench, known) as destinations:
        plans = await lay_roots(plans, project.locks.roots, bench, locked=locked)
        ready = time.monotonic()
        layers: Shared = {}

        async def one(name: str) -> ImageReport:
            own = [plan for plan in plans if plan.name == name]
            shared = bench.shared_as(name, own[0].base.name)
            report = await build_image(
                *(compose_all(own, layers), output, compression, shared, tests),
                locked=locked,
                tested=tested,
                on_pushed=pushed,
                destinations=destinations,
            )
            stages = {"plan": planned - started, "engine and root": ready - planned, **report.seconds}
            return replace(report, seconds={**stages, "total": time.monotonic() - started})

        try:
            return await for_each(tuple(dict.fromkeys(plan.name for plan in plans)), one, str)
        finally:
            _write_junit(tests, junit)


async def publish(project: Project, request: PublishRequest, reporter: Reporter) -> tuple[PublishReport, ...]:
    """Build and test images, and publish those that pass, with their evidence, to every registry that was named.

    One that fails stops no other, and a registry that fails no other registry. What was published is put into the
    project's catalog. Raises ErrorGroup with every failure, RefusedError among them where a licence forbids it.
    """
    from pipeline.stages.publish import publish_images  # no build needs it

    request = replace(request, run=await _run_facts(project.folder))
    async with _bench(project, reporter) as bench:
        return await publish_images(project, request, bench)


async def plan_publish(project: Project, request: PublishRequest) -> tuple[PublishPlan, ...]:
    """Return what `publish` would do, as far as that can be known before building; needs no engine."""
    from pipeline.stages.publish import plan_publication  # no build needs it

    return await plan_publication(project, replace(request, run=await _run_facts(project.folder)))


async def release(
    project: Project, upgrade: LockRequest | None, request: PublishRequest, reporter: Reporter
) -> ReleaseReport:
    """Bring the lock up to date where `upgrade` says how, publish every image that differs by now, and write it down.

    What cannot be locked or published is in the report, and keeps nothing else from it; releases that were refused
    stay out. All images are meant where `request` names none.
    """
    from pipeline.stages.releasing import ReleaseReport, newest, with_upstream  # only the scheduled job needs it
    from pipeline.stages.upgrade import LockResult

    locked = await lock(project, upgrade, reporter) if upgrade else LockResult()
    errors = list(locked.errors)
    project = replace(open_project(project.folder), settings=project.settings)
    places = [Output(OutputKind.PUSH, place) for place in request.to]
    changed = [plan(project, request.names, request.platforms, place).to_build for place in places]
    names = tuple(dict.fromkeys(name for part in changed for name in part))
    published: tuple[PublishReport, ...] = ()
    if names:
        try:
            published = await publish(project, replace(request, names=names), reporter)
        except ErrorGroup as group:
            errors.extend(group.errors)
        except AgcError as error:
            errors.append(error)
    upstream = newest(locked, project.locks)
    if upstream:
        update_catalog(catalog_path(project.folder), lambda catalog: with_upstream(catalog, upstream))
    if published or upstream:
        generate(project, ("image-catalog",), write=True)
    return ReleaseReport(locked, published, tuple(errors))


async def _run_facts(folder: Path) -> RunFacts:
    from pipeline.supply.run import git_source, run_facts

    return run_facts(os.environ, await anyio.to_thread.run_sync(git_source, folder))


async def smoke(
    project: Project,
    names: Iterable[str],
    platforms: tuple[Platform, ...],
    reporter: Reporter,
    *,
    locked: bool = False,
    junit: Path | None = None,
) -> tuple[SmokeReport, ...]:
    """Run the smoke tests of images and return all reports, failures among them."""
    plans = project.plan(tuple(names), platforms)
    async with _bench(project, reporter) as bench:
        laid = await lay_roots(plans, project.locks.roots, bench, locked=locked)
        layers: Shared = {}

        async def one(plan: ImagePlan) -> SmokeReport:
            (composition,) = compose_all((plan,), layers)
            return (await try_image(composition, bench.shared_as(plan.name, plan.base.name), locked=locked)).smoke

        reports = await for_each(laid, one, lambda plan: f"{plan.name} on {plan.platform}")
    _write_junit(reports, junit)
    return reports


async def verify(folder: Path, request: VerifyRequest) -> Verified:
    """Return all checks of an image of a registry; needs no engine, and of a project only its settings."""
    from pipeline.stages.verifying import verify_image  # no build needs it

    return await verify_image(request, load_settings(folder, os.environ), datetime.now(UTC))


async def rebuild(folder: Path, engine: EngineName | None, verified: Verified, reporter: Reporter) -> Verification:
    """Return a verification with one check more for each platform: that the recorded commit gives the same digest.

    Raises where the image was not verified, or what it was made of cannot be told or built.
    """
    from pipeline.stages.rebuilding import checked_out, compared  # no build needs it
    from pipeline.stages.verifying import compression_of, recorded

    result = verified.result
    result.raise_for_failures()
    source = recorded(verified.claims, verified.name)
    platforms = tuple(map(parse_platform, result.platforms))
    settings = load_settings(folder, os.environ).on_engine(engine)
    with TemporaryDirectory(prefix="agc-rebuilt-") as out:
        async with checked_out(folder, source.commit) as tree:
            # Its definitions and locks, and how this machine reaches the world.
            then = replace(open_project(tree), settings=settings)
            output = Output(OutputKind.OCI, out)
            compression = compression_of(verified.image)
            (report,) = await build(
                then, [source.image], platforms, output, reporter, locked=True, compression=compression, tested=False
            )
    built = {platform.platform: platform.digest for platform in report.platforms}
    return replace(result, checks=(*result.checks, *compared(built, result.platforms, source.commit)))


def sbom(project: Project, name: str, platform: Platform, form: BillFormat, layout: Path | None) -> Bill:
    """Return what is in an image that was built, read from where it lies; builds nothing, asks no engine."""
    from pipeline.stages.bills import bill_of_materials  # no build needs it

    (found,) = project.plan((name,), (platform,))
    return bill_of_materials(found, form, layout, project.settings)


@asynccontextmanager
async def _bench(project: Project, reporter: Reporter) -> AsyncIterator[Workbench]:
    async with open_engine(project.settings, reporter.notify) as engine:
        yield Workbench(project.settings, engine, reporter)


def _write_junit(reports: Iterable[SmokeReport], path: Path | None) -> None:
    if path is not None:
        from pipeline.verify.junit import write_junit  # only who asks for it pays for its library

        write_junit(reports, path)
