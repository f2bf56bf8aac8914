"""What Trivy is given to look at: the packages of an SBOM, in a document that it reads as it is meant.

Handed the SBOM itself, Trivy (0.74) passes over much of it, and says nothing of that:

- the qualifier `upstream` of a package URL means nothing to it. Debian's vulnerabilities are filed under source
  packages, and it looks for them under the name of the binary package; a property of its own tells it the source;
- Debian's packages are compared with nothing where no component says which system this is; SPDX documents have none;
- names come from components, not from package URLs, and a version that is not in the package URL is none;
- what is of a kind that it does not know is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.digest import canonical_json
from pipeline.errors import ScannerError
from pipeline.verify.vulnerabilities.component import Component
from pipeline.verify.vulnerabilities.osv import wanted_of
from pipeline.verify.vulnerabilities.subjects import subjects_of

_SOURCES = {
    "cargo": "cargo::",
    "composer": "composer::",
    "gem": "rubygems::",
    "golang": "go::",
    "maven": "maven::",
    "npm": "npm::",
    "nuget": "nuget::",
    "pypi": "pip::",
}
"""How the names of the buckets begin that Trivy's database has for a type of package URL."""
_PROPERTY = "aquasecurity:trivy:"


@dataclass(frozen=True, slots=True)
class Listing:
    """The packages that Trivy looks at, each known to it by its place; `buckets` of its database are asked for them.

    `release` is Debian's, "" where none is Debian's; `uncovered` are the package URLs of those it knows nothing of.
    """

    components: tuple[Component, ...]
    buckets: tuple[str, ...]
    release: str
    uncovered: tuple[str, ...]

    def document(self) -> bytes:
        """Return them in CycloneDX, with Trivy's own properties."""
        system = {"bom-ref": "system", "type": "operating-system", "name": "debian", "version": self.release}
        packages = [_entry(str(place), component) for place, component in enumerate(self.components)]
        return canonical_json(
            {
                "bomFormat": "CycloneDX",
                "specVersion": "1.6",
                "version": 1,
                "components": [system, *packages] if self.release else packages,
            }
        )

    def component(self, reference: str) -> Component | None:
        """Return the package that Trivy calls `reference`; None where it is none of them."""
        place = int(reference) if reference.isascii() and reference.isdecimal() else -1
        return self.components[place] if 0 <= place < len(self.components) else None


def listing_of(components: Iterable[Component]) -> Listing:
    """Return what Trivy is to look at of an SBOM's packages.

    Raises DatabaseError where it knows nothing of any, or a Debian package does not say its release; ScannerError where
    they are of several releases, for Trivy looks at one.
    """
    subjects = subjects_of(components, _SOURCES, "Trivy")
    releases = subjects.releases
    if len(releases) > 1:
        text = f"the SBOM has packages of several releases of Debian, {', '.join(releases)}; Trivy looks at one"
        raise ScannerError(text, remedy="make one SBOM of each image")
    buckets = sorted((*subjects.ecosystems, *(f"debian {release}" for release in releases)))
    return Listing(subjects.components, tuple(buckets), "".join(releases), subjects.uncovered)


def _parsed(component: Component) -> Any:
    from packageurl import PackageURL

    return PackageURL.from_string(component.purl)


def _entry(reference: str, component: Component) -> Mapping[str, Any]:
    from packageurl import PackageURL

    purl = _parsed(component)
    entry = {
        "bom-ref": reference,
        "type": "library",
        "name": _name(component, None if purl.type == "deb" else purl.namespace, purl.name),
        "version": component.version,
        "purl": PackageURL(purl.type, purl.namespace, purl.name, component.version).to_string(),
    }
    if purl.type != "deb" or (wanted := wanted_of(component)) is None:
        return entry
    told = {"SrcName": wanted.name, "SrcVersion": wanted.version}
    return {**entry, "properties": [{"name": _PROPERTY + name, "value": value} for name, value in told.items()]}


def _name(component: Component, namespace: str | None, name: str) -> str:
    """Return the whole name, in the spelling of the SBOM where that has it: some package URLs are in lower case."""
    whole = f"{namespace}/{name}" if namespace else name
    return component.name if component.name.casefold() == whole.casefold() else whole
