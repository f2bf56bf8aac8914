"""`agc plan`: what would be built."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from pipeline import flow
from pipeline.cli.app import session_of
from pipeline.cli.options import ImageNames, PlatformNames, platforms
from pipeline.cli.output import Line, Span, line, table
from pipeline.stages.report import PlannedImage


def command(context: typer.Context, images: ImageNames = None, platform: PlatformNames = None) -> None:
    """Show the graph digest of each image and of its layers, all images by default. Needs no engine and no network."""
    session = session_of(context)
    project = flow.open_project(session.project)
    planned = flow.plan(project, images or (), platforms(platform))
    session.output.result({"images": [image.as_json() for image in planned]}, lambda: _lines(planned))


def _lines(planned: tuple[PlannedImage, ...]) -> Iterator[Line]:
    for image in planned:
        for platform in image.platforms:
            yield line(Span(image.name, "bold"), "  ", Span(platform.platform, "cyan"), "  ", platform.graph_digest)
            rows = [(layer.component, layer.version, layer.graph_digest[7:19]) for layer in platform.layers]
            yield from table(rows, indent=2)
