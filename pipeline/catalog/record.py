"""The catalog document, `registry/catalog.json`: what was published, image by image, and what each is made of.

Rules kept here:

- `schema` names the major version, which changes when old readers would go wrong; anything else is added as a field;
- fields this program does not know are kept when it writes the document again, so an older program takes nothing away;
- equal content gives equal bytes: keys are sorted, layers stand lowest first, and nothing tells when or where it was
  written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.digest import Digest
from pipeline.errors import AgcError
from pipeline.models.values import FrozenMap

Item = TypeVar("Item")

SCHEMA = "agentcontainers/catalog/v1"

Sha256 = Annotated[Digest, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=lambda name: re.sub(r"_(\w)", lambda match: match[1].upper(), name),
        validate_by_name=True,
        serialize_by_alias=True,
        defer_build=True,
    )


class LayerRecord(_Record):
    """A blob of a published image."""

    component: str
    """The component it holds, as `agents/claude`."""
    graph_digest: Sha256
    """What the layer was made from: equal graph digests, equal layers."""
    digest: Sha256
    """The blob, as the manifest names it."""
    size: int = Field(ge=0)
    """Its size in bytes, compressed: what is pulled."""
    version: str = ""
    """The component's version; a base has none."""
    pin: str = ""
    """What stands for the version of something that has none: a root's manifest digest."""


class PlatformRecord(_Record):
    """A published image on one platform."""

    digest: Sha256
    """Its manifest."""
    config: Sha256
    """Its config blob."""
    graph_digest: str = ""
    """What everything in it was made from; empty where the image does not say."""
    layers: tuple[LayerRecord, ...] = ()
    """Its blobs, lowest first; those of a root from a registry may be several."""
    settings: FrozenMap[str, Any] = Field(default_factory=dict)
    """What its config tells a container runtime, as OCI spells it, without the labels that repeat its layers."""
    smoke: tuple[str, ...] = ()
    """The depths of the smoke tests it passed: `presence`, `answer`, `work`."""

    @property
    def size(self) -> int:
        """What somebody pulls who has none of it, in bytes."""
        return sum(layer.size for layer in self.layers)


class LicenceRecord(_Record):
    """What may be done with a program in an image."""

    name: str
    """The licence, as SPDX names it."""
    publish: str
    """Whether its bytes may be in published images: `baked`, `late-bound` or `private`."""


class EvidenceRecord(_Record):
    """Something that is claimed of an image, in its repositories."""

    predicate_type: str
    """What kind of claim it is."""
    subject: Sha256
    """The index or manifest it is about."""
    digest: Sha256
    """The manifest that holds it: a referrer of its subject, or an attestation in the index."""
    signed: bool = False
    """Whether it is in a signed bundle."""


class UpstreamRecord(_Record):
    """The newest release of a component's package when its lock was last brought up to date."""

    package: str
    """The package."""
    version: str
    """Its newest version that answers the definition."""
    published: date | None = None
    """The day it was published, where its registry says so."""
    reason: str = ""
    """Why the image has another one; empty where it has this one."""


class ImageRecord(_Record):
    """A published image."""

    digest: Sha256
    """What its tags name: the index, or the manifest where it has one platform."""
    repositories: tuple[str, ...]
    """Where this digest was pushed, as `registry/namespace/name`."""
    tags: tuple[str, ...] = ()
    """The tags that were moved to it."""
    platforms: FrozenMap[str, PlatformRecord]
    """Its platforms."""
    reasons: tuple[str, ...] = ()
    """Why it differs from what was recorded before it."""
    licences: FrozenMap[str, LicenceRecord] = Field(default_factory=dict)
    """The licences of its programs, by component."""
    evidence: tuple[EvidenceRecord, ...] = ()
    """What is claimed of it, and where that is."""
    verify: tuple[str, ...] = ()
    """Commands that check it, with the digest filled in."""
    waiver: str = ""
    """Why nobody looked for its vulnerabilities, where nobody did."""
    upstream: FrozenMap[str, UpstreamRecord] = Field(default_factory=dict)
    """What is newest of its components, by component; what is not known is not there."""


class ContentRecord(_Record):
    """What is in a layer. Whose layer it is stands with the images: two bases may have the same one."""

    packages: FrozenMap[str, str]
    """Its packages, name to version."""


class Catalog(_Record):
    """Everything that was published from a project."""

    catalog_schema: str = Field(alias="schema", default=SCHEMA)
    """The name of this form of document, with its major version."""
    images: FrozenMap[str, ImageRecord] = Field(default_factory=dict)
    """The images by name."""
    contents: FrozenMap[str, ContentRecord] = Field(default_factory=dict)
    """What is in the layers, by the graph digest of the layer, once for all images that hold it."""

    def with_image(self, name: str, image: ImageRecord, contents: Mapping[str, ContentRecord]) -> Catalog:
        """Return the catalog with an image added or replaced, and no contents that no image holds."""
        images = {**self.images, name: image}
        held = {
            layer.graph_digest for item in images.values() for one in item.platforms.values() for layer in one.layers
        }
        kept = {key: value for key, value in {**self.contents, **contents}.items() if key in held}
        return self.model_copy(update={"images": images, "contents": kept})


def per_blob(layers: Sequence[Item], blobs: int, name: str) -> list[Item]:
    """Return for each of so many blobs the layer it belongs to, lowest first; only a root has more than one.

    Raises AgcError where there are fewer blobs than layers.
    """
    if blobs < len(layers):
        raise AgcError(f"{name} has {blobs} layers where {len(layers)} were composed")
    return [layers[0]] * (blobs - len(layers)) + list(layers) if layers else []


def layer_sizes(layers: Iterable[LayerRecord]) -> dict[Digest, int]:
    """Return the bytes of each layer, all its blobs together, by its graph digest."""
    sizes: dict[Digest, int] = {}
    for layer in layers:
        sizes[layer.graph_digest] = sizes.get(layer.graph_digest, 0) + layer.size
    return sizes
