"""Trivy (trivy.dev): `trivy sbom`, offline, with the database that is there.

The variables say the same as the options and are passed too, because older versions know some of them by one way only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from pydantic import BaseModel, ConfigDict, Field

from pipeline.digest import digest_file
from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.component import read_components
from pipeline.verify.vulnerabilities.finding import Database, Finding, ScanResult, severity_of, tidied
from pipeline.verify.vulnerabilities.process import Program, absolute

_VARIABLES = {
    "TRIVY_SKIP_DB_UPDATE": "true",
    "TRIVY_SKIP_JAVA_DB_UPDATE": "true",
    "TRIVY_SKIP_VEX_REPO_UPDATE": "true",
    "TRIVY_SKIP_VERSION_CHECK": "true",
    "TRIVY_DISABLE_TELEMETRY": "true",
    "TRIVY_OFFLINE_SCAN": "true",
}
_REMEDY = "trivy image --download-db-only, or copy a database into its cache; see docs/how-to/gate.md"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True, allow_inf_nan=False)


class TrivyDatabase(_Part):
    """What `trivy version` says of its database."""

    updated: datetime = Field(alias="UpdatedAt")


class TrivyVersion(_Part):
    """The answer of `trivy version --format json`."""

    version: str = Field(alias="Version")
    database: TrivyDatabase | None = Field(default=None, alias="VulnerabilityDB")


class TrivyPackage(_Part):
    """How Trivy names a package."""

    purl: str = Field(default="", alias="PURL")


class TrivyVulnerability(_Part):
    """One vulnerability of one package."""

    id: str = Field(alias="VulnerabilityID")
    package: str = Field(alias="PkgName")
    identifier: TrivyPackage = Field(default=TrivyPackage(), alias="PkgIdentifier")
    path: str = Field(default="", alias="PkgPath")
    installed: str = Field(alias="InstalledVersion")
    fixed: str = Field(default="", alias="FixedVersion")
    severity: str = Field(default="UNKNOWN", alias="Severity")
    vendor_ids: tuple[str, ...] = Field(default=(), alias="VendorIDs")
    scores: dict[str, dict[str, Any]] = Field(default_factory=dict, alias="CVSS")


class TrivyTarget(_Part):
    """What was found in one part of the image."""

    vulnerabilities: tuple[TrivyVulnerability, ...] | None = Field(default=None, alias="Vulnerabilities")


class TrivyReport(_Part):
    """The answer of `trivy sbom --format json`, schema 2."""

    schema_version: int = Field(alias="SchemaVersion", ge=2, le=2)
    results: tuple[TrivyTarget, ...] | None = Field(default=None, alias="Results")


@dataclass(frozen=True, slots=True)
class TrivyScanner:
    """The program at `path`, with the cache folder that holds its database."""

    path: str
    cache: Path

    async def scan(self, sbom: Path) -> ScanResult:
        """Return what Trivy says of the packages in `sbom`; see `Scanner`."""
        program = Program("trivy", self.path, {**_VARIABLES, "TRIVY_CACHE_DIR": str(self.cache)})
        said = await program.ask(TrivyVersion, "version", "--format", "json", "--cache-dir", str(self.cache))
        database = await self._database(said)
        components = read_components(sbom)
        report = await program.ask(
            TrivyReport,
            *("sbom", "--format", "json", "--quiet", "--cache-dir", str(self.cache)),
            *("--skip-db-update", "--skip-java-db-update", "--offline-scan", "--exit-code", "0"),
            str(absolute(sbom)),
        )
        findings = tidied(findings_of(report))
        return ScanResult("trivy", said.version, database, digest_file(sbom), len(components), findings)

    async def _database(self, said: TrivyVersion) -> Database:
        file = self.cache / "db" / "trivy.db"
        if said.database is None or not file.is_file():
            raise DatabaseError(f"Trivy has no database in {self.cache}", remedy=_REMEDY)
        digest = await anyio.to_thread.run_sync(digest_file, file)
        built = said.database.updated
        return Database("trivy-db", digest, built if built.tzinfo else built.replace(tzinfo=UTC))


def findings_of(report: TrivyReport) -> Iterator[Finding]:
    """Yield what a report says, in our words."""
    for target in report.results or ():
        for item in target.vulnerabilities or ():
            yield Finding(
                id=item.id,
                purl=item.identifier.purl or item.package,
                version=item.installed,
                severity=severity_of(item.severity),
                score=_score(item.scores),
                aliases=tuple(sorted({*item.vendor_ids} - {item.id})),
                fixed=tuple(part.strip() for part in item.fixed.split(",") if part.strip()),
                where=(item.path,) if item.path else (),
            )


def _score(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the highest base score any source gives, the newest version of CVSS first."""
    for key in ("V40Score", "V3Score", "V2Score"):
        found = [value for source in scores.values() if isinstance(value := source.get(key), (int, float))]
        if found:
            return f"{max(found):.1f}"
    return ""
