"""The bill of materials of an image that was built, from the layout it lies in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from pipeline.compose.image import Composition, compose
from pipeline.compose.labels import GRAPH_LABEL
from pipeline.digest import Digest
from pipeline.engine.layout import manifests_of, read_blob, read_manifest
from pipeline.errors import UsageError
from pipeline.resolve.plan import ImagePlan
from pipeline.settings import Settings


class BillFormat(StrEnum):
    """The formats there are."""

    SPDX = "spdx"
    CYCLONEDX = "cyclonedx"


@dataclass(frozen=True, slots=True)
class Bill:
    """A document about an image on one platform, and how many packages are in it."""

    image: str
    platform: str
    digest: Digest
    form: BillFormat
    packages: int
    document: bytes

    def as_json(self) -> dict[str, object]:
        """Return the object `agc sbom --json` prints, but for the document."""
        return {
            "image": self.image,
            "platform": self.platform,
            "digest": self.digest,
            "format": str(self.form),
            "packages": self.packages,
        }


def bill_of_materials(plan: ImagePlan, form: BillFormat, layout: Path | None, settings: Settings) -> Bill:
    """Return what is in the image of `plan`, which lies in `layout`, in ./out or where builds leave it.

    Raises UsageError where it is not there or was made from something else, IntegrityError where it is damaged.
    """
    from pipeline.supply.sbom.cyclonedx import cyclonedx  # their libraries take half a second
    from pipeline.supply.sbom.image import image_sbom
    from pipeline.supply.sbom.spdx import spdx

    composition = compose(plan)
    places = (layout,) if layout else (Path("out").absolute(), settings.cache / "images")
    place, digest = _find(composition, places)
    held = image_sbom(place, digest, composition, settings.cache)
    write = spdx if form is BillFormat.SPDX else cyclonedx
    document = write(held, version("agentcontainers"))
    return Bill(plan.name, str(plan.platform), digest, form, len(held.packages), document)


def _find(composition: Composition, places: tuple[Path, ...]) -> tuple[Path, Digest]:
    """Return the first place that has the image as it is composed now, and the digest of its manifest."""
    plan = composition.plan
    there = tuple(_manifests(composition, places))
    for place, digest in there:
        if _graph(place, digest) == composition.graph_digest:
            return place, digest
    remedy = f"agc build {plan.name} --platform {plan.platform}"
    if there:
        raise UsageError(
            f"{plan.name} for {plan.platform} in {there[0][0]} was built from other definitions or another lock",
            remedy=remedy,
        )
    looked = " or ".join(str(place) for place in places)
    raise UsageError(f"{plan.name} for {plan.platform} was not built: it is not in {looked}", remedy=remedy)


def _manifests(composition: Composition, places: tuple[Path, ...]) -> Iterator[tuple[Path, Digest]]:
    for place in places:
        found: Mapping[str, Digest] = manifests_of(place, composition.plan.name)
        if digest := found.get(str(composition.plan.platform)):
            yield place, digest


def _graph(layout: Path, manifest: Digest) -> str:
    config = json.loads(read_blob(layout, read_manifest(layout, manifest).config.digest))
    return str(((config.get("config") or {}).get("Labels") or {}).get(GRAPH_LABEL, ""))
