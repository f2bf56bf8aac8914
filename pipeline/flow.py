"""The whole pipeline on one screen: definitions, lock, plan, graph, image, tests.

definitions/*.yaml ─▶ Project ─▶ ImagePlan ─▶ Composition ─▶ tested ─▶ OCI layout ─▶ docker, registry
stages/    resolve/     compose/       verify/   engine/       stages/outputs
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.compose.image import compose_all
from pipeline.engine.api import Compression
from pipeline.platform import Platform
from pipeline.resolve.lock import require
from pipeline.resolve.plan import ImagePlan
from pipeline.stages.building import build_image, try_image
from pipeline.stages.crowd import for_each
from pipeline.stages.outputs import Output, check_output
from pipeline.stages.project import Project, load_project
from pipeline.stages.report import ImageReport, PlannedImage, planned_images
from pipeline.stages.roots import lay_roots
from pipeline.stages.workbench import Reporter, Workbench
from pipeline.verify.smoke import SmokeReport

if TYPE_CHECKING:
    from pipeline.stages.explain import Explanation
    from pipeline.stages.locking import LockChange


def open_project(folder: Path) -> Project:
    """Read and check a project; raises ErrorGroup with everything that is wrong."""
    return load_project(folder, os.environ)


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


def plan(project: Project, names: Iterable[str], platforms: Iterable[Platform]) -> tuple[PlannedImage, ...]:
    """Return what would be built; needs neither engine nor network."""
    return planned_images(compose_all(project.plan(tuple(names), tuple(platforms))))


async def lock(project: Project, upgrade: Iterable[str], reporter: Reporter) -> tuple[LockChange, ...]:
    """Resolve what is missing, stale or named in `upgrade`, write it, and return what changed."""
    from pipeline.stages.locking import update_locks  # no build needs it

    return await update_locks(project, upgrade, await _bench(project, reporter))


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

    `junit` is where the results of all smoke tests go, also of those that failed; none is run where the images need
    not be `tested`. Raises ErrorGroup with every failure.
    """
    started = time.monotonic()
    plans = project.plan(tuple(names), platforms)
    check_output(output, platforms)
    planned = time.monotonic()
    bench = await _bench(project, reporter)
    plans = await lay_roots(plans, project.locks.roots, bench, locked=locked)
    ready = time.monotonic()
    tests: list[SmokeReport] = []

    async def one(name: str) -> ImageReport:
        own = [plan for plan in plans if plan.name == name]
        report = await build_image(own, output, compression, bench, tests, locked=locked, tested=tested)
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
    bench = await _bench(project, reporter)
    laid = await lay_roots(plans, project.locks.roots, bench, locked=locked)

    async def one(plan: ImagePlan) -> SmokeReport:
        return (await try_image(plan, bench, locked=locked)).smoke

    reports = await for_each(laid, one, lambda plan: f"{plan.name} on {plan.platform}")
    _write_junit(reports, junit)
    return reports


async def _bench(project: Project, reporter: Reporter) -> Workbench:
    # Imported late: protobuf and the daemon's management are not needed to validate or plan.
    from pipeline.engine.buildkit.locate import connect

    located = await connect(project.settings, reporter.notify)
    return Workbench(project.settings, located.engine, reporter)


def _write_junit(reports: Iterable[SmokeReport], path: Path | None) -> None:
    if path is not None:
        from pipeline.verify.junit import write_junit  # only who asks for it pays for its library

        write_junit(reports, path)
