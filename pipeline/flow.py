"""The whole pipeline on one screen: definitions, lock, plan, graph, image, tests, what was published.

definitions/*.yaml ─▶ Project ─▶ ImagePlan ─▶ Composition ─▶ tested ─▶ OCI layout ─▶ docker, registry ─▶ catalog.json
stages/    resolve/     compose/       verify/   engine/       stages/outputs      catalog/
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.catalog.record import Catalog
from pipeline.catalog.store import catalog_path, read_catalog
from pipeline.compose.image import compose_all
from pipeline.engine.api import Compression
from pipeline.engine.choose import open_engine
from pipeline.engine_name import EngineName
from pipeline.platform import Platform
from pipeline.resolve.lock import require
from pipeline.resolve.plan import ImagePlan
from pipeline.stages.building import build_image, try_image
from pipeline.stages.changes import Comparison, compare
from pipeline.stages.crowd import for_each
from pipeline.stages.outputs import Output, OutputKind, check_output
from pipeline.stages.project import Project, load_project, shipped_folder
from pipeline.stages.recording import Publication, remember
from pipeline.stages.report import ImageReport, planned_images
from pipeline.stages.roots import lay_roots
from pipeline.stages.workbench import Reporter, Workbench
from pipeline.verify.smoke import SmokeReport

if TYPE_CHECKING:
    from pipeline.outputs.generated import Drift, Generated
    from pipeline.stages.explain import Explanation
    from pipeline.stages.upgrade import LockRequest, LockResult


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
    planned = planned_images(compose_all(project.plan(wanted, tuple(platforms))))
    path = catalog_path(project.folder)
    to = output.target if output and output.kind is OutputKind.PUSH else ""
    against = str(path.relative_to(project.folder))
    return compare(planned, read_catalog(path), against, whole=not wanted, to=to)


async def plan_against(
    project: Project, names: Iterable[str], platforms: Iterable[Platform], namespace: str
) -> Comparison:
    """Return what would be built beside what a registry has; needs no engine."""
    from pipeline.stages.registry import parse_namespace, published_images  # only who asks a registry pays for it

    where = parse_namespace(namespace)
    wanted = tuple(platforms)
    planned = planned_images(compose_all(project.plan(tuple(names), wanted)))
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
    if output.kind is OutputKind.PUSH:
        read_catalog(catalog_path(project.folder))  # one that could not be written to afterwards is told now
    planned = time.monotonic()
    tests: list[SmokeReport] = []

    def pushed(published: Publication) -> None:
        remember(project.folder, published)

    async with _bench(project, reporter) as bench:
        plans = await lay_roots(plans, project.locks.roots, bench, locked=locked)
        ready = time.monotonic()

        async def one(name: str) -> ImageReport:
            own = [plan for plan in plans if plan.name == name]
            shared = bench.shared_as(name, own[0].base.name)
            report = await build_image(
                own, output, compression, shared, tests, locked=locked, tested=tested, on_pushed=pushed
            )
            stages = {"plan": planned - started, "engine and root": ready - planned, **report.seconds}
            return replace(report, seconds={**stages, "total": time.monotonic() - started})

        try:
            return await for_each(tuple(dict.fromkeys(plan.name for plan in plans)), one, str)
        finally:
            _write_junit(tests, junit)


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

        async def one(plan: ImagePlan) -> SmokeReport:
            return (await try_image(plan, bench.shared_as(plan.name, plan.base.name), locked=locked)).smoke

        reports = await for_each(laid, one, lambda plan: f"{plan.name} on {plan.platform}")
    _write_junit(reports, junit)
    return reports


def generate(
    project: Project, only: Iterable[str] = (), *, write: bool = False, force: bool = False
) -> tuple[tuple[Generated, ...], tuple[Drift, ...]]:
    """Return the files of the sorts in `only`, or all, and those that differ in the project, which `write` puts right.

    Raises ErrorGroup where a person changed one of these, unless `force` is to lose that.
    """
    from importlib.metadata import version  # templates and their engine are for this alone

    from pipeline.outputs.generated import drifted, write_all
    from pipeline.outputs.makers import make
    from pipeline.outputs.subject import Subject

    shipped, folder = shipped_folder(), project.folder
    own = shipped.resolve() == folder.resolve()
    published = read_catalog(catalog_path(folder)) or Catalog()
    made = make(Subject(shipped / "templates", version("agentcontainers"), own, project, published), tuple(only))
    drifts = drifted(folder, made)
    if write:
        write_all(folder, drifts, force=force)
    return tuple(file for files in made.values() for file in files), drifts


def start_stack(
    project: Project, name: str, flags: Iterable[str] = (), *, profiles: Iterable[str] = (), files: Iterable[Path] = ()
) -> None:
    """Start a stack with Docker Compose and wait until it is healthy; `flags` go to `docker compose up`."""
    from pipeline.stages import stack_running  # no build needs it

    stack_running.start_stack(project, name, tuple(flags), profiles=tuple(profiles), files=tuple(files))


def stop_stack(
    project: Project, name: str, flags: Iterable[str] = (), *, files: Iterable[Path] = (), volumes: bool = False
) -> None:
    """Stop a stack, whatever profiles it was started with; `flags` go to `docker compose down`."""
    from pipeline.stages import stack_running  # no build needs it

    stack_running.stop_stack(project, name, tuple(flags), files=tuple(files), volumes=volumes)


@asynccontextmanager
async def _bench(project: Project, reporter: Reporter) -> AsyncIterator[Workbench]:
    async with open_engine(project.settings, reporter.notify) as engine:
        yield Workbench(project.settings, engine, reporter)


def _write_junit(reports: Iterable[SmokeReport], path: Path | None) -> None:
    if path is not None:
        from pipeline.verify.junit import write_junit  # only who asks for it pays for its library

        write_junit(reports, path)
