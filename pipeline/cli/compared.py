"""Hold images beside what was published, for commands that show or build what changed."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from pipeline import flow
from pipeline.cli.app import Session, run_command
from pipeline.platform import Platform
from pipeline.stages.changes import Comparison
from pipeline.stages.outputs import Output
from pipeline.stages.project import Project


def compared(
    context: typer.Context,
    project: Project,
    names: Sequence[str],
    wanted: tuple[Platform, ...],
    against: str | None,
    output: Output | None = None,
) -> Comparison:
    """Return images beside what the registry namespace `against` has, or where it is None, beside the catalog."""

    async def ask(_: Session) -> Comparison:
        return await flow.plan_against(project, names, wanted, against or "")

    return flow.plan(project, names, wanted, output) if against is None else run_command(context, ask)
