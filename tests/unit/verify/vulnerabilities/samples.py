"""A small OSV database of records shaped as the public ones are, and SBOMs to hold beside it."""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from packageurl import PackageURL

from pipeline.digest import Digest
from pipeline.models.defined import Defined
from pipeline.models.document import Places
from pipeline.models.kinds import Vex
from pipeline.verify.vulnerabilities.finding import Database, Finding, ScanResult, Severity
from pipeline.verify.vulnerabilities.osv import OsvScanner

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HIGH = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"  # 7.5
CRITICAL = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"  # 9.3
LOW = "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N"  # 3.1

ZLIB = "pkg:deb/debian/zlib1g@1%3A1.3.dfsg%2Breally1.3.1-1?arch=amd64&distro=debian-13&upstream=zlib"
LIBSSL = "pkg:deb/debian/libssl3t64@3.5.1-1?arch=amd64&distro=debian-13.1&upstream=openssl%403.5.1-1"
LODASH = "pkg:npm/lodash@4.17.20"
SCOPED = "pkg:npm/%40scope/tool@1.0.0-rc.1"
DJANGO = "pkg:pypi/Django@4.2.1"
X_NET = "pkg:golang/golang.org/x/net@v0.17.0"
CRATE = "pkg:cargo/time@0.1.44"
RUNTIME = "pkg:nuget/Microsoft.NETCore.App@10.0.1"
BINARY = "pkg:generic/claude@2.1.330"

RECORDS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "Debian": (
        {
            "schema_version": "1.7.0",
            "id": "DEBIAN-CVE-2026-1001",
            "published": "2026-10-01T00:00:00Z",
            "modified": "2026-11-20T08:00:00.123456789Z",
            "upstream": ["CVE-2026-1001"],
            "details": "A flaw in zlib.",
            "severity": [{"type": "CVSS_V3", "score": HIGH}],
            "affected": [
                {
                    "package": {"ecosystem": "Debian:12", "name": "zlib", "purl": "pkg:deb/debian/zlib?arch=source"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
                },
                {
                    "package": {"ecosystem": "Debian:13", "name": "zlib", "purl": "pkg:deb/debian/zlib?arch=source"},
                    "ranges": [
                        {
                            "type": "ECOSYSTEM",
                            "events": [{"introduced": "0"}, {"fixed": "1:1.3.dfsg+really1.3.1-1+deb13u1"}],
                        }
                    ],
                    "versions": ["1:1.3.dfsg+really1.3.1-1"],
                    "ecosystem_specific": {"urgency": "not yet assigned"},
                },
            ],
        },
        {
            "id": "DEBIAN-CVE-2026-1002",
            "modified": "2026-11-01T00:00:00Z",
            "upstream": ["CVE-2026-1002"],
            "affected": [
                {
                    "package": {"ecosystem": "Debian:13", "name": "openssl"},
                    "ranges": [
                        {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.5.1-1+deb13u1"}]},
                    ],
                    "ecosystem_specific": {"urgency": "unimportant"},
                }
            ],
        },
        {
            "id": "DEBIAN-CVE-2026-1003",
            "modified": "2026-11-01T00:00:00Z",
            "upstream": ["CVE-2026-1003"],
            "affected": [
                {
                    "package": {"ecosystem": "Debian:13", "name": "openssl"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.5.0-1"}]}],
                }
            ],
        },
        {
            "id": "DSA-6001-1",
            "modified": "2026-11-02T00:00:00Z",
            "upstream": ["CVE-2026-1002", "CVE-2026-1099"],
            "affected": [
                {
                    "package": {"ecosystem": "Debian:13", "name": "openssl"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.5.1-1+deb13u2"}]}],
                }
            ],
        },
    ),
    "npm": (
        {
            "id": "GHSA-p6mc-m468-83gw",
            "modified": "2026-11-19T00:00:00Z",
            "aliases": ["CVE-2020-8203"],
            "severity": [{"type": "CVSS_V3", "score": HIGH}],
            "affected": [
                {
                    "package": {"ecosystem": "npm", "name": "lodash", "purl": "pkg:npm/lodash"},
                    "ranges": [
                        {"type": "SEMVER", "events": [{"introduced": "3.7.0"}, {"last_affected": "4.17.20"}]},
                        {"type": "GIT", "repo": "somewhere", "events": [{"introduced": "0"}]},
                    ],
                }
            ],
            "database_specific": {"severity": "MODERATE", "cwe_ids": ["CWE-770"]},
        },
        {
            "id": "MAL-2026-7",
            "modified": "2026-11-18T00:00:00Z",
            "affected": [{"package": {"ecosystem": "npm", "name": "@scope/tool"}, "versions": ["1.0.0-rc.1"]}],
        },
        {
            "id": "GHSA-xxxx-with-drawn",
            "modified": "2026-11-18T00:00:00Z",
            "withdrawn": "2026-11-18T00:00:00Z",
            "affected": [{"package": {"ecosystem": "npm", "name": "lodash"}, "versions": ["4.17.20"]}],
        },
    ),
    "PyPI": (
        {
            "id": "PYSEC-2026-1",
            "modified": "2026-11-17T00:00:00Z",
            "aliases": ["CVE-2026-2001", "GHSA-djan-go11-2222"],
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": "django"},
                    "ranges": [
                        {
                            "type": "ECOSYSTEM",
                            "events": [{"introduced": "4.2a1"}, {"fixed": "4.2.2"}, {"introduced": "5.0"}],
                        }
                    ],
                }
            ],
        },
        {
            "id": "GHSA-djan-go11-2222",
            "modified": "2026-11-17T00:00:00Z",
            "aliases": ["CVE-2026-2001", "PYSEC-2026-1"],
            "severity": [{"type": "CVSS_V4", "score": CRITICAL}],
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": "Django"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "4.2.2"}]}],
                }
            ],
        },
    ),
    "Go": (
        {
            "id": "GO-2023-2153",
            "modified": "2026-11-17T00:00:00Z",
            "aliases": ["CVE-2023-44487"],
            "severity": [{"type": "CVSS_V3", "score": LOW}],
            "affected": [
                {
                    "package": {"ecosystem": "Go", "name": "golang.org/x/net"},
                    "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "0.18.0"}]}],
                }
            ],
        },
    ),
    "NuGet": (
        {
            "id": "GHSA-dotn-etco-re11",
            "modified": "2026-11-19T00:00:00Z",
            "aliases": ["CVE-2026-3001"],
            "database_specific": {"severity": "HIGH"},
            "affected": [
                {
                    "package": {"ecosystem": "NuGet", "name": "Microsoft.NetCore.App"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "10.0.0"}, {"fixed": "10.0.2"}]}],
                }
            ],
        },
    ),
    "crates.io": (
        {
            "id": "RUSTSEC-2020-0071",
            "modified": "2026-11-19T00:00:00Z",
            "aliases": ["CVE-2020-26235", "GHSA-wcg3-cvx6-7396"],
            "severity": [{"type": "CVSS_V3", "score": HIGH}],
            "affected": [
                {
                    "package": {"ecosystem": "crates.io", "name": "time", "purl": "pkg:cargo/time"},
                    "ranges": [
                        {"type": "SEMVER", "events": [{"introduced": "0.1.0"}, {"fixed": "0.2.23"}]},
                    ],
                    "database_specific": {"informational": None, "categories": ["code-execution"]},
                }
            ],
        },
        {
            "id": "RUSTSEC-2026-0001",
            "modified": "2026-11-19T00:00:00Z",
            "affected": [
                {
                    "package": {"ecosystem": "crates.io", "name": "paste", "purl": "pkg:cargo/paste"},
                    "ranges": [{"type": "SEMVER", "events": [{"introduced": "0.0.0-0"}]}],
                    "database_specific": {"informational": "unmaintained"},
                }
            ],
        },
    ),
}


def records() -> dict[str, list[dict[str, Any]]]:
    """Return the records, to be changed at will."""
    return {name: [copy.deepcopy(dict(item)) for item in items] for name, items in RECORDS.items()}


def write_database(folder: Path, content: Mapping[str, Iterable[Mapping[str, Any]]] | None = None) -> Path:
    """Write an OSV database as the bucket has it, one archive per ecosystem."""
    for name, items in (records() if content is None else content).items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / name / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for item in items:
                archive.writestr(zipfile.ZipInfo(f"{item['id']}.json"), json.dumps(item))
    return folder


def _named(purl: str) -> dict[str, str]:
    parsed = PackageURL.from_string(purl)
    scope = f"{parsed.namespace}/" if parsed.namespace and parsed.type != "deb" else ""
    return {"name": f"{scope}{parsed.name}", "version": parsed.version or ""}


def cyclonedx(*purls: str) -> bytes:
    """Return an SBOM in CycloneDX."""
    components = [{"type": "library", **_named(purl), "purl": purl} for purl in purls]
    return json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}).encode()


def spdx(*purls: str) -> bytes:
    """Return an SBOM in SPDX."""
    packages = [
        {
            "name": _named(purl)["name"],
            "externalRefs": [
                {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
            ],
        }
        for purl in purls
    ]
    return json.dumps({"spdxVersion": "SPDX-2.3", "packages": packages}).encode()


def scan(folder: Path, *purls: str, content: Mapping[str, Iterable[Mapping[str, Any]]] | None = None) -> ScanResult:
    """Return what the small database says of packages."""
    sbom = folder / "sbom.json"
    sbom.write_bytes(cyclonedx(*purls))
    return OsvScanner(write_database(folder / "osv", content), folder / "cache").look(sbom)


def finding(
    identifier: str = "CVE-2026-1", purl: str = LODASH, severity: Severity = Severity.HIGH, **more: Any
) -> Finding:
    """Return a finding."""
    return Finding(identifier, purl, purl.partition("@")[2].partition("?")[0], severity, **more)


def result(*findings: Finding, built: datetime = NOW) -> ScanResult:
    """Return what a scanner could have found."""
    database = Database("test", Digest("sha256:" + "0" * 64), built)
    return ScanResult("osv", "1", database, Digest("sha256:" + "1" * 64), 9, tuple(sorted(findings)))


def statement(name: str = "mine", **changes: Any) -> Defined[Vex]:
    """Return a statement that CVE-2026-1 does not affect lodash, until a month from NOW."""
    spec = {
        "vulnerability": "CVE-2026-1",
        "packages": ["pkg:npm/lodash"],
        "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
        "reason": "Nothing calls the function that is at fault.",
        "expires": date(2026, 12, 21),
        **changes,
    }
    document = {
        "apiVersion": "agentcontainers/v1",
        "kind": "Vex",
        "metadata": {"name": name},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }
    return Defined(Vex.model_validate(document), Places(f"definitions/vex/{name}.yaml", {}))
