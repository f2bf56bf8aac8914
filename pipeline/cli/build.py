"""`agc build`: from definitions to tested images."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline import flow
from pipeline.cli.app import Session, run_command, session_of
from pipeline.cli.compared import compared
from pipeline.cli.options import (
    Against,
    All,
    Compressed,
    ImageNames,
    JunitFile,
    Locked,
    PlatformNames,
    named,
    platforms,
)
from pipeline.cli.output import line
from pipeline.cli.progress import progress
from pipeline.cli.summary import build_summary
from pipeline.engine.api import Compression
from pipeline.errors import UsageError
from pipeline.stages.changes import Comparison
from pipeline.stages.outputs import parse_output
from pipeline.stages.report import ImageReport


def command(
    context: typer.Context,
    images: ImageNames = None,
    everything: All = False,
    platform: PlatformNames = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="WHERE", help="oci:DIR, docker, push:REGISTRY/NAMESPACE or none."),
    ] = "oci:out",
    locked: Locked = False,
    compression: Compressed = Compression.ZSTD,
    junit: JunitFile = None,
    no_smoke: Annotated[
        bool, typer.Option("--no-smoke", help="Write the images untested; `agc smoke` tests them later.")
    ] = False,
    changed: Annotated[
        bool,
        typer.Option("--changed", help="Only images that are new or differ from what was published; all by default."),
    ] = False,
    against: Against = None,
) -> None:
    """Build images, run their smoke tests, and write out those that pass."""
    if against is not None and not changed:
        raise UsageError("--against says what --changed compares with", remedy="add --changed")
    if no_smoke and junit:
        raise UsageError("--junit has nothing to write with --no-smoke", remedy="leave one of them out")
    names = named(images, everything=everything or (changed and not images))
    session = session_of(context)
    project = flow.open_project(session.project, session.engine)
    target = parse_output(output)
    wanted = platforms(platform)

    if changed:
        found = compared(context, project, names, wanted, against, target)
        names = list(found.to_build)
        if not names:
            session.output.result({"images": []}, lambda: [line("nothing to do: ", _unchanged(found))])
            return

    async def work(session: Session) -> tuple[ImageReport, ...]:
        with progress(session.output) as reporter:
            return await flow.build(
                project,
                names,
                wanted,
                target,
                reporter,
                locked=locked,
                compression=compression,
                junit=junit,
                tested=not no_smoke,
            )

    built = run_command(context, work)
    session.output.result({"images": [report.as_json() for report in built]}, lambda: build_summary(built))


def _unchanged(found: Comparison) -> str:
    count = len(found.images)
    return f"{'the image is' if count == 1 else f'all {count} images are'} as in {found.against}"
