"""Trivy itself, made of its module where it is not on PATH, and a small database for it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.tools import go_build

VERSION = "0.74.0"
RECORDS: tuple[Mapping[str, Any], ...] = (
    {
        "path": ["debian 13", "zlib", "CVE-2026-1001"],
        "value": {"VendorIDs": ["DSA-6001-1"], "FixedVersion": "1:1.3.dfsg+really1.3.1-1+deb13u1"},
    },
    {"path": ["debian 13", "openssl", "CVE-2026-1002"], "value": {"Status": 2, "Severity": 1}},
    {"path": ["debian 13", "openssl", "CVE-2026-1003"], "value": {"FixedVersion": "3.5.0-1"}},
    {"path": ["debian 13", "libssl3t64", "CVE-2026-9001"], "value": {"Status": 2}},
    {
        "path": ["npm::GitHub Security Advisory npm", "lodash", "CVE-2020-8203"],
        "value": {
            "VendorIDs": ["GHSA-p6mc-m468-83gw"],
            "PatchedVersions": ["4.17.21"],
            "VulnerableVersions": [">=3.7.0, <4.17.21"],
        },
    },
    {
        "path": ["npm::GitHub Security Advisory npm", "@scope/tool", "GHSA-tool-tool-tool"],
        "value": {"PatchedVersions": ["1.0.0"], "VulnerableVersions": ["<1.0.0"]},
    },
    {
        "path": ["pip::GitHub Security Advisory pip", "django", "CVE-2026-2001"],
        "value": {"PatchedVersions": ["4.2.2"], "VulnerableVersions": ["<4.2.2"]},
    },
    {
        "path": ["go::GitHub Security Advisory Go", "golang.org/x/net", "CVE-2023-44487"],
        "value": {"PatchedVersions": ["0.18.0"], "VulnerableVersions": ["<0.18.0"]},
    },
    {
        "path": ["nuget::GitHub Security Advisory NuGet", "microsoft.netcore.app", "CVE-2026-3001"],
        "value": {"PatchedVersions": ["10.0.2"], "VulnerableVersions": [">=10.0.0, <10.0.2"]},
    },
    {
        "path": ["cargo::GitHub Security Advisory Rust", "time", "CVE-2020-26235"],
        "value": {"PatchedVersions": ["0.2.23"], "VulnerableVersions": [">=0.1.0, <0.2.23"]},
    },
    *(
        {
            "path": ["vulnerability", name],
            "value": {
                "Title": f"A flaw, {name}",
                "Severity": ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")[rating],
                "VendorSeverity": {source: rating},
                "CVSS": {source: {"V3Score": score}},
            },
        }
        for name, source, rating, score in (
            ("CVE-2026-1001", "nvd", 3, 7.5),
            ("CVE-2026-1002", "nvd", 4, 9.8),
            ("CVE-2020-8203", "ghsa", 3, 7.4),
            ("CVE-2026-2001", "ghsa", 4, 9.3),
            ("CVE-2023-44487", "ghsa", 2, 5.3),
            ("CVE-2026-3001", "ghsa", 3, 8.1),
            ("CVE-2020-26235", "ghsa", 2, 6.2),
        )
    ),
    {"path": ["data-source", "debian 13"], "value": {"ID": "debian", "Name": "Debian Security Tracker"}},
)
"""What the database says, in the layout of trivy-db's schema 2; severities count from 0, unknown, to 4, critical."""


def trivy() -> Path:
    """Return Trivy: that of PATH, or version `VERSION` as its authors make it."""
    if found := shutil.which("trivy"):
        return Path(found)
    module = f"module example.com/made\n\ngo 1.26.3\n\nrequire github.com/aquasecurity/trivy v{VERSION}\n"
    name = "github.com/aquasecurity/trivy"
    flags = f"-X {name}/pkg/version/app.ver={VERSION}"
    # Its authors make it with this experiment (goreleaser.yml), and it does not compile without.
    return go_build(
        "trivy", f"{name}/cmd/trivy", module, flags=flags, asked_for="AGC_TEST_TOOLS", GOEXPERIMENT="jsonv2"
    )


def write_database(cache: Path, updated: datetime, records: Iterable[Mapping[str, Any]] = RECORDS) -> Path:
    """Write a database into a cache folder of Trivy's, by the library that Trivy reads it with; return its file."""
    module = "module example.com/made\n\ngo 1.24\n\nrequire go.etcd.io/bbolt v1.4.3\n"
    writer = go_build("trivy-db", ".", module, source=Path(__file__).with_name("trivy-db.go"))
    folder = cache / "db"
    folder.mkdir(parents=True)
    given = json.dumps(list(records)).encode()
    subprocess.run([writer, folder / "trivy.db"], input=given, check=True, timeout=60)
    times = {"UpdatedAt": updated, "NextUpdate": updated + timedelta(days=1), "DownloadedAt": updated}
    said = {"Version": 2, **{name: time.isoformat() for name, time in times.items()}}
    (folder / "metadata.json").write_text(json.dumps(said), encoding="utf-8")
    return folder / "trivy.db"
