"""The whole pipeline on one screen: definitions, lock, plan, graph, image, tests.

    definitions/*.yaml ─▶ Project ─▶ ImagePlan ─▶ Composition ─▶ tested ─▶ OCI layout ─▶ docker, registry
                          stages/    resolve/     compose/       verify/   engine/       stages/outputs
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.compose.image import combined_digest, compose
from pipeline.digest import Digest
from pipeline.engine.api import Compression
from pipeline.platform import Platform
from pipeline.stages.building import build_image, try_image
from pipeline.stages.locking import LockChange, update_locks
from pipeline.stages.outputs import Output, check_output
from pipeline.stages.project import Project, load_project
from pipeline.stages.report import ImageReport
from pipeline.stages.roots import lay_roots
from pipeline.stages.workbench import Reporter, Workbench
from pipeline.resolve.lock import require
from pipeline.verify.smoke import SmokeReport


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """An image as it would be built: graph digest per platform, and the components of each."""

    name: str
    graph_digest: Digest
    platforms: tuple[tuple[str, Digest, tuple[tuple[str, str, Digest], ...]], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object `agc plan --json` prints for it."""
        return {
            "name": self.name,
            "graphDigest": self.graph_digest,
            "platforms": [
                {
                    "platform": platform,
                    "graphDigest": digest,
                    "layers": [
                        {"component": component, "version": version, "graphDigest": layer}
                        for component, version, layer in layers
                    ],
                }
                for platform, digest, layers in self.platforms
            ],
        }


def open_project(folder: Path) -> Project:
    """Read and check a project; raises ErrorGroup with everything that is wrong."""
    return load_project(folder, os.environ)


def image_names(folder: Path) -> tuple[str, ...]:
    """Return the names of all images of a project, for shell completion."""
    return open_project(folder).images


def check_lock(project: Project) -> None:
    """Raise ErrorGroup where a pin is missing, stale or damaged; needs neither engine nor network."""
    require(project.locks, project.definitions, project.damage)


def plan(project: Project, names: Iterable[str], platforms: Iterable[Platform]) -> tuple[PlannedImage, ...]:
    """Return what would be built; needs neither engine nor network."""
    planned: dict[str, list[tuple[str, Digest, tuple[tuple[str, str, Digest], ...]]]] = {}
    for item in project.plan(tuple(names), tuple(platforms)):
        composition = compose(item)
        layers = tuple((layer.component, layer.version, layer.state.digest) for layer in composition.layers)
        planned.setdefault(item.name, []).append((str(item.platform), composition.graph_digest, layers))
    return tuple(
        PlannedImage(name, combined_digest({platform: digest for platform, digest, _ in entries}), tuple(entries))
        for name, entries in planned.items()
    )


async def lock(project: Project, upgrade: Iterable[str], reporter: Reporter) -> tuple[LockChange, ...]:
    """Resolve what is missing, stale or named in `upgrade`, write it, and return what changed."""
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
) -> tuple[ImageReport, ...]:
    """Build, test and deliver images, one after the other; a failing one stops before it is written."""
    started = time.monotonic()
    plans = project.plan(tuple(names), platforms)
    check_output(output, platforms)
    planned = time.monotonic()
    bench = await _bench(project, reporter)
    plans = await lay_roots(plans, project.locks.roots, bench, locked=locked)
    ready = time.monotonic()
    reports = []
    for name in dict.fromkeys(plan.name for plan in plans):
        own = [plan for plan in plans if plan.name == name]
        report = await build_image(own, output, compression, bench, locked=locked)
        stages = {"plan": planned - started, "engine and root": ready - planned, **report.seconds}
        reports.append(replace(report, seconds={**stages, "total": time.monotonic() - started}))
    return tuple(reports)


async def smoke(
    project: Project,
    names: Iterable[str],
    platforms: tuple[Platform, ...],
    reporter: Reporter,
    *,
    locked: bool = False,
) -> tuple[SmokeReport, ...]:
    """Run the smoke tests of images and return all reports, failures among them."""
    bench = await _bench(project, reporter)
    plans = project.plan(tuple(names), platforms)
    laid = await lay_roots(plans, project.locks.roots, bench, locked=locked)
    return tuple([(await try_image(item, bench, locked=locked)).smoke for item in laid])


async def _bench(project: Project, reporter: Reporter) -> Workbench:
    # Imported late: protobuf and the daemon's management are not needed to validate or plan.
    from pipeline.engine.buildkit.locate import connect  # noqa: PLC0415

    located = await connect(project.settings, reporter.notify)
    return Workbench(project.settings, located.engine, reporter, {})
