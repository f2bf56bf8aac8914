"""An inventory as a CycloneDX 1.6 document in JSON, through the library of the specification's own project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.digest import canonical_json, hex_of
from pipeline.supply.sbom.identity import CREATED, component_id, document_id, package_id
from pipeline.supply.sbom.inventory import Component, Inventory, Package

PREDICATE_TYPE = "https://cyclonedx.org/bom"

_ALGORITHMS = {"sha256": "SHA-256", "sha512": "SHA-512"}


def cyclonedx(inventory: Inventory, version: str) -> bytes:
    """Return the document about an image, as made by `version` of this program: one encoding, no date of its own."""
    from cyclonedx.output.json import JsonV1Dot6

    return canonical_json(json.loads(JsonV1Dot6(document(inventory, version)).output_as_string()))


def document(inventory: Inventory, version: str) -> Any:
    """Return the same as a document of the library."""
    from datetime import UTC

    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component as CdxComponent
    from cyclonedx.model.component import ComponentType

    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=hex_of(inventory.manifest))]
    image = CdxComponent(
        name=inventory.image,
        version=str(inventory.manifest),
        type=ComponentType.CONTAINER,
        bom_ref="Image",
        purl=inventory.purl,
        hashes=hashes,
    )
    program = CdxComponent(name="agentcontainers", version=version, type=ComponentType.APPLICATION, bom_ref="Tool")
    bom = Bom(
        serial_number=document_id(inventory, "cyclonedx", version),
        metadata=BomMetaData(component=image, timestamp=CREATED.replace(tzinfo=UTC)),
    )
    bom.metadata.tools.components.add(program)
    system = CdxComponent(
        name=inventory.distribution.name,
        version=inventory.distribution.release or None,
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref="Distribution",
    )
    bom.components.add(system)
    made = {component.name: _component(component) for component in inventory.components}
    held: dict[str, list[Any]] = {name: [] for name in made}
    for package in inventory.packages:
        entry = _package(package, inventory)
        bom.components.add(entry)
        held[package.component].append(entry)
    for name, component in made.items():
        bom.components.add(component)
        bom.register_dependency(component, held[name])
    bom.register_dependency(image, [*made.values(), system])
    return bom


def _component(component: Component) -> Any:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, Property, XsUri
    from cyclonedx.model.component import Component as CdxComponent
    from cyclonedx.model.component import ComponentType

    site = XsUri(component.homepage)
    return CdxComponent(
        name=component.name,
        version=component.version or None,
        type=ComponentType.APPLICATION,
        bom_ref=component_id(component.name),
        licenses=_licences(component.licence),
        external_references=[ExternalReference(type=ExternalReferenceType.WEBSITE, url=site)] if site.uri else [],
        properties=[Property(name="agentcontainers:layer", value=blob) for blob in component.blobs],
    )


def _package(package: Package, inventory: Inventory) -> Any:
    from cyclonedx.model import (
        ExternalReference,
        ExternalReferenceType,
        HashAlgorithm,
        HashType,
        Property,
        XsUri,
    )
    from cyclonedx.model.component import Component as CdxComponent
    from cyclonedx.model.component import ComponentType

    purl = package.purl(inventory.distribution)
    file = package.kind == "generic"
    return CdxComponent(
        name=package.name,
        version=package.version or None,
        type=ComponentType.APPLICATION if file else ComponentType.LIBRARY,
        bom_ref=package_id(package, purl),
        purl=purl,
        licenses=_licences(package.licence),
        hashes=[
            HashType(alg=HashAlgorithm(_ALGORITHMS[kind]), content=value)
            for kind, value in package.checksums
            if kind in _ALGORITHMS
        ],
        external_references=(
            [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(package.location))]
            if package.location.startswith("http")
            else []
        ),
        properties=[
            Property(name="agentcontainers:component", value=package.component),
            *(Property(name="agentcontainers:path", value=f"/{path}") for path in package.paths),
            *(Property(name=name, value=value) for name, value in _origin(package)),
        ],
    )


def _origin(package: Package) -> Iterator[tuple[str, str]]:
    """Yield the properties by which Trivy knows what a Debian package was made from; it reads no `upstream`."""
    if package.kind == "deb" and package.source:
        yield from zip(("aquasecurity:trivy:SrcName", "aquasecurity:trivy:SrcVersion"), package.origin, strict=True)


def _licences(expression: str) -> list[Any]:
    from cyclonedx.model.license import LicenseExpression

    return [LicenseExpression(expression)] if expression else []
