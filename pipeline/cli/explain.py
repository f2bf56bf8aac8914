"""`agc explain`: what an image is made of, and where each part of it comes from."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from pipeline import flow
from pipeline.cli.app import session_of
from pipeline.cli.options import ImageName, PlatformName, platform_of
from pipeline.cli.output import Line, Span, line, plain, table
from pipeline.stages.explain import Explanation, Fact


def command(
    context: typer.Context,
    image: ImageName,
    platform: PlatformName = None,
) -> None:
    """Show every resolved option of an image with the file and line it comes from. Needs no engine and no network."""
    session = session_of(context)
    project = flow.open_project(session.project)
    wanted = platform_of(platform)
    found = flow.explain(project, image, wanted)
    session.output.result(found.as_json(), lambda: _lines(found))


def _lines(found: Explanation) -> Iterator[Line]:
    yield line(Span(found.image, "bold"), "  ", Span(found.platform, "cyan"))
    for title, facts in found.sections:
        if facts:
            yield line()
            yield line(Span(title, "bold"))
            yield from table([_row(fact) for fact in facts], indent=2)


def _row(fact: Fact) -> tuple[str | Span, ...]:
    return (fact.name, plain(fact.value), Span(", ".join(fact.origins), "dim"))
