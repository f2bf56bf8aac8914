"""Attestations as BuildKit keeps them: a manifest in the image's index, beside the platform it speaks of.

Form: BuildKit `docs/attestations/attestation-storage.md`, as OCI artifact: artifact type, empty config and subject.
Its platform is `unknown/unknown`, so that no container runtime takes it for an image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.engine.layout import Descriptor
from pipeline.supply.artifact import Artifact, Blob
from pipeline.supply.statement import PAYLOAD_TYPE, Statement

ARTIFACT_TYPE = "application/vnd.docker.attestation.manifest.v1+json"
PREDICATE_ANNOTATION = "in-toto.io/predicate-type"
REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"


@dataclass(frozen=True, slots=True)
class Attestation:
    """What is claimed of one platform of an image, as a manifest for the image's index."""

    artifact: Artifact
    subject: Descriptor

    @property
    def entry(self) -> Mapping[str, Any]:
        """What names it in the index, after all the platforms."""
        return self.artifact.descriptor.as_json(
            annotations={REFERENCE_DIGEST: self.subject.digest, REFERENCE_TYPE: "attestation-manifest"},
            platform={"architecture": "unknown", "os": "unknown"},
        )


def attestation(subject: Descriptor, statements: Iterable[Statement]) -> Attestation:
    """Return `statements` about the platform manifest `subject` as one manifest; their order does not matter.

    Raises ValueError for a statement about something else, or one too few.
    """
    ordered = sorted(statements, key=lambda one: (one.predicate_type, one.encode()))
    if not ordered:
        raise ValueError("an attestation without a statement says nothing")
    if strangers := [one.predicate_type for one in ordered if one.subject != subject.digest]:
        raise ValueError(f"{strangers[0]} is not about {subject.digest}")
    layers = tuple(Blob(PAYLOAD_TYPE, one.encode(), {PREDICATE_ANNOTATION: one.predicate_type}) for one in ordered)
    return Attestation(Artifact(ARTIFACT_TYPE, layers, subject=subject), subject)
