"""`agc plan`: what would be built, why, and what it costs those who have the images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import typer

from pipeline import flow
from pipeline.cli.app import session_of
from pipeline.cli.compared import compared
from pipeline.cli.options import Against, ImageNames, PlatformNames, platforms
from pipeline.cli.output import Line, Span, human_size, line, table
from pipeline.errors import UsageError
from pipeline.stages.changes import Comparison, ImageChange, Standing
from pipeline.stages.pull import Accuracy, Pull

_STYLES = {Standing.NEW: "green", Standing.CHANGED: "yellow", Standing.UNCHANGED: "dim"}
_HEADER = (Span("image"), Span("state"), Span("pull"))
_WIDTH = 79
_NARROWEST = 24
_SHORT_DIGEST = slice(len("sha256:"), len("sha256:") + 12)


def command(
    context: typer.Context,
    images: ImageNames = None,
    platform: PlatformNames = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Show only images that are new or differ from what was published.")
    ] = False,
    against: Against = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for the summary of a CI job or a comment.")
    ] = False,
) -> None:
    """Show which images differ from what was published, why, what else moves, and what users pull.

    All images by default. Needs no engine, and without --against no network.
    """
    session = session_of(context)
    if markdown and session.output.json:
        raise UsageError("--markdown and --json are two forms of the same", remedy="choose one")
    project = flow.open_project(session.project)
    wanted = platforms(platform)

    found = compared(context, project, images or (), wanted, against)
    detailed = session.output.verbose or bool(images)

    def human() -> Iterable[Line]:
        if markdown:
            from pipeline.cli.plan_markdown import lines_of  # it says some things in the words of this module

            return lines_of(found, changed_only=changed)
        return _lines(found, changed_only=changed, detailed=detailed)

    session.output.result(found.as_json(changed_only=changed), human)


def _lines(found: Comparison, *, changed_only: bool, detailed: bool) -> Iterator[Line]:
    shown = tuple(found.shown(changed_only=changed_only))
    if detailed:
        for change in shown:
            yield from _details(change)
            yield line()
    elif shown:
        yield from _table(shown)
        yield line()
    if found.moves:
        yield line(Span("what moves", "dim"))
        for move in found.moves:
            ways = f" (and in {len(move.texts) - 1} other ways)" if len(move.texts) > 1 else ""
            yield line("  ", move.texts[0], ways)
            count = f"    {_counted(len(move.images))}: "
            yield line(Span(count + _fitting(move.images, _WIDTH - len(count)), "dim"))
        yield line()
    yield from closing(found)


def _table(shown: Sequence[ImageChange]) -> Sequence[Line]:
    """Return a line for each image, no longer than a terminal is wide."""
    firsts = [_row(change) for change in shown]
    used = sum(max(len(row[at].text) for row in (*firsts, _HEADER)) + 2 for at in range(len(_HEADER)))
    rows = [
        (*first, _fitting(_briefs(change), max(_WIDTH - used, _NARROWEST)))
        for change, first in zip(shown, firsts, strict=True)
    ]
    return table(rows, header=(*(title.text for title in _HEADER), "why"))


def _row(change: ImageChange) -> tuple[Span, Span, Span]:
    state = Span(change.standing, _STYLES[change.standing])
    same = change.standing is Standing.UNCHANGED
    return Span(change.name, "" if same else "bold"), state, Span("" if same else pulled(change.pull))


def _briefs(change: ImageChange) -> tuple[str, ...]:
    """Return the reasons in few words, highest layer first: it is what the image is wanted for.

    That an image is new is said by its state.
    """
    reasons = () if change.standing is Standing.NEW else change.reasons
    parts = [reason for reason in reversed(reasons) if reason.component]
    others = [reason for reason in reasons if not reason.component]
    return tuple(dict.fromkeys(reason.brief for reason in (*parts, *others)))


def _fitting(words: Sequence[str], width: int) -> str:
    """Return as many words as fit, at least one, and how many more there are."""
    for count in range(len(words), 0, -1):
        more = f", {len(words) - count} more" if count < len(words) else ""
        text = ", ".join(words[:count]) + more
        if len(text) <= width:
            return text
    return f"{words[0][: width - 1]}…" if words else ""


def _details(change: ImageChange) -> Iterator[Line]:
    state = Span(change.standing, _STYLES[change.standing])
    yield line(Span(change.name, "bold"), "  ", state, "  ", Span(change.image.graph_digest[_SHORT_DIGEST], "dim"))
    for reason in change.reasons:
        where = f" ({', '.join(reason.platforms)})" if reason.platforms else ""
        yield line("  ", Span("because ", "dim"), reason.text, where)
    moved = {reason.component for reason in change.reasons}
    for platform in change.image.platforms:
        pull = change.pulls[platform.platform]
        told = ("  pull ", pulled(pull)) if change.standing is not Standing.UNCHANGED else ()
        yield line("  ", Span(platform.platform, "cyan"), "  ", platform.graph_digest[_SHORT_DIGEST], *told)
        yield from table(
            [
                (
                    Span(layer.component, "bold" if layer.component in moved else ""),
                    layer.version,
                    layer.graph_digest[_SHORT_DIGEST],
                )
                for layer in platform.layers
            ],
            indent=4,
        )


def pulled(pull: Pull) -> str:
    """Return how much users pull, and how sure that is."""
    size = human_size(pull.size)
    match pull.accuracy:
        case Accuracy.EXACT:
            return size
        case Accuracy.ESTIMATE:
            return f"about {size}"
        case Accuracy.UNKNOWN:
            return f"over {size}" if pull.size else "unknown"


def _counted(images: int) -> str:
    return "1 image" if images == 1 else f"{images} images"


def closing(found: Comparison) -> Iterator[Line]:
    """Yield what there is to say of all images: how many of each state first."""
    counts = [(len(found.named(standing)), standing) for standing in Standing]
    yield line(", ".join(f"{count} {standing}" for count, standing in counts if count), f", against {found.against}")
    if not found.recorded:
        yield line(Span("nothing was published yet, as far as is known there: everything is new", "dim"))
    if found.gone:
        yield line("published and no longer in the matrix: ", ", ".join(found.gone))
    if found.to_build and found.recorded:
        yield line("a user of all published images pulls ", pulled(found.total))
