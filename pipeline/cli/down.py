"""`agc down`: a stack stopped with Docker Compose."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import flow, starting
from pipeline.cli.app import session_of
from pipeline.cli.options import ComposeFiles
from pipeline.cli.output import line

command = typer.Typer(add_completion=False, rich_markup_mode=None)


@command.command(context_settings={"ignore_unknown_options": True})
def down(
    context: typer.Context,
    stack: Annotated[str, typer.Argument(metavar="STACK", help="Its name.")],
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FLAGS]...", help="Passed to `docker compose down`.", show_default=False),
    ] = None,
    volumes: Annotated[bool, typer.Option("--volumes", "-v", help="Remove its volumes too, with all state.")] = False,
    file: ComposeFiles = None,
) -> None:
    """Stop a stack, whatever profiles it was started with, and remove its containers and networks."""
    session = session_of(context)
    starting.stop_stack(flow.open_project(session.project), stack, flags or (), files=file or (), volumes=volumes)
    session.output.result({"stack": stack, "running": False}, lambda: [line(f"{stack} is down")])
