"""What an SBOM's packages are about, for a scanner whose database names it: ecosystems, and releases of Debian.

Programs take a database without a word on a kind of package for one in which all is well, so each is asked for first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.component import Component
from pipeline.verify.vulnerabilities.osv import wanted_of


@dataclass(frozen=True, slots=True)
class Subjects:
    """The packages that a scanner looks at, what its database must know something of, and the package URLs of the rest.

    `ecosystems` are named as in that database, `releases` are Debian's; both are sorted.
    """

    components: tuple[Component, ...]
    ecosystems: tuple[str, ...]
    releases: tuple[str, ...]
    uncovered: tuple[str, ...]


def subjects_of(components: Iterable[Component], names: Mapping[str, str], scanner: str) -> Subjects:
    """Return what an SBOM's packages are about; `names` has the ecosystem of each type of package URL that is known.

    Raises DatabaseError where `scanner` knows nothing of any, or a Debian package does not say its release.
    """
    from packageurl import PackageURL

    known: list[Component] = []
    ecosystems: set[str] = set()
    releases: set[str] = set()
    uncovered: list[str] = []
    for component in components:
        ecosystem = names.get(PackageURL.from_string(component.purl).type, "")
        wanted = None if ecosystem else wanted_of(component)
        release = wanted.release if wanted else ""
        if component.version and (ecosystem or release):
            known.append(component)
            ecosystems |= {ecosystem} - {""}
            releases |= {release} - {""}
        else:
            uncovered.append(component.purl)
    if not known:
        raise DatabaseError(
            f"the SBOM lists nothing that {scanner} knows of", remedy="make the SBOM of the whole image"
        )
    return Subjects(tuple(known), tuple(sorted(ecosystems)), tuple(sorted(releases)), tuple(uncovered))
