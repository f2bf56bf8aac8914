"""Settle which release of a package is locked: what was decided, checked against the bytes and the tree it comes to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Generic, TypeVar

import nodesemver

from pipeline.errors import Location
from pipeline.models.packages import NpmArchive
from pipeline.resolve.cooldown import Caution, Decision, Hindrance, PassedOver
from pipeline.resolve.npm import Candidate, Chosen, choose
from pipeline.resolve.npm_releases import NpmLocked, decide_npm
from pipeline.resolve.pins import NpmPin, PackagePin
from pipeline.resolve.release import Concern, Fact
from pipeline.resolve.tree import Branch, TooYoungError
from pipeline.stages.upgrade import taken, version_in
from pipeline.stages.workbench import Workbench

Pin_co = TypeVar("Pin_co", bound=PackagePin, covariant=True)

ResolveTree = Callable[[str, Caution], Awaitable[tuple[Branch, ...]]]
"""Resolve the tree of a package at a version."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The release of a package that is locked, as the pin it has already (`kept`) or as what is to be pinned."""

    decision: Decision
    chosen: Chosen
    kept: NpmPin | None = None
    tree: tuple[Branch, ...] = ()

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The archives that are to be pinned."""
        if self.kept:
            return ()
        return tuple(item.archive for item in self.tree) or _distinct(self.chosen)


@dataclass(frozen=True, slots=True)
class Place(Generic[Pin_co]):
    """What of a component is settled: its name, where the package is written, its pin, and if that answers it still."""

    component: str
    location: Location
    pin: Pin_co | None
    current: bool

    @property
    def keepable(self) -> Pin_co | None:
        """The pin, where it may stay as it is."""
        return self.pin if self.current else None


async def settle(
    package: NpmArchive, place: Place[NpmPin], caution: Caution, bench: Workbench, resolve: ResolveTree
) -> Settled:
    """Settle what is locked of `package`; `resolve` is asked where it is a tree.

    Raises RefusedError where the new release is refused and the locked one cannot stay, ResolveError where there is
    none that fits and is old enough.
    """
    locked = NpmLocked(place.pin.version, place.current) if place.pin else None
    decision = await decide_npm(package, locked, caution, bench.fetch_npm, bench.fetch_npm_history, place.location)
    release = taken(place.component, decision, place.location)
    kept = place.keepable
    if kept and decision.chosen != release:
        return Settled(decision, Chosen(package.npm, kept.version, {}), kept)
    exact = package.model_copy(update={"version": release.version})
    chosen = await choose(exact, bench.fetch_npm, place.location)
    if package.tree:
        return await _with_tree(decision, chosen, place, caution, resolve)
    if place.pin and (found := _replaced(place.pin, chosen)) and not caution.accepts(release):
        decision = replace(decision, chosen=release, fits=kept is not None, concerns=found)
        taken(place.component, decision, place.location)
        return Settled(decision, chosen, kept)
    return Settled(decision, chosen, kept if kept and _same(kept, chosen) else None)


async def _with_tree(
    decision: Decision, chosen: Chosen, place: Place[NpmPin], caution: Caution, resolve: ResolveTree
) -> Settled:
    release, kept = decision.taken, place.keepable
    # Somebody who wrote down a version that is younger than that wants it now, with what it needs.
    young = caution.cutoff and release and release.published and release.published > caution.cutoff
    try:
        tree = await resolve(chosen.version, replace(caution, cool_down=timedelta()) if young else caution)
    except TooYoungError as error:
        if kept is None or release is None:
            raise
        passed = () if kept.version == chosen.version else (PassedOver(release, Hindrance.NEEDS),)
        waits = replace(decision, chosen=None, passed=(*passed, *decision.passed), note=error.message)
        return Settled(waits, chosen, kept)
    if kept and kept.version == chosen.version and _goes_back(kept, tree):
        note = "dependencies that are old enough are older than the locked ones, which stay"
        return Settled(replace(decision, note=note), chosen, kept)
    return Settled(decision, chosen, None, tree)


def _replaced(pin: NpmPin, chosen: Chosen) -> tuple[Concern, ...]:
    """Return a concern for each archive of the locked version of which the registry now gives other bytes."""
    before = {archive.path: archive.integrity for archive in pin.archives.values()}
    return tuple(
        Concern(Fact.CONTENT, item.package, before[item.path], item.integrity)
        for item in _distinct(chosen)
        if before.get(item.path, item.integrity) != item.integrity
    )


def _distinct(chosen: Chosen) -> tuple[Candidate, ...]:
    return tuple(dict.fromkeys(chosen.archives.values()))


def _same(pin: NpmPin, chosen: Chosen) -> bool:
    return {name: (item.path, item.integrity) for name, item in pin.archives.items()} == {
        name: (item.path, item.integrity) for name, item in chosen.archives.items()
    }


def _goes_back(pin: NpmPin, tree: tuple[Branch, ...]) -> bool:
    """Tell whether any dependency of the locked tree would get an older version."""
    now = {branch.path: version_in(branch.archive.path) for branch in tree}
    before = {branch.path: version_in(branch.archive.path) for branch in pin.tree}
    return any(nodesemver.gt(before[path], now[path], loose=True) for path in before.keys() & now.keys())
