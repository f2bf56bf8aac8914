"""Whether Grype's database (schema 6, SQLite) can know of the packages that it is asked about."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pipeline.verify.vulnerabilities.subjects import Subjects

ECOSYSTEMS = {
    "cargo": "rust-crate",
    "composer": "php-composer",
    "gem": "gem",
    "golang": "go-module",
    "maven": "java-archive",
    "npm": "npm",
    "nuget": "dotnet",
    "pypi": "python",
}
"""What its database calls the ecosystem of a type of package URL."""
_HAS_ECOSYSTEM = """
    SELECT 1 FROM packages JOIN affected_package_handles ON package_id = packages.id
    WHERE ecosystem = ? COLLATE NOCASE LIMIT 1
"""
_HAS_DEBIAN = """
    SELECT 1 FROM operating_systems JOIN affected_package_handles ON operating_system_id = operating_systems.id
    WHERE name = 'debian' COLLATE NOCASE AND major_version = ? LIMIT 1
"""


def unknown_to(file: Path, subjects: Subjects) -> tuple[str, ...]:
    """Return what of `subjects` a database has no record of; raises sqlite3.Error where it cannot be read."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        asked = [(name, _HAS_ECOSYSTEM, name) for name in subjects.ecosystems]
        asked += [(f"debian {release}", _HAS_DEBIAN, release) for release in subjects.releases]
        return tuple(said for said, query, word in asked if connection.execute(query, (word,)).fetchone() is None)
