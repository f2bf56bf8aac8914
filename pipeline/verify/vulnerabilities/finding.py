"""Findings as every scanner's are written down here: the same words, sorted, without anything of the run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from pipeline.digest import Digest


class Severity(IntEnum):
    """How bad a vulnerability is, by CVSS's qualitative scale; UNKNOWN where nobody said."""

    UNKNOWN = -1
    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    def __str__(self) -> str:
        """Return the word as people write it."""
        return self.name.lower()


_WORDS = {
    **{str(severity): severity for severity in Severity},
    "negligible": Severity.LOW,
    "moderate": Severity.MEDIUM,
    "important": Severity.HIGH,
}


def severity_of(word: str) -> Severity:
    """Return the severity that a database's or scanner's word means; UNKNOWN for any word that is not one."""
    return _WORDS.get(word.strip().lower(), Severity.UNKNOWN)


def severity_of_score(score: float) -> Severity:
    """Return the qualitative severity of a CVSS base score (CVSS v3.1, section 5; v4.0, section 6)."""
    bounds = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW))
    return next((severity for least, severity in bounds if score >= least), Severity.NONE)


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One vulnerability of one package; `score` is the CVSS base score as text, "" where there is none.

    `fixed` are the versions in which it is mended, `where` the files it was found by.
    """

    id: str
    purl: str
    version: str
    severity: Severity = Severity.UNKNOWN
    score: str = ""
    aliases: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    where: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """Every name it is known by."""
        return frozenset((self.id, *self.aliases))

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` and attestations have it."""
        return {
            "id": self.id,
            "aliases": list(self.aliases),
            "severity": str(self.severity),
            "score": self.score,
            "package": self.purl,
            "version": self.version,
            "fixed": list(self.fixed),
            "where": list(self.where),
        }


@dataclass(frozen=True, slots=True)
class Database:
    """What a scanner knew: whose it is, a digest of it, and when it was made."""

    name: str
    digest: Digest
    built: datetime

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` and attestations have it."""
        return {"name": self.name, "digest": self.digest, "built": written(self.built)}


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scanner found in one SBOM of `components` packages; `uncovered` are those it knows nothing of."""

    scanner: str
    version: str
    database: Database
    sbom: Digest
    components: int
    findings: tuple[Finding, ...] = ()
    uncovered: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` and attestations have it."""
        return {
            "scanner": {"name": self.scanner, "version": self.version},
            "database": self.database.as_json(),
            "sbom": self.sbom,
            "components": self.components,
            "uncovered": list(self.uncovered),
            "findings": [finding.as_json() for finding in self.findings],
        }


class Scanner(Protocol):
    """Something that finds vulnerabilities in the packages an SBOM lists."""

    async def scan(self, sbom: Path) -> ScanResult:
        """Return what is wrong with what `sbom` lists.

        Raises DatabaseError where what it knows is missing or damaged, ScannerError where it fails.
        """
        ...


def tidied(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings sorted, each once: what was found in several places is one finding with all of them."""
    found: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        key = (finding.id, finding.purl, finding.version)
        other = found.get(key, finding)
        found[key] = replace(
            finding,
            severity=max(finding.severity, other.severity),
            score=max(finding.score, other.score, key=lambda score: float(score or 0)),
            aliases=_joined(finding.aliases, other.aliases),
            fixed=tuple(dict.fromkeys((*other.fixed, *finding.fixed))),
            where=_joined(finding.where, other.where),
        )
    return tuple(sorted(found.values()))


def written(moment: datetime) -> str:
    """Return a moment as RFC 3339 writes it, in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _joined(*groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({item for group in groups for item in group}))
