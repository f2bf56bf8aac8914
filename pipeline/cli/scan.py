"""`agc scan`: look for known vulnerabilities in what an SBOM lists, and say what the gate would."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, get_args

import typer

from pipeline import flow
from pipeline.cli.app import run_command, session_of
from pipeline.cli.failure import as_json, exit_code
from pipeline.cli.failure import lines_of as failure_lines
from pipeline.cli.options import ImageNames, PlatformNames, platforms
from pipeline.cli.output import Line, Span, line, plain, table
from pipeline.errors import ErrorGroup, UsageError
from pipeline.platform import Platform
from pipeline.settings import ScannerName, SeverityName
from pipeline.stages.bills import BillFormat
from pipeline.stages.gating import Gated, GateReport, Subject, gate, with_gate
from pipeline.stages.project import Project
from pipeline.verify.vulnerabilities.finding import written
from pipeline.verify.vulnerabilities.judge import Judged, Outcome, Verdict

_STYLES = {Outcome.BLOCKS: "red", Outcome.EXCEPTED: "cyan", Outcome.NOTED: "dim"}
_ORDER = (Outcome.BLOCKS, Outcome.EXCEPTED, Outcome.NOTED)


def command(
    context: typer.Context,
    images: ImageNames = None,
    sbom: Annotated[
        Path | None,
        typer.Option("--sbom", metavar="FILE", help="SBOM of the image, CycloneDX or SPDX JSON.", show_default=False),
    ] = None,
    scanner: Annotated[
        str | None,
        typer.Option(
            "--scanner", metavar="|".join(get_args(ScannerName)), help="What looks (default: auto).", show_default=False
        ),
    ] = None,
    database: Annotated[
        Path | None,
        typer.Option("--db", metavar="PATH", help="The scanner's database, or OSV's data.", show_default=False),
    ] = None,
    severity: Annotated[
        str | None,
        typer.Option(
            "--severity",
            metavar="|".join(get_args(SeverityName)),
            help="The least that counts (default: high).",
            show_default=False,
        ),
    ] = None,
    fixable_only: Annotated[bool, typer.Option("--fixable-only", help="Count only what has a fix.")] = False,
    platform: PlatformNames = None,
) -> None:
    """Look for known vulnerabilities in built images, or in what an SBOM lists. Exit code 14 if some may not pass."""
    session = session_of(context)
    _known("--scanner", scanner, get_args(ScannerName))
    _known("--severity", severity, get_args(SeverityName))
    project = with_gate(
        flow.open_project(session.project, session.engine),
        scanner=scanner,
        severity=severity,
        fixable_only=fixable_only or None,
    )
    now = datetime.now(UTC)

    async def work(subjects: Sequence[Subject]) -> GateReport:
        return await gate(project, subjects, now, os.environ, database=database)

    with TemporaryDirectory(prefix="agc-scan-") as folder:
        wanted = platforms(platform)
        subjects = (_given(images or [], sbom),) if sbom else tuple(_built(images or [], wanted, project, Path(folder)))
        report = run_command(context, lambda _session: work(subjects))
    if session.output.json and report.failures:
        # The findings are what a machine asked for, so they stand beside the error in the one object there is.
        error = ErrorGroup(report.failures) if len(report.failures) > 1 else report.failures[0]
        session.output.failure({**report.as_json(), **as_json(error)}, failure_lines(error, session.project))
        raise typer.Exit(exit_code(error))
    session.output.result(report.as_json(), lambda: (one for item in report.gated for one in lines_of(item)))
    report.enforce()


def lines_of(gated: Gated) -> Iterator[Line]:
    """Yield what the gate says of one image, for people."""
    verdict = gated.verdict
    if verdict is None:
        return
    result = verdict.result
    yield line(Span(verdict.image, "bold"), f"  {result.components} packages, {len(result.findings)} findings")
    yield line(
        Span(f"  {result.scanner} {result.version}, ", "dim"),
        Span(f"{result.database.name} of {written(result.database.built)}", "dim"),
    )
    rows = [_row(item) for outcome in _ORDER for item in verdict.judged if item.outcome is outcome]
    if rows:
        yield from table(rows, header=("", "severity", "id", "package", "version", "fixed in", ""), indent=2)
    yield from _notes(verdict)


def _row(item: Judged) -> tuple[str | Span, ...]:
    found = item.finding
    score = f" {found.score}" if found.score else ""
    return (
        Span(str(item.outcome), _STYLES[item.outcome]),
        f"{found.severity}{score}",
        plain(found.id),
        plain(found.purl.partition("?")[0].rpartition("@")[0] or found.purl),
        plain(found.version),
        plain(", ".join(found.fixed)) or "-",
        plain(item.because),
    )


def _notes(verdict: Verdict) -> Iterator[Line]:
    for statement in verdict.expired:
        place = statement.at("spec", "expires")
        text = f"statement {statement.name} expired on {statement.model.spec.expires}"
        yield line(Span("  expired: ", "yellow"), f"{text}  {place}")
    if count := len(verdict.result.uncovered):
        yield line(Span("  not looked at: ", "yellow"), f"{count} packages of kinds the database knows nothing of")
    state = Span("passed", "green") if verdict.passed else Span(f"{len(verdict.blocking)} may not pass", "red")
    yield line("  ", state)


def _built(images: list[str], wanted: Sequence[Platform], project: Project, folder: Path) -> Iterator[Subject]:
    """Yield images as they lie where builds leave them, each with its SBOM in a file of `folder`."""
    if not images:
        raise UsageError("no image was named", remedy="agc scan IMAGE, or agc scan --sbom FILE")
    for image in dict.fromkeys(images):
        for platform in wanted:
            bill = flow.sbom(project, image, platform, BillFormat.CYCLONEDX, None)
            path = folder / f"{image}-{platform.architecture}.cdx.json"
            path.write_bytes(bill.document)
            yield Subject(image, str(platform), path)


def _given(images: list[str], sbom: Path) -> Subject:
    if len(images) > 1:
        raise UsageError("one SBOM is of one image", remedy="name one image with --sbom")
    return Subject(images[0] if images else sbom.name.partition(".")[0], "", sbom.absolute())


def _known(option: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise UsageError(f"{option} {value} is not one there is", remedy=f"one of: {', '.join(choices)}")
