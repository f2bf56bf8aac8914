"""The gate an image passes before it is published: policy of the definitions, scan of its SBOM, verdict.

Its answers are of four kinds: passed; vulnerable (exit code 14); nothing to judge by, because the database is missing
or old (15); and no answer, because a scanner failed (16). None of the last three is a pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.errors import AgcError, DatabaseError, ErrorGroup, ScannerError, UsageError
from pipeline.settings import GateSettings, ScannerName
from pipeline.stages.osv_copy import FetchedOsv
from pipeline.stages.project import Project
from pipeline.verify.vulnerabilities.choose import choose_scanner
from pipeline.verify.vulnerabilities.finding import Scanner, severity_of
from pipeline.verify.vulnerabilities.judge import GatePolicy, Verdict, judge

_FEWEST_WORDS = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """An image on a platform (`linux/amd64`, or "" where that is not known), and its SBOM, CycloneDX or SPDX JSON."""

    image: str
    platform: str
    sbom: Path

    def __str__(self) -> str:
        """Return what people call it."""
        return f"{self.image} on {self.platform}" if self.platform else self.image


@dataclass(frozen=True, slots=True)
class Gated:
    """What the gate says of one subject: a verdict, or the failure that kept it from one."""

    subject: Subject
    verdict: Verdict | None = None
    error: AgcError | None = None

    @property
    def failure(self) -> AgcError | None:
        """Why it did not pass, if it did not."""
        return self.error or (self.verdict.failure() if self.verdict else None)


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate says of all subjects. With a `waiver` nobody looked, and that is the reason given for it."""

    gated: tuple[Gated, ...] = ()
    waiver: str = ""

    @property
    def passed(self) -> bool:
        """Whether every subject passed; one that nobody looked at did not."""
        return not self.waiver and all(item.failure is None for item in self.gated)

    @property
    def failures(self) -> tuple[AgcError, ...]:
        """Why each of those that did not pass did not."""
        return tuple(failure for item in self.gated if (failure := item.failure))

    def enforce(self) -> None:
        """Raise the failures: a single one as it is, several as ErrorGroup."""
        if len(self.failures) == 1:
            raise self.failures[0]
        if self.failures:
            raise ErrorGroup(self.failures)

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` has it."""
        return {
            "passed": self.passed,
            **({"waiver": self.waiver} if self.waiver else {}),
            "images": [
                {"platform": item.subject.platform, **item.verdict.as_json()} for item in self.gated if item.verdict
            ],
        }


async def gate(
    project: Project,
    subjects: Sequence[Subject],
    now: datetime,
    environment: Mapping[str, str],
    *,
    database: Path | None = None,
    waiver: str = "",
) -> GateReport:
    """Return what the project's gate says of `subjects`; a caller that enforces calls `enforce` on it.

    `database` takes the place of the configured one. A `waiver` is the written reason for which nothing is scanned;
    the policy checks of the definitions hold all the same. Raises ErrorGroup where those fail, UsageError for a waiver
    that is no reason.
    """
    if not subjects:
        raise UsageError("there is nothing for the gate to look at", remedy="name an image")
    project.check_policy()
    if waiver:
        if len(waiver.split()) < _FEWEST_WORDS:
            raise UsageError("a gate is not left open without a reason", remedy="write why, in a sentence")
        return GateReport(waiver=waiver)
    settings = project.settings.gate
    try:
        scanner = _scanner(project, settings.scanner, database, environment)
    except (DatabaseError, ScannerError) as error:
        return GateReport(tuple(Gated(subject, error=error) for subject in subjects[:1]))
    policy = gate_policy(settings)
    return GateReport(tuple([await _one(project, scanner, subject, policy, now) for subject in subjects]))


def gate_policy(settings: GateSettings) -> GatePolicy:
    """Return the policy that agc.toml says."""
    return GatePolicy(severity_of(settings.severity), settings.fixable_only, timedelta(days=settings.max_age_days))


def with_gate(project: Project, **changes: Any) -> Project:
    """Return the project with some of its gate's settings changed: those that are not None."""
    update = {name: value for name, value in changes.items() if value is not None}
    settings = project.settings
    changed = settings.model_copy(update={"gate": settings.gate.model_copy(update=update)})
    return replace(project, settings=changed)


def _scanner(project: Project, name: ScannerName, database: Path | None, environment: Mapping[str, str]) -> Scanner:
    settings = project.settings
    if name in {"auto", "osv"} and settings.gate.osv_url and database is None:
        return FetchedOsv(settings)
    # The folder of the settings is OSV's; what is given beside them belongs to whichever scanner is asked for.
    if database is None and name in {"auto", "osv"} and settings.gate.osv:
        database = Path(settings.gate.osv)
    return choose_scanner(name, database, settings.cache, environment)


async def _one(project: Project, scanner: Scanner, subject: Subject, policy: GatePolicy, now: datetime) -> Gated:
    try:
        result = await scanner.scan(subject.sbom)
        return Gated(subject, judge(subject.image, result, policy, project.definitions.vex, now))
    except (DatabaseError, ScannerError) as error:
        return Gated(subject, error=error)
