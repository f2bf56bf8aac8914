"""`agc lock`: turn moving names into pins."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import flow
from pipeline.cli.app import Session, run_command, session_of
from pipeline.cli.output import Line, Span, line
from pipeline.cli.progress import progress


def command(
    context: typer.Context,
    upgrade: Annotated[
        list[str] | None,
        typer.Option("--upgrade", metavar="NAME", help="Move this component to its newest version; `all` for all."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail where a pin is missing, stale or damaged.")
    ] = False,
) -> None:
    """Resolve what is missing from the lock or older than its definition; every other pin stays where it is."""
    session = session_of(context)
    project = flow.open_project(session.project)
    if check:
        flow.check_lock(project)
        session.output.result({"locked": True, "changes": []}, lambda: [line("the lock is complete")])
        return

    async def work(session: Session) -> list[dict[str, str]]:
        with progress(session.output) as reporter:
            changes = await flow.lock(project, upgrade or (), reporter)
        return [{"component": one.component, "before": one.before, "after": one.after} for one in changes]

    changes = run_command(context, work)
    session.output.result({"locked": True, "changes": changes}, lambda: _lines(changes))


def _lines(changes: list[dict[str, str]]) -> list[Line]:
    if not changes:
        return [line("the lock was complete; nothing moved")]
    return [
        line(Span(change["component"], "bold"), f": {change['before'] or '(new)'} → {change['after']}")
        for change in changes
    ]
