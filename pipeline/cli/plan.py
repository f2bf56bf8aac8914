"""`agc plan`: what would be built, why, and what it costs those who have the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from pipeline import flow
from pipeline.cli.app import Session, run_command, session_of
from pipeline.cli.options import Against, ImageNames, PlatformNames, platforms
from pipeline.cli.output import Line, Span, human_size, line, table
from pipeline.stages.changes import Comparison, ImageChange, Standing
from pipeline.stages.pull import Accuracy, Pull
from pipeline.stages.reasons import Reason

_STYLES = {Standing.NEW: "green", Standing.CHANGED: "yellow", Standing.UNCHANGED: "dim"}
_SHOWN_IMAGES = 4
_SHORT_DIGEST = slice(len("sha256:"), len("sha256:") + 12)


def command(
    context: typer.Context,
    images: ImageNames = None,
    platform: PlatformNames = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Show only images that are new or differ from what was published.")
    ] = False,
    against: Against = None,
) -> None:
    """Show which images differ from what was published, why, what else moves, and what users pull.

    All images by default. Needs no engine, and without --against no network.
    """
    session = session_of(context)
    project = flow.open_project(session.project)
    wanted = platforms(platform)

    async def ask(_: Session) -> Comparison:
        return await flow.plan_against(project, images or (), wanted, against or "")

    found = flow.plan(project, images or (), wanted) if against is None else run_command(context, ask)
    detailed = session.output.verbose or bool(images)
    session.output.result(
        found.as_json(changed_only=changed), lambda: _lines(found, changed_only=changed, detailed=detailed)
    )


def _lines(found: Comparison, *, changed_only: bool, detailed: bool) -> Iterator[Line]:
    shown = tuple(found.shown(changed_only=changed_only))
    if detailed:
        for change in shown:
            yield from _details(change)
            yield line()
    elif shown:
        yield from table([_row(change) for change in shown], header=("image", "state", "pull", "why"))
        yield line()
    if found.moves:
        yield from table([_move(move.texts, move.images) for move in found.moves], header=("what moves", "images"))
        yield line()
    yield from _closing(found)


def _row(change: ImageChange) -> tuple[str | Span, ...]:
    state = Span(change.standing, _STYLES[change.standing])
    if change.standing is Standing.UNCHANGED:
        return change.name, state
    why = "" if change.standing is Standing.NEW else _short(change.reasons)
    return Span(change.name, "bold"), state, _pulled(change.pull), why


def _short(reasons: Sequence[Reason]) -> str:
    """Return the first reason; of what moved on several platforms, one stands for all."""
    kinds = {(reason.kind, reason.component or reason.text) for reason in reasons}
    more = f" (+{len(kinds) - 1})" if len(kinds) > 1 else ""
    return reasons[0].text + more


def _details(change: ImageChange) -> Iterator[Line]:
    state = Span(change.standing, _STYLES[change.standing])
    yield line(Span(change.name, "bold"), "  ", state, "  ", Span(change.image.graph_digest, "dim"))
    for reason in change.reasons:
        where = f" ({', '.join(reason.platforms)})" if reason.platforms else ""
        yield line("  ", Span("because ", "dim"), reason.text, where)
    moved = {reason.component for reason in change.reasons}
    for platform in change.image.platforms:
        pull = change.pulls[platform.platform]
        told = ("  pull ", _pulled(pull)) if change.standing is not Standing.UNCHANGED else ()
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


def _move(texts: Sequence[str], images: Sequence[str]) -> tuple[str, ...]:
    more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
    rest = f", {len(images) - _SHOWN_IMAGES} more" if len(images) > _SHOWN_IMAGES else ""
    return f"{texts[0]}{more}", f"{len(images)}: {', '.join(images[:_SHOWN_IMAGES])}{rest}"


def _pulled(pull: Pull) -> str:
    if pull.size is None:
        return "unknown"
    return f"about {human_size(pull.size)}" if pull.accuracy is Accuracy.ESTIMATE else human_size(pull.size)


def _closing(found: Comparison) -> Iterator[Line]:
    counts = [(len(found.named(standing)), standing) for standing in Standing]
    yield line(", ".join(f"{count} {standing}" for count, standing in counts if count), f", against {found.against}")
    if not found.recorded:
        yield line(Span("nothing was published yet, as far as is known there: everything is new", "dim"))
    if found.gone:
        yield line("published and no longer in the matrix: ", ", ".join(found.gone))
    if found.to_build and found.recorded:
        yield line("who has all published images pulls ", _pulled(found.total))
