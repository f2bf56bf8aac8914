"""What tells a document from others without saying when it was made: its number follows from what it describes."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from packageurl import PackageURL

from pipeline.compose.layers import EPOCH
from pipeline.supply.sbom.inventory import Inventory, Package

CREATED = datetime.fromtimestamp(EPOCH, UTC).replace(tzinfo=None)
"""The date in every document: that of all files we write. Formats ask for one; two documents must not differ by it."""


def document_id(inventory: Inventory, form: str, version: str) -> uuid.UUID:
    """Return the number of a document of `form` about an image, made by `version` of this program (UUIDv5)."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"agc:{version}:{form}:{inventory.manifest}")


def component_id(name: str) -> str:
    """Return the reference by which a document means a component."""
    return "Component-" + name.replace("/", "-")


def package_id(package: Package, purl: PackageURL) -> str:
    """Return the reference by which a document means a package of a component; the same in all images that have it.

    A package URL alone would not do: it makes one of names that differ in case.
    """
    told = f"{package.component} {package.name} {package.version} {package.architecture} {purl.to_string()}"
    return f"Package-{uuid.uuid5(uuid.NAMESPACE_URL, told)}"
