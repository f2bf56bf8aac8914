"""How the findings are shown, kept and read again."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench.measure import BUMP, COLD_MATRIX, DOCKERFILES, NO_OP, OURS, UPDATE, Sample, Scenario, Step
from tests.bench.report import Findings, markdown, rows, summary


def sample(scenario: Scenario, side: str, seconds: float, number: int = 0, pulled: int = 0) -> Sample:
    """Return a sample with one step."""
    digests = {"node-bun-claude": "sha256:1"}
    steps = (Step("install", seconds),)
    return Sample(scenario.name, side, number, seconds, 5_000_000, pulled, 0.1, digests, {"build": seconds}, steps)


FOUND = Findings(
    (
        sample(NO_OP, OURS, 1.0),
        sample(NO_OP, DOCKERFILES, 4.0),
        sample(COLD_MATRIX, OURS, 90.0),
        sample(COLD_MATRIX, DOCKERFILES, 100.0),
        sample(COLD_MATRIX, OURS, 92.0, 1),
        sample(COLD_MATRIX, DOCKERFILES, 100.0, 1),
        sample(UPDATE, OURS, 10.0, pulled=100),
        sample(UPDATE, DOCKERFILES, 100.0, pulled=1000),
    ),
    facts={"Machine": "2 cores"},
)


def test_each_goal_is_met_missed_or_not_measured() -> None:
    """A missed one is said as loudly as one that is met."""
    verdicts = {row.title: row.cells()[-1] for row in rows(FOUND) if row.goal}

    assert verdicts == {
        "nothing changed: time": "met",
        "one agent bumped (claude): time": "not measured",
        "security update of the root: time": "met",
        "one base alone, cold: time": "not measured",
        "whole matrix, cold: time": "**missed**",
        "security update of the root: bytes pulled": "met",
    }


def test_the_table_shows_figures_ratio_and_goal() -> None:
    """Median figures of both sides, then the ratio with its spread."""
    (row,) = [row for row in rows(FOUND) if row.title == "whole matrix, cold: time"]

    assert row.cells() == (
        "whole matrix, cold: time",
        "100.0 s",
        "91.0 s",
        "0.91 (0.90 to 0.92)",
        "≤ 0.6",
        "**missed**",
    )


def test_findings_are_kept_and_read_again(tmp_path: Path) -> None:
    """A run can go on where another one ended."""
    file = tmp_path / "results.json"
    file.write_text(json.dumps(FOUND.with_failure("agent-bump", "no network").as_json()))

    assert Findings.read(file) == FOUND.with_failure("agent-bump", "no network")
    assert Findings.read(tmp_path / "none.json") == Findings()


def test_a_scenario_that_failed_is_done_again() -> None:
    """It is not among those that were measured, whatever samples it left."""
    failed = FOUND.with_failure(NO_OP.name, "no network")

    assert failed.scenarios == {COLD_MATRIX.name, UPDATE.name}
    assert failed.without(NO_OP.name).failures == {}
    assert NO_OP.name not in failed.without(NO_OP.name).scenarios


def test_the_page_has_every_part() -> None:
    """Facts, table, digests, failures and the longest steps; no place of its text is left open."""
    page = markdown(FOUND.with_failure(BUMP.name, "HTTP 503"))

    assert "| Machine | 2 cores |" in page
    assert "| whole matrix, cold: time | 100.0 s | 91.0 s |" in page
    assert "yes, 2 builds of 1 images" in page
    assert "`agent-bump` could not be measured: HTTP 503" in page
    assert "| install | 92.0 s | install | 100.0 s |" in page
    assert "<!--" not in page


def test_the_terminal_shows_the_same_table() -> None:
    """In columns, without marks, and with what failed below."""
    lines = list(summary(FOUND.with_failure(BUMP.name, "HTTP 503")))

    assert any(line.startswith("whole matrix, cold: time") and line.endswith("missed") for line in lines)
    assert not any("**" in line for line in lines)
    assert lines[-1] == "FAILED agent-bump: HTTP 503"
