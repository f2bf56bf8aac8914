"""The gate as publish calls it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from pipeline.errors import DatabaseError, ErrorGroup, ExitCode, UsageError
from pipeline.stages.gating import GateReport, Subject, gate, with_gate
from pipeline.stages.project import Project, load_project
from tests.unit.models.test_bad_input import FILES
from tests.unit.models.test_exceptions import VEX
from tests.unit.verify.test_policy import NO_EGRESS
from tests.unit.verify.vulnerabilities.samples import BINARY, LODASH, NOW, X_NET, cyclonedx, write_database


def project(folder: Path, settings: str = "", **files: str) -> Project:
    """Return a small project with an OSV database beside it."""
    (folder / "definitions").mkdir(exist_ok=True)
    for name, text in {**FILES, **{f"{name}.yaml": text for name, text in files.items()}}.items():
        (folder / "definitions" / name).write_text(text, encoding="utf-8")
    write_database(folder / "osv")
    (folder / "agc.toml").write_text(f'cache = "cache"\n[gate]\nosv = "osv"\n{settings}', encoding="utf-8")
    return load_project(folder, {})


def passed_on(found: Project, *purls: str, waiver: str = "", later: timedelta = timedelta()) -> GateReport:
    """Return the gate's report on an image of some packages."""
    sbom = found.folder / "sbom.json"
    sbom.write_bytes(cyclonedx(*purls))
    subject = Subject("node-bun-claude", "linux/amd64", sbom)

    async def ask() -> GateReport:
        return await gate(found, [subject], NOW + later, {"PATH": ""}, waiver=waiver)

    return anyio.run(ask)


def test_an_image_with_a_vulnerability_is_not_published(tmp_path: Path) -> None:
    """Exit code 14, by the configured database."""
    report = passed_on(project(tmp_path), LODASH)
    with pytest.raises(Exception, match="CVE-2020-8203") as caught:
        report.enforce()

    assert caught.value.exit_code == ExitCode.GATE  # type: ignore[attr-defined]
    assert not report.passed
    assert report.as_json()["images"][0]["findings"][0]["outcome"] == "blocks"


def test_a_statement_lets_it_pass(tmp_path: Path) -> None:
    """From definitions/vex."""
    report = passed_on(project(tmp_path, vex=VEX), LODASH)
    report.enforce()

    assert report.passed


def test_settings_say_what_counts(tmp_path: Path) -> None:
    """What is low does not block unless it is told to; command lines win over files."""
    found = project(tmp_path)

    assert passed_on(found, X_NET).passed
    assert not passed_on(with_gate(found, severity="low", scanner=None), X_NET).passed
    assert not passed_on(project(tmp_path, 'severity = "low"\n'), X_NET).passed
    assert passed_on(project(tmp_path, 'severity = "low"\nfixable-only = true\n', vex=VEX), LODASH).passed


def test_an_old_database_is_a_failure_of_its_own(tmp_path: Path) -> None:
    """Exit code 15, whether something was found or not."""
    report = passed_on(project(tmp_path), X_NET, later=timedelta(days=2))
    with pytest.raises(DatabaseError, match="6 days old") as caught:
        report.enforce()

    assert caught.value.exit_code == ExitCode.DATABASE
    assert passed_on(project(tmp_path, "max-age-days = 7\n"), X_NET, later=timedelta(days=2)).passed


def test_with_nothing_to_look_with_nothing_passes(tmp_path: Path) -> None:
    """The remedy says how to get something."""
    found = project(tmp_path)
    bare = with_gate(found, osv="")
    with pytest.raises(DatabaseError, match="nothing is there") as caught:
        passed_on(bare, LODASH).enforce()

    assert "agc.toml" in caught.value.remedy
    with pytest.raises(Exception, match="trivy is not on PATH") as missing:
        passed_on(with_gate(found, scanner="trivy"), LODASH).enforce()
    assert missing.value.exit_code == ExitCode.SCANNER  # type: ignore[attr-defined]


def test_an_sbom_that_cannot_be_read_is_the_scanners_failure(tmp_path: Path) -> None:
    """And no pass."""
    with pytest.raises(Exception, match="lists no package") as caught:
        passed_on(project(tmp_path)).enforce()

    assert caught.value.exit_code == ExitCode.SCANNER  # type: ignore[attr-defined]


def test_what_nobody_could_look_at_is_told(tmp_path: Path) -> None:
    """It stands in the report."""
    assert passed_on(project(tmp_path), X_NET, BINARY).as_json()["images"][0]["uncovered"] == [BINARY]


def test_a_waiver_needs_a_reason_and_is_recorded(tmp_path: Path) -> None:
    """It is not called a pass."""
    found = project(tmp_path)
    report = passed_on(found, LODASH, waiver="OSV is down and the fix of CVE-2026-1 must go out")
    report.enforce()

    assert not report.passed
    assert report.as_json()["waiver"].startswith("OSV is down")
    with pytest.raises(UsageError, match="without a reason"):
        passed_on(found, LODASH, waiver="please")


def test_policy_checks_hold_for_the_gate_too(tmp_path: Path) -> None:
    """With a waiver as well: it is about scanning."""
    with pytest.raises(ErrorGroup, match="which hosts it must reach"):
        passed_on(project(tmp_path, agent=NO_EGRESS), LODASH, waiver="no scan today because of reasons")


def test_without_subjects_there_is_no_answer(tmp_path: Path) -> None:
    """Nothing that was looked at is nothing that passed."""

    async def ask() -> GateReport:
        return await gate(project(tmp_path), [], NOW, {})

    with pytest.raises(UsageError):
        anyio.run(ask)
