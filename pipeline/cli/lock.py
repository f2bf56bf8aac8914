"""`agc lock`: turn moving names into pins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from pipeline import flow
from pipeline.cli.app import Session, run_command, session_of
from pipeline.cli.output import line
from pipeline.cli.progress import progress
from pipeline.errors import ExitCode, UsageError
from pipeline.stages.upgrade import LockRequest, LockResult


def command(
    context: typer.Context,
    upgrade: Annotated[
        list[str] | None,
        typer.Option("--upgrade", metavar="NAME", help="Move this component to its newest version; `all` for all."),
    ] = None,
    cool_down: Annotated[
        float | None,
        typer.Option(
            "--cool-down",
            metavar="DAYS",
            min=0,
            max=365,
            help="How old a release must be, in place of what the definitions say; 0 takes any.",
            show_default=False,
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept", metavar="PACKAGE@VERSION", help="Take this release, which was refused."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail where a pin is missing, stale or damaged.")
    ] = False,
) -> None:
    """Resolve what is missing from the lock or older than its definition; every other pin stays where it is.

    A release that is too young waits. One that changed in a way a person should see is refused: exit code 12.
    """
    session = session_of(context)
    request = LockRequest(datetime.now(UTC), tuple(upgrade or ()), cool_down, _releases(accept or ()))
    project = flow.open_project(session.project, session.engine)
    if check:
        flow.check_lock(project)
        session.output.result({"locked": True, "changes": []}, lambda: [line("the lock is complete")])
        return

    async def work(session: Session) -> LockResult:
        with progress(session.output) as reporter:
            return await flow.lock(project, request, reporter)

    result = run_command(context, work)
    from pipeline.cli.updates import as_json, lines_of, refused, unused  # a lock that fails shows none of it

    for release in unused(request, result):
        session.output.warn(f"{release} was not refused; nothing was accepted")
    if not session.output.json or not result.errors:
        session.output.result(as_json(result), lambda: lines_of(result, verbose=session.output.verbose))
    result.raise_for_errors()
    if refused(result):
        raise typer.Exit(ExitCode.REFUSED)


def _releases(names: list[str] | tuple[()]) -> frozenset[str]:
    for name in names:
        package, _, version = name.rpartition("@")
        if not package or not version:
            raise UsageError(f"{name!r} is no release", remedy="write PACKAGE@VERSION, as the refusal shows it")
    return frozenset(names)
