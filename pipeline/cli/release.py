"""`agc release`: what a scheduled job runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from pipeline import flow
from pipeline.cli.app import Session, run_command, session_of
from pipeline.cli.options import (
    ImageNames,
    JunitFile,
    NoGate,
    PlatformNames,
    Sign,
    To,
    TrustConfig,
    destinations,
    platforms,
)
from pipeline.cli.output import Line, Span, line
from pipeline.cli.progress import progress
from pipeline.errors import ErrorGroup
from pipeline.stages.publish import PublishRequest
from pipeline.stages.releasing import ReleaseReport
from pipeline.stages.upgrade import LockRequest
from pipeline.supply.sign.choose import chosen


def command(
    context: typer.Context,
    images: ImageNames = None,
    to: To = None,
    platform: PlatformNames = None,
    no_upgrade: Annotated[
        bool, typer.Option("--no-upgrade", help="Publish what changed, and leave the lock as it is.")
    ] = False,
    cool_down: Annotated[
        float | None,
        typer.Option("--cool-down", metavar="DAYS", min=0, max=365, help="As for agc lock.", show_default=False),
    ] = None,
    sign: Sign = None,
    trust_config: TrustConfig = None,
    no_gate: NoGate = "",
    junit: JunitFile = None,
) -> None:
    """Update the lock; build, test, scan and publish the images that then differ from what was published.

    A run right after another does nothing and says so. Commit registry/ afterwards.
    """
    places = destinations(to)
    session = session_of(context)
    project = flow.open_project(session.project, session.engine)
    now = datetime.now(UTC)
    upgrade = None if no_upgrade else LockRequest(now, ("all",), cool_down)
    request = PublishRequest(
        *(tuple(images or ()), platforms(platform), places, now.date()),
        junit=junit,
        sign=chosen(project.settings.sign, sign, trust_config),
        waiver=no_gate,
    )

    async def work(session: Session) -> ReleaseReport:
        with progress(session.output) as reporter:
            return await flow.release(project, upgrade, request, reporter)

    done = run_command(context, work)
    if not (session.output.json and done.errors):
        session.output.result(done.as_json(), lambda: _lines(done))
    if done.errors:
        raise done.errors[0] if len(done.errors) == 1 else ErrorGroup(done.errors)


def _lines(done: ReleaseReport) -> Iterator[Line]:
    if done.idle:
        yield line("nothing to do: the lock is up to date, and every image is as published")
    for change in done.lock.changes:
        yield line(Span(change.component, "bold"), f": {change.before or '(new)'} → {change.after}")
    for report in done.published:
        for place in report.places:
            yield line(Span(report.image.name, "bold"), "  ", f"{place.repository}@{place.digest}")
            yield line("    ", Span("tags ", "dim"), ", ".join(place.tags))
