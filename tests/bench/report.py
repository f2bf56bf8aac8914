"""What was found, as a table on a terminal and as docs/benchmarks.md. Pure but for what the facts are read from."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.settings import BUILDKIT_VERSION
from tests.bench.measure import (
    BUMP,
    COLD_MATRIX,
    DOCKERFILES,
    OURS,
    SCENARIOS,
    UPDATE,
    Ratio,
    Sample,
    Scenario,
    Step,
    of,
    ratio,
    same_digests,
)
from tests.bench.scenarios import SMOKE, Comparison

_TEXT = Path(__file__).with_name("page.md")
_PROFILED = 6


@dataclass(frozen=True, slots=True)
class Findings:
    """Samples, failures by scenario, and facts about where and when they were taken."""

    samples: tuple[Sample, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def scenarios(self) -> set[str]:
        """The names of the scenarios that were measured to their end."""
        return {sample.scenario for sample in self.samples} - set(self.failures)

    def told(self, facts: Mapping[str, str], date: str) -> Findings:
        """Return these with facts."""
        return replace(self, facts={**facts, "Date": date})

    def without(self, scenario: str) -> Findings:
        """Return these without what is known of a scenario."""
        kept = {name: words for name, words in self.failures.items() if name != scenario}
        samples = tuple(sample for sample in self.samples if sample.scenario != scenario)
        return replace(self, samples=samples, failures=kept)

    def with_sample(self, sample: Sample) -> Findings:
        """Return these with one sample more."""
        return replace(self, samples=(*self.samples, sample))

    def with_failure(self, scenario: str, words: str) -> Findings:
        """Return these with one failure more."""
        return replace(self, failures={**self.failures, scenario: words})

    def as_json(self) -> dict[str, Any]:
        """Return them as JSON can hold them."""
        samples = [sample.as_json() for sample in self.samples]
        return {"facts": dict(self.facts), "failures": dict(self.failures), "samples": samples}

    @staticmethod
    def read(file: Path) -> Findings:
        """Return what an earlier run wrote; nothing where there was none."""
        if not file.is_file():
            return Findings()
        document = json.loads(file.read_text())
        samples = tuple(
            Sample(**{**sample, "steps": tuple(Step(**step) for step in sample["steps"])})
            for sample in document["samples"]
        )
        return Findings(samples, document["failures"], document["facts"])


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `goal` is None where there is none."""

    title: str
    theirs: str
    ours: str
    found: Ratio | None
    goal: float | None = None

    def cells(self) -> tuple[str, ...]:
        """Return its cells."""
        shown = str(self.found) if self.found else "-"
        goal = f"≤ {self.goal:g}" if self.goal else ""
        return (self.title, self.theirs, self.ours, shown, goal, _verdict(self))


def _verdict(row: Row) -> str:
    if row.goal is None:
        return ""
    if row.found is None:
        return "not measured"
    return "met" if row.found.meets(row.goal) else "**missed**"


def rows(findings: Findings) -> Iterator[Row]:
    """Yield the lines of the table: times first, then bytes."""
    for scenario in SCENARIOS:
        yield _row(findings, scenario, "seconds", f"{scenario.title}: time", scenario.goal)
    tested = of(findings.samples, SMOKE, OURS)
    if tested:
        theirs = [sample.seconds for sample in of(findings.samples, COLD_MATRIX, DOCKERFILES)]
        ours = [sample.seconds for sample in tested] * len(theirs)
        yield Row(f"{SMOKE.title}: time", _seconds(theirs), _seconds(ours), ratio(ours, theirs))
    for scenario in SCENARIOS:
        yield _row(findings, scenario, "pushed", f"{scenario.title}: bytes pushed", None)
    yield _row(findings, BUMP, "pulled", f"{BUMP.title}: bytes pulled", None)
    yield _row(findings, UPDATE, "pulled", f"{UPDATE.title}: bytes pulled", UPDATE.pulled_goal)


def _row(findings: Findings, scenario: Scenario, what: str, title: str, goal: float | None) -> Row:
    ours, theirs = (
        [float(getattr(sample, what)) for sample in of(findings.samples, scenario, side)]
        for side in (OURS, DOCKERFILES)
    )
    shown = _seconds if what == "seconds" else _megabytes
    return Row(title, shown(theirs), shown(ours), ratio(ours, theirs), goal)


def summary(findings: Findings) -> Iterator[str]:
    """Yield the table for a terminal, and what failed."""
    table = [("", "Dockerfiles", "ours", "ratio", "goal", ""), *(row.cells() for row in rows(findings))]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(cells).replace("**", "").rstrip()
    yield f"two cold builds, same digests: {_same(findings)}"
    for name, words in findings.failures.items():
        yield f"FAILED {name}: {words}"


def markdown(findings: Findings) -> str:
    """Return docs/benchmarks.md."""
    head = ("", "Dockerfiles", "agc", "agc ÷ Dockerfiles", "goal", "")
    facts = {**findings.facts, "Load": _load(findings.samples)}
    parts = {
        "facts": "\n".join(f"| {name} | {value} |" for name, value in facts.items()),
        "table": _table(head, (row.cells() for row in rows(findings))),
        "digests": _same(findings),
        "failures": "".join(f"\n`{name}` could not be measured: {why}\n" for name, why in findings.failures.items()),
        "profile": "\n".join(_profile(findings)),
    }
    return re.sub(r"<!-- (\w+) -->", lambda found: parts[found[1]], _TEXT.read_text())


def _profile(findings: Findings) -> Iterator[str]:
    """Yield, for each scenario, the longest steps of the last round of both sides."""
    for scenario in (*SCENARIOS, SMOKE):
        last = {side: of(findings.samples, scenario, side)[-1:] for side in (OURS, DOCKERFILES)}
        if not last[OURS]:
            continue
        yield f"### {scenario.title[0].upper()}{scenario.title[1:]}\n"
        stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in last[OURS][0].stages.items())
        yield f"`agc`, the longest of each stage over all images: {stages}.\n"
        pairs = [[f"{step.name} | {step.seconds:.1f} s" for step in one[0].steps[:_PROFILED]] if one else []
                 for one in (last[OURS], last[DOCKERFILES])]  # fmt: skip
        length = max(map(len, pairs))
        lines = zip(*(side + [" | "] * (length - len(side)) for side in pairs), strict=True)
        yield "| agc | | Dockerfiles | |\n| --- | --- | --- | --- |"
        yield from (f"| {mine} | {other} |" for mine, other in lines)
        yield ""


def facts(machine: Any, comparison: Comparison) -> dict[str, str]:
    """Return what one must know of the machine and of what was built."""
    pins = comparison.ours.pins()
    named = ("node", "bun", "claude", "codex", "copilot", "openclaw")
    return {
        "Machine": f"{os.cpu_count()} cores, {_memory_gigabytes():.0f} GB, {_processor()}",
        "System": f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}",
        "BuildKit": f"{BUILDKIT_VERSION}, one daemon for both, with runc and overlayfs",
        "Versions": ", ".join(f"{name} {pins[name].version}" for name in named),
        "Command": f"`agc build {' '.join(['--locked', *comparison.ours.choices()])} --output push:… IMAGE…`",
        "Bumped": " → ".join(comparison.versions),
    }


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---", *(["---:"] * (len(head) - 3)), "---", "---"]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))


def _load(samples: Sequence[Sample]) -> str:
    """Return how much else the machine did; the scenario before is part of it."""
    if not samples:
        return "-"
    loads = [sample.load for sample in samples]
    return f"{min(loads):.1f} to {max(loads):.1f}, median {median(loads):.1f}, just before each run"


def _same(findings: Findings) -> str:
    ours = [*of(findings.samples, COLD_MATRIX, OURS), *of(findings.samples, SMOKE, OURS)]
    if len(ours) < 2:
        return "not measured"
    return f"yes, {len(ours)} builds of {len(ours[0].digests)} images" if same_digests(ours) else "**no**"


def _seconds(values: Sequence[float]) -> str:
    return f"{median(values):.1f} s" if values else "-"


def _megabytes(values: Sequence[float]) -> str:
    return f"{median(values) / 1e6:,.1f} MB".replace(",", " ") if values else "-"


def _memory_gigabytes() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
