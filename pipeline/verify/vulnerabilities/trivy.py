"""Trivy (trivy.dev): `trivy sbom`, offline, with the database that is there.

It gets the packages in a document made for it (`trivy_listing`), and must say of each of them that it looked at it.
The variables say the same as the options and are passed too, because older versions know some of them by one way only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from pydantic import BaseModel, ConfigDict, Field

from pipeline.digest import digest_file
from pipeline.errors import DatabaseError, ScannerError
from pipeline.verify.vulnerabilities.bolt import bucket_names
from pipeline.verify.vulnerabilities.component import read_components
from pipeline.verify.vulnerabilities.finding import Database, Finding, ScanResult, severity_of, tidied
from pipeline.verify.vulnerabilities.process import Program
from pipeline.verify.vulnerabilities.trivy_listing import Listing, listing_of

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


class TrivyIdentifier(_Part):
    """How Trivy tells packages apart: by what they are called in the document that it was given."""

    reference: str = Field(default="", alias="BOMRef")
    purl: str = Field(default="", alias="PURL")


class TrivyPackage(_Part):
    """A package that it looked at."""

    identifier: TrivyIdentifier = Field(default=TrivyIdentifier(), alias="Identifier")


class TrivyVulnerability(_Part):
    """One vulnerability of one package."""

    id: str = Field(alias="VulnerabilityID")
    package: str = Field(alias="PkgName")
    identifier: TrivyIdentifier = Field(default=TrivyIdentifier(), alias="PkgIdentifier")
    installed: str = Field(alias="InstalledVersion")
    fixed: str = Field(default="", alias="FixedVersion")
    severity: str = Field(default="UNKNOWN", alias="Severity")
    vendor_ids: tuple[str, ...] = Field(default=(), alias="VendorIDs")
    scores: dict[str, dict[str, Any]] = Field(default_factory=dict, alias="CVSS")


class TrivyTarget(_Part):
    """What was looked at in one part of the image, and what was found in it."""

    packages: tuple[TrivyPackage, ...] | None = Field(default=None, alias="Packages")
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
        components = read_components(sbom)
        listing = listing_of(components)
        database = await self._database(said, listing)
        with tempfile.TemporaryDirectory(prefix="agc-trivy-") as folder:
            given = Path(folder, "sbom.cdx.json")
            await anyio.Path(given).write_bytes(listing.document())
            report = await program.ask(
                TrivyReport,
                *("sbom", "--format", "json", "--list-all-pkgs", "--quiet", "--cache-dir", str(self.cache)),
                *("--scanners", "vuln", "--skip-db-update", "--skip-java-db-update", "--offline-scan"),
                *("--exit-code", "0", str(given)),
            )
        _check_all_looked_at(report, listing)
        findings = tidied(findings_of(report, listing))
        digest = digest_file(sbom)
        return ScanResult("trivy", said.version, database, digest, len(components), findings, listing.uncovered)

    async def _database(self, said: TrivyVersion, listing: Listing) -> Database:
        """Return what is known of the database; Trivy itself takes one without a word on a subject for a good one."""
        file = self.cache / "db" / "trivy.db"
        if said.database is None or not file.is_file():
            raise DatabaseError(f"Trivy has no database in {self.cache}", remedy=_REMEDY)
        names = await anyio.to_thread.run_sync(bucket_names, file)
        if missing := [name for name in listing.buckets if not _is_among(name, names)]:
            about = ", ".join(name.removesuffix("::") for name in missing)
            raise DatabaseError(f"Trivy's database in {self.cache} knows nothing of {about}", remedy=_REMEDY)
        digest = await anyio.to_thread.run_sync(digest_file, file)
        built = said.database.updated
        return Database("trivy-db", digest, built if built.tzinfo else built.replace(tzinfo=UTC))


def _is_among(bucket: str, names: frozenset[str]) -> bool:
    """Tell whether a bucket is there; one that ends in `::` stands for all that begin so, one for each source."""
    return any(name.startswith(bucket) for name in names) if bucket.endswith("::") else bucket in names


def _check_all_looked_at(report: TrivyReport, listing: Listing) -> None:
    """Raise ScannerError where Trivy left out packages that it was given: it does not say so itself."""
    looked = {package.identifier.reference for target in report.results or () for package in target.packages or ()}
    left_out = [item.purl for place, item in enumerate(listing.components) if str(place) not in looked]
    if left_out:
        text = f"trivy did not look at {len(left_out)} of {len(listing.components)} packages, such as {left_out[0]}"
        raise ScannerError(text, remedy="use another version of trivy, or choose another scanner with --scanner")


def findings_of(report: TrivyReport, listing: Listing) -> Iterator[Finding]:
    """Yield what a report about `listing` says, in our words."""
    for target in report.results or ():
        for item in target.vulnerabilities or ():
            component = listing.component(item.identifier.reference)
            yield Finding(
                id=item.id,
                purl=component.purl if component else item.identifier.purl or item.package,
                version=component.version if component else item.installed,
                severity=severity_of(item.severity),
                score=_score(item.scores),
                aliases=tuple(sorted({*item.vendor_ids} - {item.id})),
                fixed=tuple(part.strip() for part in item.fixed.split(",") if part.strip()),
            )


def _score(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the highest base score any source gives, the newest version of CVSS first."""
    for key in ("V40Score", "V3Score", "V2Score"):
        found = [value for source in scores.values() if isinstance(value := source.get(key), (int, float))]
        if found:
            return f"{max(found):.1f}"
    return ""
