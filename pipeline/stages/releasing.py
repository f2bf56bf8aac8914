"""The scheduled job: bring the lock up to date, build and publish what changed by that, and record what is newest.

Every step is one that can be taken by itself; this is their order. A run right after another finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.catalog.record import Catalog, ImageRecord, UpstreamRecord
from pipeline.errors import AgcError
from pipeline.resolve.lock import Locks
from pipeline.resolve.pins import PackagesLock
from pipeline.stages.publishing import PublishReport
from pipeline.stages.upgrade import LockResult, PackageReport


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """What a release came to: what moved in the lock, what was published, and what could not be locked or published."""

    lock: LockResult = field(default_factory=LockResult)
    published: tuple[PublishReport, ...] = ()
    errors: tuple[AgcError, ...] = ()

    @property
    def idle(self) -> bool:
        """Tell whether there was nothing to do."""
        return not (self.lock.changes or self.published or self.errors)

    def as_json(self) -> dict[str, Any]:
        """Return the object of `agc release --json`."""
        return {
            "idle": self.idle,
            "locked": [
                {"component": change.component, "before": change.before or None, "after": change.after}
                for change in self.lock.changes
            ],
            "images": [report.as_json() for report in self.published],
        }


def newest(result: LockResult, locks: Locks) -> Mapping[str, UpstreamRecord]:
    """Return the newest release of the package that gives each component its version, as its registry told it now."""
    first = {lock.component: lock.packages[0].name for lock in locks.all() if isinstance(lock, PackagesLock)}
    return {
        report.component: record
        for report in result.packages
        if first.get(report.component) == report.decision.name and (record := _newest(report))
    }


def with_upstream(catalog: Catalog, upstream: Mapping[str, UpstreamRecord]) -> Catalog:
    """Return the catalog with what is newest of the components of each image; what was not asked for stays."""
    images = {}
    for name, image in catalog.images.items():
        known = {component: upstream[component] for component in _components(image) & upstream.keys()}
        images[name] = image.model_copy(update={"upstream": {**image.upstream, **known}})
    return catalog.model_copy(update={"images": images})


def _newest(report: PackageReport) -> UpstreamRecord | None:
    decision = report.decision
    release, reason = decision.taken, ""
    if decision.passed:
        release, reason = decision.passed[0].release, str(decision.passed[0].hindrance)
    elif decision.concerns:
        release, reason = decision.chosen, "it was refused"
    if release is None:
        return None
    day = release.published.date() if release.published else None
    return UpstreamRecord(package=decision.name, version=release.version, published=day, reason=reason)


def _components(image: ImageRecord) -> set[str]:
    return {layer.component for platform in image.platforms.values() for layer in platform.layers}
