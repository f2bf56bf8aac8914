"""What a person reads at the end of a build: digests, the size of each layer, the time of each stage, how to run it."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.cli.output import Line, Span, human_size, line, seconds, table
from pipeline.stages.report import ImageReport, PlatformReport

_SHORT_DIGEST = len("sha256:") + 12


def build_summary(reports: Iterable[ImageReport]) -> tuple[Line, ...]:
    """Return the lines that close a build, images a blank line apart."""
    return tuple(one for at, report in enumerate(reports) for one in (*([line()] if at else []), *_image(report)))


def _image(report: ImageReport) -> tuple[Line, ...]:
    rows: list[tuple[str | Span, ...]] = [("digest", report.digest), ("graph", report.graph_digest)]
    tail: list[tuple[str | Span, ...]] = []
    if report.smoke:
        passed = sum(one.passed for one in report.smoke)
        tail.append(("smoke", Span(f"{passed} passed", "green")))
    if not report.tested:
        tail.append(("smoke", Span("not tested (--no-smoke)", "yellow")))
    if report.seconds:
        tail.append(("time", ", ".join(f"{stage} {seconds(spent)}" for stage, spent in report.seconds.items())))
    tail += [("output", output) for output in report.outputs]
    if report.command:
        tail.append(("run", Span(report.command, "bold")))
    width = max(len(row[0]) for row in [*rows, *tail])
    platforms = [one for platform in report.platforms for one in _platform(platform)]
    facts, ends = ([line("  ", Span(f"{row[0]:<{width}} ", "dim"), row[1]) for row in part] for part in (rows, tail))
    return (line(Span(report.name, "bold")), *facts, line(), *platforms, *ends)


def _platform(report: PlatformReport) -> tuple[Line, ...]:
    rows: list[tuple[str | Span, ...]] = [
        (layer.component, human_size(layer.size), Span("cached", "dim") if layer.cached else Span("built", "green"))
        for layer in report.layers
    ]
    built = sum(not layer.cached for layer in report.layers)
    total = (
        Span("total", "dim"),
        human_size(sum(layer.size for layer in report.layers)),
        f"{built} of {len(rows)} built",
    )
    heading = line("  ", Span(report.platform, "cyan"), "  ", Span(report.digest[:_SHORT_DIGEST], "dim"))
    return (heading, *table([*rows, total], right={1}, indent=4), line())
