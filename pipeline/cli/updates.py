"""What a person, or a program, reads after `agc lock`: what moved and how it differs, what waits, what was refused."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from pipeline.cli.output import Line, Span, human_size, line, plain
from pipeline.resolve.cooldown import Hindrance, Outcome, PassedOver
from pipeline.resolve.release import Part, Release
from pipeline.stages.upgrade import ArchiveDiff, LockRequest, LockResult, PackageReport, TreeDiff

_WIDTH = 80
_LABEL = 14
_LONGEST = 300
_SHOWN = 20
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_STYLES: Mapping[Outcome, str] = {
    Outcome.NEW: "green",
    Outcome.MOVED: "green",
    Outcome.STAYS: "dim",
    Outcome.WAITS: "yellow",
    Outcome.REFUSED: "bold red",
}


def refused(result: LockResult) -> bool:
    """Tell whether any release was refused."""
    return any(report.accept for report in result.packages)


def unused(request: LockRequest, result: LockResult) -> list[str]:
    """Return what was accepted though nobody had refused it."""
    taken = {str(report.decision.chosen) for report in result.packages}
    return [] if result.errors else sorted(request.accepted - taken)


def lines_of(result: LockResult, *, verbose: bool = False) -> Iterator[Line]:
    """Yield the result for people, 80 columns wide; with `verbose` no list is cut short."""
    if not (result.changes or result.packages or result.errors):
        yield line("the lock was complete; nothing moved")
    told = {report.component for report in result.packages}
    for change in result.changes:
        if change.component not in told:
            yield line(Span(change.component, "bold"), f": {change.before or '(new)'} → {change.after}")
    long = False
    for report in result.packages:
        block = list(_package(report, verbose=verbose))
        if long:
            yield line()
        yield from block
        long = len(block) > 1
    for change in result.changes:
        yield line(Span("wrote ", "dim"), f"registry/lock/{change.component}.json")


def _package(report: PackageReport, *, verbose: bool) -> Iterator[Line]:
    decision, outcome = report.decision, report.outcome
    now = decision.chosen if outcome in {Outcome.NEW, Outcome.MOVED} else decision.taken
    before = decision.locked.version if decision.locked else ""
    version = now.version if now else before
    moved = f"{before} → {version}" if before and before != version else version
    at = " stays at " if outcome in {Outcome.WAITS, Outcome.REFUSED} else " "
    head = Span(report.component, "bold"), "  ", Span(outcome, _STYLES[outcome]), "  ", decision.name, at, moved
    yield line(*head)
    if outcome is Outcome.REFUSED:
        yield from _refusal(report)
    if decision.chosen and decision.chosen.parts and outcome is not Outcome.STAYS:
        yield from _facts(report, decision.chosen)
    for hindrance in Hindrance:
        # The newest stands for all that share its reason; `--json` has them all.
        same = [item for item in decision.passed if item.hindrance is hindrance]
        if same:
            yield from _passed(same[0], len(same) - 1, report.now)
    if decision.note:
        yield from _row("note", decision.note)
    if report.gone:
        yield from _row("note", f"files are not compared: {report.gone} is gone from the registry")
    for archive in report.archives:
        yield from _archive(archive, verbose=verbose)
    if report.tree:
        yield from _tree(report.tree, verbose=verbose)


def _refusal(report: PackageReport) -> Iterator[Line]:
    for concern in report.decision.concerns:
        what = f"{concern.fact} of {concern.package}"
        yield from _row("refused", f"{report.decision.chosen}: {what}", "bold")
        yield from _row("  before", concern.before)
        yield from _row("  after", concern.after, "red")
    # Not wrapped: it is there to be copied.
    yield line("  ", Span(f"{'accept':<{_LABEL}}", "green"), report.accept)


def _facts(report: PackageReport, new: Release) -> Iterator[Line]:
    old = report.decision.locked
    if new.published:
        yield from _row("published", _when(new.published, report.now))
    else:
        yield from _row("published", "the registry does not say")
    if new.deprecated:
        yield from _row("deprecated", new.deprecated, "yellow")
    scripts = [text for part in new.parts for text in _scripts(part, old.part(part.package) if old else None)]
    for at, text in enumerate(scripts or ["none"]):
        yield from _row("" if at else "scripts", text)
    yield from _row("publishers", _people(old, new))
    attested = sum(part.attested for part in new.parts)
    yield from _row("provenance", f"attested for {attested} of {len(new.parts)}" if attested else "not attested")


def _scripts(new: Part, old: Part | None) -> Iterator[str]:
    before = old.scripts if old else {}
    for name in sorted(before.keys() | new.scripts.keys()):
        text = new.scripts.get(name, before.get(name, ""))
        if old is None:
            mark = ""
        elif name not in before:
            mark = "new: "
        elif name not in new.scripts:
            mark = "gone: "
        else:
            mark = "as before: " if before[name] == new.scripts[name] else f"changed from {before[name]!r}: "
        yield f"{mark}{name} of {new.package}: {text}"


def _people(old: Release | None, new: Release) -> str:
    if new.publishers is None:
        return "the registry does not say"
    before = old.publishers if old else None
    if before is None or before == new.publishers:
        return ("as before: " if before else "") + ", ".join(sorted(new.publishers))
    came = [f"+ {name}" for name in sorted(new.publishers - before)]
    return ", ".join([*came, *(f"- {name}" for name in sorted(before - new.publishers))])


def _passed(item: PassedOver, others: int, now: datetime) -> Iterator[Line]:
    release, published = item.release, item.release.published
    if item.ready and published:
        reason = f" until {_moment(item.ready)}; published {_when(published, now)}"
    elif release.missing:
        reason = f": {item.hindrance}, missing in {', '.join(release.missing)}"
    else:
        reason = f": {item.hindrance}" + (f": {release.deprecated}" if release.deprecated else "")
    more = f" ({others} older too)" if others else ""
    yield from _row("waits" if item.hindrance.passes else "passed over", f"{release.version}{reason}{more}", "yellow")


def _archive(diff: ArchiveDiff, *, verbose: bool) -> Iterator[Line]:
    name = diff.package if diff.platform == "any" else f"{diff.package} ({diff.platform})"
    yield from _row("archive", name)
    yield from _row("  size", f"{human_size(diff.size_before)} → {human_size(diff.size_after)}")
    if diff.files is None:
        return
    files = diff.files
    counts = [(len(files.added), "new"), (len(files.removed), "gone"), (len(files.resized), "resized")]
    told = ", ".join(f"{count} {word}" for count, word in counts if count)
    yield from _row("  files", f"{files.kept} in both" + (f", {told}" if told else ""))
    heads = sorted({name for name in files.added if "/" not in name})
    shown = list(files.added) if verbose else list(dict.fromkeys([*files.programs, *heads]))
    marks = [f"+ {name}{'  (program)' if name in files.programs else ''}" for name in shown]
    gone = [f"- {name}" for name in files.removed if verbose or "/" not in name]
    yield from _list([*marks, *gone], verbose=verbose)


def _tree(diff: TreeDiff, *, verbose: bool) -> Iterator[Line]:
    counts = [(diff.added, "new"), (diff.removed, "gone"), (diff.changed, "changed")]
    told = ", ".join(f"{len(items)} {word}" for items, word in counts if items)
    yield from _row("dependencies", f"{told or 'none moved'}, {diff.kept} as before")
    changes = [
        *(f"+ {name} {version}" for name, version in diff.added),
        *(f"- {name} {version}" for name, version in diff.removed),
        *(f"~ {name} {old} → {new}" for name, old, new in diff.changed),
    ]
    yield from _list(changes, verbose=verbose)


def _list(items: Sequence[str], *, verbose: bool) -> Iterator[Line]:
    shown = items if verbose else items[:_SHOWN]
    for item in shown:
        yield from _row("", item, {"+": "green", "-": "red"}.get(item[0], ""))
    if len(items) > len(shown):
        yield from _row("", f"and {len(items) - len(shown)} more: -v shows all", "dim")


def _row(label: str, text: str, style: str = "") -> Iterator[Line]:
    """Yield a label and its text, wrapped beside it; the text may be of others."""
    clean = plain(text.replace("\n", " "))
    clean = clean if len(clean) <= _LONGEST else clean[:_LONGEST] + "…"
    width = _WIDTH - _LABEL - 2
    for at, part in enumerate(textwrap.wrap(clean, width, break_long_words=False, break_on_hyphens=False) or [""]):
        yield line("  ", Span(f"{'' if at else label:<{_LABEL}}", "dim"), Span(part, style))


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _when(time: datetime, now: datetime) -> str:
    age = now - time
    told = f"{age // _HOUR} h" if age < 3 * _DAY else f"{age // _DAY} days"
    return f"{_moment(time)}, {told} ago"


def as_json(result: LockResult) -> dict[str, object]:
    """Return the result for programs, every list whole."""
    changes = [{"component": one.component, "before": one.before, "after": one.after} for one in result.changes]
    return {"locked": True, "changes": changes, "packages": [_json(report) for report in result.packages]}


def _json(report: PackageReport) -> dict[str, object]:
    decision = report.decision
    return {
        "component": report.component,
        "package": decision.name,
        "outcome": report.outcome,
        "before": _release(decision.locked),
        "after": _release(decision.taken),
        "refused": [asdict(concern) for concern in decision.concerns],
        "accept": report.accept or None,
        "passedOver": [
            {**(_release(item.release) or {}), "reason": item.hindrance, "ready": _iso(item.ready)}
            for item in decision.passed
        ],
        "coolDownDays": report.cool_down / _DAY,
        "note": decision.note,
        "gone": report.gone or None,
        "archives": [
            {
                "package": archive.package,
                "platform": archive.platform,
                "sizeBefore": archive.size_before,
                "sizeAfter": archive.size_after,
                "files": asdict(archive.files) if archive.files else None,
            }
            for archive in report.archives
        ],
        "dependencies": asdict(report.tree) if report.tree else None,
    }


def _release(release: Release | None) -> dict[str, object] | None:
    if release is None:
        return None
    return {
        "version": release.version,
        "published": _iso(release.published),
        "deprecated": release.deprecated or None,
        "packages": [
            {
                "package": part.package,
                "published": _iso(part.published),
                "publishers": None if part.publishers is None else sorted(part.publishers),
                "scripts": dict(part.scripts),
                "attested": part.attested,
            }
            for part in release.parts
        ],
    }


def _iso(time: datetime | None) -> str | None:
    return time.isoformat() if time else None
