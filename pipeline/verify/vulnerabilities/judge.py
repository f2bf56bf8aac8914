"""The verdict on what a scanner found: what blocks, what is let pass and why, what is only said.

Rules kept here:

- a database of unknown age, or older than the policy allows, is no verdict but a failure;
- what nobody has rated counts as if it were bad enough;
- a statement that has expired lets nothing pass any more, and that is said;
- nothing is read from the clock: the same inputs give the same verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from pipeline.errors import DatabaseError, VulnerableError
from pipeline.models.defined import Defined
from pipeline.models.kinds import Vex
from pipeline.verify.vulnerabilities.finding import Finding, ScanResult, Severity, written

_CLOCKS_DIFFER = timedelta(days=1)
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What counts: from which severity on, and how old a database may be."""

    severity: Severity = Severity.HIGH
    fixable_only: bool = False
    max_age: timedelta = timedelta(days=5)

    def as_json(self) -> dict[str, Any]:
        """Return it as attestations have it."""
        return {
            "severity": str(self.severity),
            "fixableOnly": self.fixable_only,
            "maxAgeSeconds": int(self.max_age.total_seconds()),
        }


class Outcome(StrEnum):
    """What becomes of a finding."""

    BLOCKS = "blocks"
    EXCEPTED = "excepted"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding and what becomes of it; `because` says why, `statement` is what was written of it."""

    finding: Finding
    outcome: Outcome
    because: str = ""
    statement: Defined[Vex] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` has it."""
        return {**self.finding.as_json(), "outcome": str(self.outcome), "because": self.because}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with an image."""

    image: str
    policy: GatePolicy
    result: ScanResult
    judged: tuple[Judged, ...]
    expired: tuple[Defined[Vex], ...] = ()

    @property
    def blocking(self) -> tuple[Judged, ...]:
        """What keeps it from being published."""
        return tuple(item for item in self.judged if item.outcome is Outcome.BLOCKS)

    @property
    def passed(self) -> bool:
        """Whether nothing does."""
        return not self.blocking

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` has it."""
        result = self.result.as_json()
        return {
            "image": self.image,
            "passed": self.passed,
            "policy": self.policy.as_json(),
            **result,
            "findings": [item.as_json() for item in self.judged],
            "expired": [statement.name for statement in self.expired],
        }

    def failure(self) -> VulnerableError | None:
        """Return what is wrong with the image, as a failure to raise or to warn of; None where it passed."""
        if self.passed:
            return None
        worst = sorted(self.blocking, key=lambda item: -_weight(item.finding))[:_SHOWN]
        lines = [f"{item.finding.id} ({item.finding.severity}) in {item.finding.purl}{_fixed(item)}" for item in worst]
        if len(self.blocking) > len(worst):
            lines.append(f"and {len(self.blocking) - len(worst)} more")
        count = len(self.blocking)
        text = f"{self.image}: {count} {'vulnerability' if count == 1 else 'vulnerabilities'} that may not pass"
        return VulnerableError(
            "\n".join([text, *lines]),
            location=next((statement.at("spec", "expires") for statement in self.expired), None),
            remedy="update what has a fix (agc lock --upgrade NAME), or write a statement in definitions/vex/",
        )


def judge(
    image: str, result: ScanResult, policy: GatePolicy, statements: Mapping[str, Defined[Vex]], now: datetime
) -> Verdict:
    """Return the verdict on `image`; raises DatabaseError where the scan rests on a database of no use."""
    check_age(result, policy, now)
    own = [item for item in statements.values() if _is_about(item, image)]
    judged: list[Judged] = []
    expired: dict[str, Defined[Vex]] = {}
    for finding in result.findings:
        speaking = [item for item in own if speaks_of(item, finding)]
        valid = [item for item in speaking if now.date() <= item.model.spec.expires]
        expired |= {item.name: item for item in speaking if item not in valid}
        judged.append(_judge(finding, policy, valid, speaking))
    return Verdict(image, policy, result, tuple(judged), tuple(expired[name] for name in sorted(expired)))


def check_age(result: ScanResult, policy: GatePolicy, now: datetime) -> None:
    """Raise DatabaseError where the database is too old, or from a time that has not come."""
    built, name = result.database.built, result.database.name
    if built - now > _CLOCKS_DIFFER:
        text = f"{name} says it was made on {written(built)}, which has not come yet"
        raise DatabaseError(text, remedy="check this machine's clock, and get the database again")
    if now - built > policy.max_age:
        days = (now - built).days
        raise DatabaseError(
            f"{name} is {days} days old, made on {written(built)}; {policy.max_age.days} days are allowed",
            remedy="get a new one; docs/how-to/gate.md says how. `max-age-days` in agc.toml is what is allowed",
        )


def speaks_of(statement: Defined[Vex], finding: Finding) -> bool:
    """Tell whether a statement is about this vulnerability of this package, expired or not."""
    spec = statement.model.spec
    return spec.vulnerability in finding.ids and any(matches(purl, finding.purl) for purl in spec.packages)


def matches(pattern: str, purl: str) -> bool:
    """Tell whether a package URL is the one that `pattern` means: what the pattern leaves out may be anything."""
    from packageurl import PackageURL

    try:
        wanted, found = PackageURL.from_string(pattern), PackageURL.from_string(purl)
    except ValueError:
        return False  # a scanner that gave no package URL; nothing is let pass on a guess
    asked = dict(wanted.qualifiers) if isinstance(wanted.qualifiers, dict) else {}
    there = dict(found.qualifiers) if isinstance(found.qualifiers, dict) else {}
    return (
        (wanted.type, wanted.namespace, wanted.name) == (found.type, found.namespace, found.name)
        and wanted.version in {None, found.version}
        and asked.items() <= there.items()
    )


def _is_about(statement: Defined[Vex], image: str) -> bool:
    return any(fnmatchcase(image, pattern) for pattern in statement.model.spec.products)


def _judge(
    finding: Finding, policy: GatePolicy, valid: Iterable[Defined[Vex]], speaking: Iterable[Defined[Vex]]
) -> Judged:
    for statement in valid:
        spec = statement.model.spec
        if spec.status in {"not_affected", "fixed"}:
            word = spec.status.replace("_", " ")
            return Judged(finding, Outcome.EXCEPTED, f"{word} until {spec.expires}: {spec.reason}", statement)
    said = next(iter(valid), None) or next(iter(speaking), None)
    more = _said(said, expired=said is not None and said not in list(valid))
    if _weight(finding) < policy.severity:
        return Judged(finding, Outcome.NOTED, "; ".join(filter(None, ("below the severity that counts", more))), said)
    if policy.fixable_only and not finding.fixed:
        return Judged(finding, Outcome.NOTED, "; ".join(filter(None, ("there is no fix yet", more))), said)
    unrated = "nobody has rated it" if finding.severity is Severity.UNKNOWN else ""
    return Judged(finding, Outcome.BLOCKS, "; ".join(filter(None, (unrated, more))), said)


def _said(statement: Defined[Vex] | None, *, expired: bool) -> str:
    if statement is None:
        return ""
    if expired:
        return f"statement {statement.name} expired on {statement.model.spec.expires}"
    return f"statement {statement.name} says {statement.model.spec.status.replace('_', ' ')}"


def _weight(finding: Finding) -> Severity:
    """Return how bad a finding is taken to be: what nobody rated may be as bad as anything."""
    return Severity.CRITICAL if finding.severity is Severity.UNKNOWN else finding.severity


def _fixed(item: Judged) -> str:
    fix = f", fixed in {', '.join(item.finding.fixed)}" if item.finding.fixed else ", no fix yet"
    return f"{fix}; {item.because}" if item.because else fix
