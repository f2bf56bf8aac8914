"""`agc catalog`: what was published, as a list or as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import flow, starting
from pipeline.cli.app import session_of
from pipeline.cli.output import Line, Span, human_size, line, table

if TYPE_CHECKING:
    from pipeline.outputs.shelf import Item


def command(
    context: typer.Context,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="DIR",
            help="Write the page with search and filters into this folder, to be served from anywhere.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the images with agent, base, day, size and where they are, as registry/catalog.json says.

    Images of the project that were not published are there too. Needs no engine and no network.
    """
    session = session_of(context)
    project = flow.open_project(session.project)
    items = starting.catalog(project)
    written = starting.write_catalog_page(project, html) if html else ()
    data = {"images": [_json(item) for item in items], "written": [str(path) for path in written]}
    session.output.result(data, lambda: _written(written) if html else _lines(items))


def _json(item: Item) -> dict[str, Any]:
    return {
        "name": item.name,
        "base": item.base,
        "agent": item.agent or None,
        "toolpack": item.toolpack or None,
        "version": item.version or None,
        "capabilities": list(item.capabilities),
        "day": item.day or None,
        "size": item.size or None,
        "repository": item.repository or None,
        "digest": item.digest or None,
        "tags": list(item.tags),
        "platforms": list(item.platforms),
    }


def _written(paths: Sequence[Path]) -> Iterator[Line]:
    for path in paths:
        yield line(Span("wrote ", "dim"), str(path))


def _lines(items: Sequence[Item]) -> Iterator[Line]:
    rows = [
        (
            Span(item.name, "bold"),
            item.version or "-",
            item.day or "-",
            human_size(item.size) if item.layers else "-",
            f"{item.repository}:{item.tag}" if item.repository else Span("not published", "dim"),
        )
        for item in items
    ]
    yield from table(rows, header=("image", "version", "published", "size", "where"), right={3})
