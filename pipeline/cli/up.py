"""`agc up`: a stack started with Docker Compose."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import flow, starting
from pipeline.cli.app import session_of
from pipeline.cli.options import ComposeFiles
from pipeline.cli.output import line

command = typer.Typer(add_completion=False, rich_markup_mode=None)


@command.command(context_settings={"ignore_unknown_options": True})
def up(
    context: typer.Context,
    stack: Annotated[str, typer.Argument(metavar="STACK", help="Its name, as in definitions/stacks/.")],
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FLAGS]...", help="Passed to `docker compose up`.", show_default=False),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option("--profile", metavar="NAME", help="Also start what has this profile.", show_default=False),
    ] = None,
    file: ComposeFiles = None,
) -> None:
    """Start a stack in the background, and wait until everything in it is healthy.

    Its workspace and a file for each secret are made where they are not there. Everything else does `docker compose`.
    """
    session = session_of(context)
    project = flow.open_project(session.project)
    starting.start_stack(project, stack, flags or (), profiles=profile or (), files=file or ())
    session.output.result({"stack": stack, "running": True}, lambda: [line(f"{stack} is up")])
