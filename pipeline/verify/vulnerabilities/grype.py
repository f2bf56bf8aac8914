"""Grype (github.com/anchore/grype): `grype sbom:FILE`, with the database that is there and without asking for another.

Grype's own check of the database's age is off: it is the gate that judges it, alike for every scanner.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
from pydantic import BaseModel, ConfigDict, Field

from pipeline.digest import Digest, digest_file
from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.component import read_components
from pipeline.verify.vulnerabilities.finding import Database, Finding, ScanResult, severity_of, tidied
from pipeline.verify.vulnerabilities.grype_database import ECOSYSTEMS, unknown_to
from pipeline.verify.vulnerabilities.process import Program, absolute
from pipeline.verify.vulnerabilities.subjects import Subjects, subjects_of

_VARIABLES = {
    "GRYPE_DB_AUTO_UPDATE": "false",
    "GRYPE_DB_VALIDATE_AGE": "false",
    "GRYPE_DB_REQUIRE_UPDATE_CHECK": "false",
    "GRYPE_CHECK_FOR_APP_UPDATE": "false",
}
_REMEDY = "grype db update, or grype db import FILE; see docs/how-to/gate.md"
_FILE = "vulnerability.db"
_CHECKSUM = re.compile(r"sha256(?::|%3A)([0-9a-f]{64})", re.IGNORECASE)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", defer_build=True, allow_inf_nan=False, alias_generator=_camel
    )


class GrypeStatus(_Part):
    """The answer of `grype db status -o json`."""

    schema_version: str = ""
    source: str = Field(default="", alias="from")
    built: datetime | None = None
    path: str = ""
    valid: bool = False
    error: str = ""


class GrypeFix(_Part):
    """Where it is mended."""

    versions: tuple[str, ...] | None = None


class GrypeMetrics(_Part):
    """What a CVSS vector comes to."""

    base_score: float = 0.0


class GrypeCvss(_Part):
    """One CVSS rating."""

    metrics: GrypeMetrics = GrypeMetrics()


class GrypeVulnerability(_Part):
    """A vulnerability."""

    id: str
    severity: str = ""
    cvss: tuple[GrypeCvss, ...] | None = None
    fix: GrypeFix = GrypeFix()


class GrypePlace(_Part):
    """A file a package was found by."""

    path: str = ""


class GrypeArtifact(_Part):
    """A package."""

    name: str
    version: str = ""
    purl: str = ""
    locations: tuple[GrypePlace, ...] | None = None


class GrypeMatch(_Part):
    """A vulnerability of a package."""

    vulnerability: GrypeVulnerability
    related: tuple[GrypeVulnerability, ...] | None = Field(default=None, alias="relatedVulnerabilities")
    artifact: GrypeArtifact


class GrypeDescriptor(_Part):
    """Who made the report."""

    version: str


class GrypeReport(_Part):
    """The answer of `grype -o json`."""

    matches: tuple[GrypeMatch, ...]
    descriptor: GrypeDescriptor


@dataclass(frozen=True, slots=True)
class GrypeScanner:
    """The program at `path`, with the folder that holds its database."""

    path: str
    cache: Path

    async def scan(self, sbom: Path) -> ScanResult:
        """Return what Grype says of the packages in `sbom`; see `Scanner`."""
        program = Program("grype", self.path, {**_VARIABLES, "GRYPE_DB_CACHE_DIR": str(self.cache)})
        # It ends with status 1 where there is no database, and says so in its answer all the same.
        status = await program.ask(GrypeStatus, "db", "status", "--output", "json", check=False)
        components = read_components(sbom)
        subjects = subjects_of(components, ECOSYSTEMS, "Grype")
        database = await anyio.to_thread.run_sync(self._database, status, subjects)
        report = await program.ask(GrypeReport, f"sbom:{absolute(sbom)}", "--output", "json", "--quiet")
        version, findings = report.descriptor.version, tidied(findings_of(report))
        digest = digest_file(sbom)
        return ScanResult("grype", version, database, digest, len(components), findings, subjects.uncovered)

    def _database(self, status: GrypeStatus, subjects: Subjects) -> Database:
        if not status.valid or status.built is None:
            raise DatabaseError(
                f"Grype has no sound database in {self.cache}{f': {status.error}' if status.error else ''}",
                remedy=_REMEDY,
            )
        path = Path(status.path)
        file = path / _FILE if path.is_dir() else path
        try:
            missing = unknown_to(file, subjects)
        except sqlite3.Error as error:
            raise DatabaseError(f"{file} cannot be read: {error}", remedy=_REMEDY) from error
        if missing:
            text = f"Grype's database in {self.cache} knows nothing of {', '.join(missing)}"
            raise DatabaseError(text, remedy=_REMEDY)
        built = status.built if status.built.tzinfo else status.built.replace(tzinfo=UTC)
        return Database(f"grype-db {status.schema_version}".rstrip(), _digest(status.source, file), built)


def _digest(source: str, file: Path) -> Digest:
    """Return the checksum of the archive the database came in, where that is told; else of the database itself."""
    told = _CHECKSUM.search(source)
    return Digest(f"sha256:{told[1].lower()}") if told else digest_file(file)


def findings_of(report: GrypeReport) -> Iterator[Finding]:
    """Yield what a report says, in our words."""
    for match in report.matches:
        found, related = match.vulnerability, match.related or ()
        ratings = [rating.metrics.base_score for item in (found, *related) for rating in item.cvss or ()]
        yield Finding(
            id=found.id,
            purl=match.artifact.purl or match.artifact.name,
            version=match.artifact.version,
            severity=severity_of(found.severity),
            score=f"{max(ratings):.1f}" if ratings else "",
            aliases=tuple(sorted({item.id for item in related} - {found.id})),
            fixed=found.fix.versions or (),
            where=tuple(sorted({place.path for place in match.artifact.locations or () if place.path})),
        )
