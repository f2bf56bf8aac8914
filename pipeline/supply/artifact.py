"""OCI artifacts: a manifest with the few small blobs it names, kept in memory until it is pushed.

Image-spec 1.1 `manifest.md`, guidelines for artifact usage. A referrer names its `subject`; an attestation manifest as
BuildKit writes it stands in the index of the image instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.digest import Digest, canonical_json, digest_bytes
from pipeline.engine.layout import MANIFEST_TYPE, Descriptor

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes of a media type, with the annotations of the descriptor that will name them."""

    media_type: str
    data: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """What names it in a manifest, but for its annotations."""
        return Descriptor(self.media_type, digest_bytes(self.data), len(self.data))


EMPTY = Blob(EMPTY_TYPE, b"{}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """An image manifest that holds no file system; `subject` is what it refers to, if it is a referrer."""

    artifact_type: str
    layers: tuple[Blob, ...]
    config: Blob = EMPTY
    subject: Descriptor | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def manifest(self) -> bytes:
        """The one encoding of its manifest."""
        more: dict[str, Any] = {"artifactType": self.artifact_type} if self.artifact_type else {}
        if self.subject:
            more["subject"] = self.subject.as_json()
        if self.annotations:
            more["annotations"] = dict(self.annotations)
        return canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": self.config.descriptor.as_json(),
                "layers": [_entry(layer) for layer in self.layers],
                **more,
            }
        )

    @property
    def descriptor(self) -> Descriptor:
        """What names its manifest."""
        manifest = self.manifest
        return Descriptor(MANIFEST_TYPE, digest_bytes(manifest), len(manifest))

    @property
    def blobs(self) -> Mapping[Digest, bytes]:
        """Everything its manifest names, by digest: what has to be in the repository before it."""
        return {digest_bytes(blob.data): blob.data for blob in (self.config, *self.layers)}


def _entry(blob: Blob) -> dict[str, Any]:
    annotations = {"annotations": dict(blob.annotations)} if blob.annotations else {}
    return blob.descriptor.as_json(**annotations)
