"""`agc publish`: from definitions to tags in registries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
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
    NoGate,
    PlatformNames,
    Sign,
    To,
    TrustConfig,
    destinations,
    named,
    platforms,
)
from pipeline.cli.output import Line, Span, human_size, line, table
from pipeline.cli.progress import progress
from pipeline.engine.api import Compression
from pipeline.errors import UsageError
from pipeline.platform import Platform
from pipeline.stages.outputs import Output, OutputKind
from pipeline.stages.project import Project
from pipeline.stages.publish import PublishPlan, PublishRequest
from pipeline.stages.publishing import PublishReport
from pipeline.supply.sign.choose import chosen


def command(
    context: typer.Context,
    images: ImageNames = None,
    everything: All = False,
    to: To = None,
    platform: PlatformNames = None,
    changed: Annotated[
        bool,
        typer.Option("--changed", help="Only images that are new or differ from what was published; all by default."),
    ] = False,
    against: Against = None,
    locked: Locked = False,
    compression: Compressed = Compression.ZSTD,
    junit: JunitFile = None,
    sign: Sign = None,
    trust_config: TrustConfig = None,
    no_gate: NoGate = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show where images would go, under which tags; build and send nothing.")
    ] = False,
) -> None:
    """Build images, run their smoke tests, and publish those that pass, tags last."""
    if against is not None and not changed:
        raise UsageError("--against says what --changed compares with", remedy="add --changed")
    places = destinations(to)
    names = named(images, everything=everything or (changed and not images))
    session = session_of(context)
    project = flow.open_project(session.project, session.engine)
    wanted = platforms(platform)

    if changed:
        names = _changed(context, project, names, wanted, places, against)
        if not names:
            shown = against or "registry/catalog.json"
            session.output.result({"images": []}, lambda: [line(f"nothing to do: all images are as in {shown}")])
            return

    today = datetime.now(UTC).date()
    request = PublishRequest(
        *(tuple(names), wanted, places, today),
        locked=locked,
        compression=compression,
        junit=junit,
        sign=chosen(project.settings.sign, sign, trust_config),
        waiver=no_gate,
    )
    if dry_run:
        _show_plan(context, project, request)
        return

    async def work(session: Session) -> tuple[PublishReport, ...]:
        with progress(session.output) as reporter:
            return await flow.publish(project, request, reporter)

    done = run_command(context, work)
    session.output.result({"images": [report.as_json() for report in done]}, lambda: _summary(done))


def _changed(
    context: typer.Context,
    project: Project,
    names: Sequence[str],
    wanted: tuple[Platform, ...],
    places: Sequence[str],
    against: str | None,
) -> list[str]:
    """Return the images that are new or differ, in any of the places or from what `against` has."""
    asked = [None] if against is not None else [Output(OutputKind.PUSH, place) for place in places]
    found = [compared(context, project, names, wanted, against, output).to_build for output in asked]
    return list(dict.fromkeys(name for part in found for name in part))


def _show_plan(context: typer.Context, project: Project, request: PublishRequest) -> None:
    async def ask(_: Session) -> tuple[PublishPlan, ...]:
        return await flow.plan_publish(project, request)

    plans = run_command(context, ask)
    document = {"images": [plan.as_json() for plan in plans]}
    session_of(context).output.result(document, lambda: table([_plan_row(plan) for plan in plans]))


def _plan_row(plan: PublishPlan) -> tuple[str | Span, ...]:
    told = Span(f"refused: {plan.refused}", "red") if plan.refused else Span(", ".join(plan.tags))
    return (Span(plan.name, "bold"), plan.repository, told)


def _summary(reports: Sequence[PublishReport]) -> Iterator[Line]:
    for report in reports:
        passed = sum(one.passed for one in report.image.smoke)
        yield line(Span(report.image.name, "bold"), "  ", Span(f"{passed} smoke tests passed", "green"))
        for place in report.places:
            traffic = place.traffic
            sent = f"{human_size(traffic.sent_bytes)} sent in {traffic.sent} blobs, {traffic.mounted} mounted"
            yield line("  ", f"{place.repository}@{place.digest}")
            yield line("    ", Span("tags ", "dim"), ", ".join(place.tags))
            yield line("    ", Span("blobs", "dim"), " ", sent)
