"""Whether Grype's database (schema 6, SQLite) can know of the packages that it is asked about.

Grype takes a database without a word on a kind of package, or on a release of Debian, for one in which all is well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.component import Component
from pipeline.verify.vulnerabilities.osv import wanted_of

_ECOSYSTEMS = {
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


@dataclass(frozen=True, slots=True)
class Subjects:
    """What its database must know something of, and the package URLs of those packages that it knows nothing of."""

    ecosystems: tuple[str, ...]
    releases: tuple[str, ...]
    uncovered: tuple[str, ...]


def subjects_of(components: Iterable[Component]) -> Subjects:
    """Return what an SBOM's packages are about.

    Raises DatabaseError where they are about nothing it could know of, or a Debian package does not say its release.
    """
    from packageurl import PackageURL

    ecosystems: set[str] = set()
    releases: set[str] = set()
    uncovered: list[str] = []
    for component in components:
        if (ecosystem := _ECOSYSTEMS.get(PackageURL.from_string(component.purl).type)) and component.version:
            ecosystems.add(ecosystem)
        elif (wanted := wanted_of(component)) and wanted.release:
            releases.add(wanted.release)
        else:
            uncovered.append(component.purl)
    if not (ecosystems or releases):
        raise DatabaseError("the SBOM lists nothing that Grype knows of", remedy="make the SBOM of the whole image")
    return Subjects(tuple(sorted(ecosystems)), tuple(sorted(releases)), tuple(uncovered))


def unknown_to(file: Path, subjects: Subjects) -> tuple[str, ...]:
    """Return what of `subjects` a database has no record of; raises sqlite3.Error where it cannot be read."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        asked = [(name, _HAS_ECOSYSTEM, name) for name in subjects.ecosystems]
        asked += [(f"debian {release}", _HAS_DEBIAN, release) for release in subjects.releases]
        return tuple(said for said, query, word in asked if connection.execute(query, (word,)).fetchone() is None)
