"""`agc smoke`: only the tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer

from pipeline import flow
from pipeline.cli.app import Session, run_command, session_of
from pipeline.cli.options import All, ImageNames, JunitFile, Locked, PlatformNames, named, platforms
from pipeline.cli.output import Line, Span, line, plain, seconds, table
from pipeline.cli.progress import progress
from pipeline.verify.smoke import SmokeReport, SmokeResult


def command(
    context: typer.Context,
    images: ImageNames = None,
    everything: All = False,
    platform: PlatformNames = None,
    locked: Locked = False,
    junit: JunitFile = None,
) -> None:
    """Run the smoke tests of images as their user, without writing the images out. Exit code 8 if one fails."""
    names = named(images, everything=everything)
    session = session_of(context)
    project = flow.open_project(session.project, session.engine)
    wanted = platforms(platform)

    async def work(session: Session) -> tuple[SmokeReport, ...]:
        with progress(session.output) as reporter:
            return await flow.smoke(project, names, wanted, reporter, locked=locked, junit=junit)

    reports = run_command(context, work)
    if not session.output.json or all(reports):
        session.output.result({"reports": [_report(report) for report in reports]}, lambda: lines_of(reports))
    for report in reports:
        report.raise_for_failures()


def _report(report: SmokeReport) -> dict[str, Any]:
    return {
        "image": report.image,
        "platform": str(report.platform),
        "passed": report.passed,
        "failed": len(report.failures),
        "tests": [
            {
                "component": result.component,
                "name": result.name,
                "depth": result.depth,
                "passed": result.passed,
                "cached": result.cached,
                "seconds": round(result.seconds, 3),
                "output": list(result.output),
            }
            for result in report.results
        ],
    }


def lines_of(reports: Sequence[SmokeReport]) -> Iterator[Line]:
    """Yield the results of all tests for people."""
    for report in reports:
        yield line(Span(report.image, "bold"), "  ", Span(str(report.platform), "cyan"))
        yield from table([_row(result) for result in report.results], indent=2)


def _row(result: SmokeResult) -> tuple[str | Span, ...]:
    state = Span("passed", "green") if result.passed else Span("failed", "red")
    time = Span("cached", "dim") if result.cached else Span(seconds(result.seconds))
    return (
        state,
        Span(result.depth, "dim"),
        f"{result.component}: {result.name}",
        time,
        plain(result.output[-1]) if result.output else "",
    )
