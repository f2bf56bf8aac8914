"""The scanner of our own: an SBOM beside a copy of OSV's data. Reads files, starts nothing, asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import anyio

from pipeline.digest import digest_file, digest_json
from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.component import Component, read_components
from pipeline.verify.vulnerabilities.finding import Database, Finding, ScanResult, tidied
from pipeline.verify.vulnerabilities.osv_record import Affected, Record, comparable_name
from pipeline.verify.vulnerabilities.osv_store import Ecosystem, open_ecosystem

Hit: TypeAlias = tuple[Record, Affected]

_ECOSYSTEMS = {
    "cargo": "crates.io",
    "deb": "Debian",
    "golang": "Go",
    "npm": "npm",
    "nuget": "NuGet",
    "pypi": "PyPI",
}
_SUITES = {"buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14", "duke": "15"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a component is called in OSV: ecosystem, a distribution's release, name and version."""

    component: Component
    ecosystem: str
    release: str
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class OsvScanner:
    """A copy of OSV's data in `folder`; its indexes are kept in `cache`."""

    folder: Path
    cache: Path

    async def scan(self, sbom: Path) -> ScanResult:
        """Return what OSV's data says of the packages in `sbom`; see `Scanner`."""
        return await anyio.to_thread.run_sync(self.look, sbom)

    def look(self, sbom: Path) -> ScanResult:
        """Do the same without waiting: it is all files."""
        if not self.folder.is_dir():
            raise DatabaseError(
                f"there is no OSV database in {self.folder}", remedy="see docs/how-to/gate.md for how to get one"
            )
        components = read_components(sbom)
        known = {component: wanted for component in components if (wanted := wanted_of(component))}
        names = sorted({wanted.ecosystem for wanted in known.values()})
        if not names:
            text = f"{sbom} lists nothing that OSV knows of: no package of Debian, npm, PyPI, Go, NuGet or crates.io"
            raise DatabaseError(text, remedy="make the SBOM of the whole image")
        opened = {name: open_ecosystem(self.folder, name, self.cache) for name in names}
        return ScanResult(
            scanner="osv",
            version=version("agentcontainers"),
            database=_database(opened),
            sbom=digest_file(sbom),
            components=len(components),
            findings=tidied(item for wanted in known.values() for item in _findings(wanted, opened[wanted.ecosystem])),
            uncovered=tuple(component.purl for component in components if component not in known),
        )


def wanted_of(component: Component) -> Wanted | None:
    """Return how OSV files a component; None for a kind that it knows nothing of, such as a vendor's own binary.

    Raises DatabaseError for a Debian package of no known release: it would be compared with nothing.
    """
    from packageurl import PackageURL

    purl = PackageURL.from_string(component.purl)
    ecosystem = _ECOSYSTEMS.get(purl.type)
    if ecosystem is None or (purl.type == "deb" and purl.namespace != "debian"):
        return None
    qualifiers: Mapping[str, str] = purl.qualifiers if isinstance(purl.qualifiers, dict) else {}
    name = "/".join(part for part in (purl.namespace, purl.name) if part)
    number = component.version
    release = ""
    if ecosystem == "Debian":
        release = _release(component, qualifiers.get("distro", ""))
        source, _, source_version = component.source.partition("@")
        name, number = source or purl.name, source_version or number
    return Wanted(component, ecosystem, release, comparable_name(ecosystem, name), number)


def _release(component: Component, distro: str) -> str:
    """Return Debian's release number by `debian-13`, `debian-13.1` or `trixie`."""
    word = distro.removeprefix("debian-")
    number = _SUITES.get(word, word.partition(".")[0])
    if not number.isdecimal():
        raise DatabaseError(
            f"the SBOM does not say of which Debian release {component.purl} is",
            remedy="make an SBOM whose package URLs have the qualifier `distro`, such as distro=debian-13",
        )
    return number


def _database(opened: Mapping[str, Ecosystem]) -> Database:
    """Return the digest of all that was asked, and the date of what is oldest among it."""
    digest = digest_json({name: item.digest for name, item in opened.items()})
    return Database(f"osv ({', '.join(opened)})", digest, min(item.built for item in opened.values()))


def _findings(wanted: Wanted, ecosystem: Ecosystem) -> Iterator[Finding]:
    """Yield what is wrong with one package; what several records say of one vulnerability is one finding."""
    hits = [
        (record, affected)
        for record in ecosystem.records(wanted.name)
        for affected in record.about(wanted.ecosystem, wanted.name, wanted.release)
        if affected.includes(wanted.ecosystem, wanted.version)
    ]
    groups = _groups(hit for hit in hits if not hit[0].covers)
    by_name = {name: group for group in groups for record, _ in group for name in record.names}
    rest: list[Hit] = []
    # A security advisory is about several vulnerabilities: it adds to each, and stands alone where it has none here.
    for hit in (hit for hit in hits if hit[0].covers):
        fitting = {id(group): group for name in hit[0].covers if (group := by_name.get(name)) is not None}
        for group in fitting.values():
            group.append(hit)
        if not fitting:
            rest.append(hit)
    for group in [*groups, *_groups(rest)]:
        yield _finding(wanted, group)


def _groups(hits: Iterable[Hit]) -> list[list[Hit]]:
    """Return records that share a name together; a kernel has thousands, so none is compared with all others."""
    groups: dict[int, list[Hit]] = {}
    by_name: dict[str, int] = {}
    for number, hit in enumerate(hits):
        same = sorted({by_name[name] for name in hit[0].names if name in by_name})
        groups[number] = [*(item for other in same for item in groups.pop(other)), hit]
        by_name |= {name: number for record, _ in groups[number] for name in record.names}
    return list(groups.values())


def _finding(wanted: Wanted, group: Sequence[Hit]) -> Finding:
    # An advisory about several vulnerabilities lends its name, not theirs, or what is said of one would hold for all.
    own = sorted({name for record, _ in group for name in (*record.names, *_only(record.covers))})
    first = next((name for name in own if name.startswith("CVE-")), min(record.id for record, _ in group))
    ratings = [record.rating(affected) for record, affected in group]
    fixes = (fix for _, affected in group for fix in affected.fixes(wanted.ecosystem, wanted.version))
    found = Finding(first, wanted.component.purl, wanted.component.version, severity=max(ratings)[0])
    return replace(
        found,
        score=max((score for _, score in ratings), key=lambda score: float(score or 0)),
        aliases=tuple(name for name in own if name != first),
        fixed=tuple(sorted(dict.fromkeys(fixes))),
    )


def _only(names: tuple[str, ...]) -> tuple[str, ...]:
    return names if len(names) == 1 else ()
