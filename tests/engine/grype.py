"""Grype itself, made of its module where it is not on PATH, and a small database for it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path

from tests.tools import go_tool

VERSION = "0.110.0"
ADVISORIES = (
    ("python", "django", "python", "4.2.2"),
    ("go-module", "golang.org/x/net", "go", "0.18.0"),
    ("dotnet", "Microsoft.NETCore.App", "semver", "10.0.2"),
    ("rust-crate", "time", "semver", "0.2.23"),
    ("java-archive", "org.example:tool", "maven", "2.0"),
    ("gem", "rack", "gem", "3.0"),
    ("php-composer", "example/tool", "semver", "5.0.0"),
)
"""Ecosystem, package, kind of version, and the version in which it is mended."""


def grype() -> Path:
    """Return Grype: that of PATH, or version `VERSION`."""
    return go_tool("grype", f"github.com/anchore/grype/cmd/grype@v{VERSION}", asked_for="AGC_TEST_TOOLS")


def write_grype_database(file: Path, built: datetime, without: Iterable[str] = ()) -> None:
    """Write a database of schema 6 of that date, without what is of some ecosystems ("deb" is Debian 13)."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((Path(__file__).parent / "grype-db.sql").read_text(encoding="utf-8"))
        connection.execute("UPDATE db_metadata SET build_timestamp = ?", (built.strftime("%Y-%m-%d %H:%M:%S+00:00"),))
        for number, (ecosystem, name, kind, mended) in enumerate(ADVISORIES, start=3):
            rating = {"id": f"GHSA-{number}", "severities": [{"scheme": "CHMLN", "value": "high", "rank": 1}]}
            version = {"type": kind, "constraint": f"<{mended}"}
            affected = {"ranges": [{"version": version, "fix": {"version": mended, "state": "fixed"}}]}
            for place, value in ((2 * number - 1, rating), (2 * number, affected)):
                connection.execute("INSERT INTO blobs VALUES (?, ?)", (place, f"{json.dumps(value)}\n"))
            connection.execute("INSERT INTO packages VALUES (?, ?, ?)", (number, ecosystem, name))
            connection.execute(
                "INSERT INTO vulnerability_handles VALUES (?, ?, 'active', NULL, NULL, NULL, 'github', ?)",
                (number, f"GHSA-{number}", 2 * number - 1),
            )
            connection.execute(
                "INSERT INTO affected_package_handles VALUES (?, ?, NULL, ?, ?)", (number, number, number, 2 * number)
            )
        for ecosystem in without:
            named = "SELECT id FROM packages WHERE ecosystem = ?"
            connection.execute(f"DELETE FROM affected_package_handles WHERE package_id IN ({named})", (ecosystem,))  # noqa: S608  # no word of it is from outside
        connection.commit()


def import_database(program: Path, folder: Path, built: datetime, without: Iterable[str] = ()) -> Path:
    """Return a folder below `folder` into which Grype has imported such a database."""
    write_grype_database(folder / "vulnerability.db", built, without)
    with tarfile.open(folder / "db.tar.gz", "w:gz") as archive:
        archive.add(folder / "vulnerability.db", "vulnerability.db")
    cache = folder / "grype"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GRYPE_DB_CACHE_DIR": str(cache)}
    environment |= {"GRYPE_DB_AUTO_UPDATE": "false", "GRYPE_CHECK_FOR_APP_UPDATE": "false"}
    subprocess.run([program, "db", "import", folder / "db.tar.gz"], env=environment, check=True, timeout=120)
    return cache
