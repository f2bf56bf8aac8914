"""`agc list-matrix`: the images there are, and why others are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from pipeline import flow
from pipeline.cli.app import session_of
from pipeline.cli.output import Line, Span, line, table
from pipeline.errors import UsageError
from pipeline.models.choices import pick, suggest
from pipeline.models.defined import Defined
from pipeline.resolve.matrix import TIERS, Combination
from pipeline.stages.project import Project


def command(
    context: typer.Context,
    base: Annotated[
        str | None, typer.Option("--base", metavar="NAME", help="Only what is on this base or combo.")
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only images with this agent.")] = None,
    tier: Annotated[
        str | None, typer.Option("--tier", metavar="TIER", help="Only images of this tier: v1 or extra.")
    ] = None,
    excluded: Annotated[
        bool, typer.Option("--excluded", help="Also the pairs that are no images, with the reason.")
    ] = False,
) -> None:
    """List the images of the project with base, agent, tier and platforms. Needs no engine and no network."""
    session = session_of(context)
    project = flow.open_project(session.project)
    project.check_matrix()
    _check_names(project, base, agent, tier)
    chosen = [
        item
        for item in project.combinations
        if base in {None, item.parts.base.name}
        and agent in {None, _name(item.parts.agent)}
        and tier in {None, item.tier}
    ]
    images = [item for item in chosen if not item.reason]
    # A pair that is no image has no tier either.
    others = [item for item in chosen if item.reason] if excluded else []
    data: dict[str, Any] = {"images": [_image_json(item) for item in images]}
    if excluded:
        data["excluded"] = [_excluded_json(item) for item in others]
    session.output.result(data, lambda: _lines(images, others))


def _check_names(project: Project, base: str | None, agent: str | None, tier: str | None) -> None:
    """Raise UsageError for a filter that can match nothing."""
    if base is not None:
        pick(project.definitions.bases, base, "base")
    if agent is not None:
        pick(project.definitions.agents, agent, "agent")
    if tier is not None and tier not in TIERS:
        raise UsageError(f"there is no tier named {tier!r}", remedy=suggest(tier, TIERS))


def _name(part: Defined[Any] | None) -> str | None:
    return part.name if part else None


def _image_json(item: Combination) -> dict[str, Any]:
    return {
        "name": item.name,
        "base": item.parts.base.name,
        "agent": _name(item.parts.agent),
        "toolpack": _name(item.parts.toolpack),
        "tier": item.tier or None,
        "platforms": list(item.platforms),
    }


def _excluded_json(item: Combination) -> dict[str, Any]:
    return {
        "name": item.name,
        "base": item.parts.base.name,
        "agent": _name(item.parts.agent),
        "toolpack": _name(item.parts.toolpack),
        "reason": item.reason,
        "location": str(item.location) if item.location else None,
    }


def _lines(images: Sequence[Combination], others: Sequence[Combination]) -> Iterator[Line]:
    rows = [
        (
            Span(item.name, "bold"),
            item.parts.base.name,
            _name(item.parts.agent) or "-",
            _name(item.parts.toolpack) or "-",
            item.tier or "-",
            ", ".join(item.platforms),
        )
        for item in images
    ]
    yield from table(rows, header=("image", "base", "agent", "toolpack", "tier", "platforms"))
    if others:
        yield line()
        yield line(Span("no images", "bold"))
        pairs = [(item.name, item.reason, Span(str(item.location or ""), "dim")) for item in others]
        yield from table(pairs, indent=2)
