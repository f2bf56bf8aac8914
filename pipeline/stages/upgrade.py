"""What an update comes to for each package: what was decided, and how what is locked now differs from before.

Rules kept here:

- what is shown of files comes from the archives themselves, old and new, both by their pins;
- an old archive that is gone, or a registry that does not say something, is told and stops nothing;
- what is locked stays wherever a release is refused or waits, as long as it answers the definition.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.errors import AgcError, ErrorGroup, Location, RefusedError, ResolveError, SourceGoneError
from pipeline.graph import State
from pipeline.platform import Platform
from pipeline.resolve.archives import SolveFiles
from pipeline.resolve.contents import Entry, FilesDiff, compare, list_archives
from pipeline.resolve.cooldown import Caution, Decision, Hindrance, Outcome
from pipeline.resolve.pins import ArchivePin, ComponentLock, NpmPin, PackagesLock, PypiPin, RootLock, SystemLock
from pipeline.resolve.release import Concern, Release


@dataclass(frozen=True, slots=True)
class LockRequest:
    """What `agc lock` was asked for, and when.

    `upgrade` names components (`claude`, `agents/claude`) or `all`, `cool_down` replaces the days of every definition,
    `accepted` are releases (`package@version`) that a person looked at.
    """

    now: datetime
    upgrade: tuple[str, ...] = ()
    cool_down: float | None = None
    accepted: frozenset[str] = frozenset()

    def caution(self, days: float) -> Caution:
        """Return how careful to be with a component whose definition says `days`."""
        return Caution(self.now, timedelta(days=days if self.cool_down is None else self.cool_down), self.accepted)


@dataclass(frozen=True, slots=True)
class ArchiveDiff:
    """How one archive differs from the one before it; `files` is None where the old one is gone."""

    package: str
    platform: str
    size_before: int
    size_after: int
    files: FilesDiff | None


@dataclass(frozen=True, slots=True)
class TreeDiff:
    """How the dependencies of a tree differ: folder and version, for `changed` the old and the new one."""

    added: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    changed: tuple[tuple[str, str, str], ...] = ()
    kept: int = 0


@dataclass(frozen=True, slots=True)
class PackageReport:
    """What became of one package of a component; `cool_down` is the one it was judged by.

    The differences are there where it moved.
    """

    component: str
    decision: Decision
    now: datetime
    cool_down: timedelta
    archives: tuple[ArchiveDiff, ...] = ()
    tree: TreeDiff | None = None
    gone: str = ""

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        moved = self.tree and (self.tree.added or self.tree.removed or self.tree.changed)
        return Outcome.MOVED if moved else self.decision.outcome

    @property
    def accept(self) -> str:
        """The command that takes what was refused; empty where nothing was."""
        return accept_command(self.component, self.decision)


@dataclass(frozen=True, slots=True)
class LockChange:
    """One component whose lock moved; `before` is empty where it had none."""

    component: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class LockResult:
    """What an update came to: the files that changed, what became of each package that was asked for, what failed."""

    changes: tuple[LockChange, ...] = ()
    packages: tuple[PackageReport, ...] = ()
    errors: tuple[AgcError, ...] = ()

    def raise_for_errors(self) -> None:
        """Raise what failed, if anything did."""
        if self.errors:
            raise self.errors[0] if len(self.errors) == 1 else ErrorGroup(self.errors)


def accept_command(component: str, decision: Decision) -> str:
    """Return the command that takes a release that was refused; empty where none was."""
    if decision.outcome is not Outcome.REFUSED:
        return ""
    release = decision.chosen or decision.passed[0].release
    return f"agc lock --upgrade {component.partition('/')[2]} --accept {release}"


def taken(component: str, decision: Decision, location: Location) -> Release:
    """Return the release to lock; raises RefusedError or ResolveError where there is none that may be."""
    if decision.taken:
        return decision.taken
    name = component.partition("/")[2]
    if decision.outcome is Outcome.REFUSED:
        release = decision.chosen or decision.passed[0].release
        reasons = [words(concern) for concern in decision.concerns] or [str(decision.passed[0].hindrance)]
        raise RefusedError(
            "\n".join([f"{release} is refused, and what is locked does not answer the definition", *reasons]),
            location=location,
            remedy=f"look at it; then {accept_command(component, decision)}",
        )
    first = decision.passed[0]
    if first.hindrance is Hindrance.INCOMPLETE:
        raise ResolveError(
            f"{first.release.name} {first.release.version} is not published for every platform: "
            f"missing in {', '.join(first.release.missing)}",
            location=location,
            remedy="wait for the release to be complete, or give an older version",
        )
    published = first.release.published
    raise ResolveError(
        f"no release of {decision.name} that fits is old enough yet: {first.release.version} was published "
        f"{published:%Y-%m-%d %H:%M} UTC, and waits until {first.ready:%Y-%m-%d %H:%M}",
        location=location,
        remedy=f"wait, or take it now: agc lock --upgrade {name} --cool-down 0",
    )


def words(concern: Concern) -> str:
    """Return a concern as one line."""
    return f"{concern.fact} of {concern.package}: {concern.before} → {concern.after}"


async def report_packages(
    old: PackagesLock | None,
    new: PackagesLock,
    decisions: Mapping[str, Decision],
    caution: Caution,
    tools: Callable[[], Awaitable[State]],
    platform: Platform,
    solve: SolveFiles,
    location: Location,
) -> tuple[PackageReport, ...]:
    """Return what became of each package of a component; `tools` makes a root with tar for `platform`."""
    reports = []
    for pin in new.packages:
        report = PackageReport(new.component, decisions[pin.name], caution.now, caution.cool_down)
        match old.find(pin.name) if old else None, pin:
            case (NpmPin() as before, NpmPin() as after) if before != after:
                report = await _compared(report, before, after, tools, platform, solve, location)
            case (PypiPin() as before, PypiPin() as after) if before != after:
                report = replace(report, tree=_difference(_wheels(before), _wheels(after)))
        reports.append(report)
    return tuple(reports)


async def _compared(
    report: PackageReport,
    before: NpmPin,
    after: NpmPin,
    tools: Callable[[], Awaitable[State]],
    platform: Platform,
    solve: SolveFiles,
    location: Location,
) -> PackageReport:
    was, now = _archives(before), _archives(after)
    pairs = {key: (was[key], now[key]) for key in was.keys() & now.keys() if was[key].path != now[key].path}
    tree = compare_trees(before, after) if after.tree else None
    listed: Mapping[str, Mapping[str, Entry]] = {}
    gone = ""
    if pairs:
        wanted = {archive.path: archive for pair in pairs.values() for archive in pair}
        try:
            listed = await list_archives(wanted.values(), await tools(), platform, solve, location)
        except SourceGoneError as error:
            gone = error.url
    archives = tuple(
        ArchiveDiff(
            package=key[0],
            platform=key[1],
            size_before=pair[0].size,
            size_after=pair[1].size,
            files=compare(listed[pair[0].path], listed[pair[1].path]) if listed else None,
        )
        for key, pair in sorted(pairs.items(), key=lambda item: (item[0][0] != after.npm, item[0]))
    )
    return replace(report, archives=archives, tree=tree, gone=gone)


def compare_trees(before: NpmPin, after: NpmPin) -> TreeDiff:
    """Return how the dependencies of a tree differ from those it had."""
    return _difference(dict(_dependencies(before)), dict(_dependencies(after)))


def _wheels(pin: PypiPin) -> Mapping[str, str]:
    return {wheel.package: wheel.version for wheel in pin.wheels if wheel.package != pin.pypi}


def _difference(was: Mapping[str, str], now: Mapping[str, str]) -> TreeDiff:
    both = was.keys() & now.keys()
    changed = tuple((path, was[path], now[path]) for path in sorted(both) if was[path] != now[path])
    return TreeDiff(
        added=tuple((path, now[path]) for path in sorted(now.keys() - was.keys())),
        removed=tuple((path, was[path]) for path in sorted(was.keys() - now.keys())),
        changed=changed,
        kept=len(both) - len(changed),
    )


def _dependencies(pin: NpmPin) -> Iterator[tuple[str, str]]:
    for branch in pin.tree:
        if branch.path != f"node_modules/{pin.npm}":
            yield branch.path.removeprefix("node_modules/"), version_in(branch.archive.path)


def version_in(path: str) -> str:
    """Return the version in the address of an archive: `left-pad/-/left-pad-1.3.0.tgz`."""
    folder, _, file = path.partition("/-/")
    return file.removesuffix(".tgz").removeprefix(f"{folder.rpartition('/')[2]}-")


def _archives(pin: NpmPin) -> Mapping[tuple[str, str], ArchivePin]:
    """Return the archives whose files are compared, by package and platform.

    Of a tree, that is the package itself, and what exists for one platform only: there the native programs are.
    """
    own = {(archive.package, platform): archive for platform, archive in pin.archives.items()}
    for branch in pin.tree:
        if branch.path == f"node_modules/{pin.npm}" or len(branch.platforms) == 1:
            own[branch.path.removeprefix("node_modules/"), "".join(branch.platforms) or "any"] = branch.archive
    return own


def describe(lock: ComponentLock | None) -> str:
    """Return what a lock holds in a few words."""
    match lock:
        case PackagesLock():
            return ", ".join(f"{pin.name} {pin.version}" for pin in lock.packages)
        case RootLock():
            parts = [f"{name} {pin.digest[7:19]}" for name, pin in sorted(lock.bootstrap.items())]
            return ", ".join([*parts, *([f"image {lock.image.index[7:19]}"] if lock.image else [])])
        case SystemLock():
            return ", ".join(f"{pin.platform} {len(pin.packages)} packages" for pin in lock.system)
        case _:
            return ""
