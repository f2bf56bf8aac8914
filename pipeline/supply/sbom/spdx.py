"""An inventory as an SPDX 2.3 document in JSON, through the library of the specification's own project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from packageurl import PackageURL

from pipeline.digest import canonical_json, hex_of
from pipeline.supply.sbom.identity import CREATED, component_id, document_id, package_id
from pipeline.supply.sbom.inventory import Component, Inventory, Package
from pipeline.supply.sbom.licences import references

PREDICATE_TYPE = "https://spdx.dev/Document"

_IMAGE = "SPDXRef-Image"
_SYSTEM = "SPDXRef-OperatingSystem"  # Trivy knows the system by how this begins
_ALGORITHMS = {"sha256": "SHA256", "sha512": "SHA512"}


def spdx(inventory: Inventory, version: str) -> bytes:
    """Return the document about an image, as made by `version` of this program: one encoding, no date of its own."""
    from spdx_tools.spdx.jsonschema.document_converter import DocumentConverter

    return canonical_json(DocumentConverter().convert(document(inventory, version)))


def document(inventory: Inventory, version: str) -> Any:
    """Return the same as a document of the library."""
    from spdx_tools.spdx.model import Actor, ActorType, CreationInfo, Document

    made = tuple(_packages(inventory))
    return Document(
        CreationInfo(
            spdx_version="SPDX-2.3",
            spdx_id="SPDXRef-DOCUMENT",
            name=f"{inventory.image} {inventory.platform}",
            document_namespace=f"urn:uuid:{document_id(inventory, 'spdx', version)}",
            creators=[Actor(ActorType.TOOL, f"agentcontainers-{version}")],
            created=CREATED,
        ),
        packages=list(made),
        relationships=list(_relationships(inventory)),
        extracted_licensing_info=list(_extracted(inventory)),
    )


def _packages(inventory: Inventory) -> Iterator[Any]:
    from spdx_tools.spdx.model import Checksum, ChecksumAlgorithm, PackagePurpose, SpdxNoAssertion
    from spdx_tools.spdx.model import Package as SpdxPackage

    yield SpdxPackage(
        _IMAGE,
        inventory.image,
        SpdxNoAssertion(),
        version=str(inventory.manifest),
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, hex_of(inventory.manifest))],
        primary_package_purpose=PackagePurpose.CONTAINER,
        external_references=[_purl(inventory.purl)],
    )
    if inventory.distribution.name:
        yield SpdxPackage(
            _SYSTEM,
            inventory.distribution.name,
            SpdxNoAssertion(),
            version=inventory.distribution.release or None,
            files_analyzed=False,
            primary_package_purpose=PackagePurpose.OPERATING_SYSTEM,
        )
    for component in sorted(inventory.components):
        yield SpdxPackage(
            f"SPDXRef-{component_id(component.name)}",
            component.name,
            SpdxNoAssertion(),
            version=component.version or None,
            files_analyzed=False,
            homepage=component.homepage or None,
            license_declared=_licence(component.licence),
            comment="layers: " + " ".join(component.blobs),
        )
    for package in sorted(inventory.packages):
        yield _package(package, inventory)


def _package(package: Package, inventory: Inventory) -> Any:
    from spdx_tools.spdx.model import Checksum, ChecksumAlgorithm, SpdxNoAssertion
    from spdx_tools.spdx.model import Package as SpdxPackage

    purl = package.purl(inventory.distribution)
    location = package.location if package.location.startswith("http") else ""
    return SpdxPackage(
        f"SPDXRef-{package_id(package, purl)}",
        package.name,
        location or SpdxNoAssertion(),
        version=package.version or None,
        files_analyzed=False,
        checksums=[
            Checksum(ChecksumAlgorithm[_ALGORITHMS[kind]], value)
            for kind, value in package.checksums
            if kind in _ALGORITHMS
        ],
        license_declared=_licence(package.licence),
        source_info=_origin(package) or None,
        external_references=[_purl(purl)],
    )


def _origin(package: Package) -> str:
    """Return what a Debian package was made from, in the words by which Trivy knows it; where others lie."""
    if package.kind == "deb":
        name, version = package.origin
        return f"built package from: {name} {version}".rstrip()
    return ", ".join(f"/{path}" for path in package.paths)


def _purl(purl: PackageURL) -> Any:
    from spdx_tools.spdx.model import ExternalPackageRef, ExternalPackageRefCategory

    return ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", purl.to_string())


def _licence(expression: str) -> Any:
    from spdx_tools.common.spdx_licensing import spdx_licensing
    from spdx_tools.spdx.model import SpdxNoAssertion

    return spdx_licensing.parse(expression) if expression else SpdxNoAssertion()


def _relationships(inventory: Inventory) -> Iterator[Any]:
    from spdx_tools.spdx.model import Relationship, RelationshipType

    yield Relationship("SPDXRef-DOCUMENT", RelationshipType.DESCRIBES, _IMAGE)
    if inventory.distribution.name:
        yield Relationship(_IMAGE, RelationshipType.CONTAINS, _SYSTEM)
    for component in sorted(inventory.components):
        yield Relationship(_IMAGE, RelationshipType.CONTAINS, f"SPDXRef-{component_id(component.name)}")
    for package in sorted(inventory.packages):
        target = f"SPDXRef-{package_id(package, package.purl(inventory.distribution))}"
        yield Relationship(f"SPDXRef-{component_id(package.component)}", RelationshipType.CONTAINS, target)


def _extracted(inventory: Inventory) -> Iterator[Any]:
    from spdx_tools.spdx.model import ExtractedLicensingInfo

    parts: tuple[Package | Component, ...] = (*inventory.components, *inventory.packages)
    for name in sorted({name for part in parts for name in references(part.licence)}):
        words = name.removeprefix("LicenseRef-").replace("-", " ")
        yield ExtractedLicensingInfo(name, f"The licence that a package in the image calls: {words}", words)
