"""Attestations as BuildKit keeps them: a manifest in the image's index, beside the platform it speaks of.

Form: BuildKit `docs/attestations/attestation-storage.md`, as OCI artifact: artifact type, empty config and subject.
Its platform is `unknown/unknown`, so that no container runtime takes it for an image.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.engine.layout import Descriptor
from pipeline.supply.artifact import Artifact, Blob
from pipeline.supply.statement import PAYLOAD_TYPE, Statement

ARTIFACT_TYPE = "application/vnd.docker.attestation.manifest.v1+json"
PREDICATE_ANNOTATION = "in-toto.io/predicate-type"
REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"


def index_entry(attestation: Artifact) -> dict[str, Any]:
    """Return what names an attestation in an index, after all the platforms; raises ValueError without a subject."""
    if attestation.subject is None:
        raise ValueError("an attestation is about a platform of its image")
    return attestation.descriptor.as_json(
        annotations={REFERENCE_DIGEST: attestation.subject.digest, REFERENCE_TYPE: "attestation-manifest"},
        platform={"architecture": "unknown", "os": "unknown"},
    )


def attestation(subject: Descriptor, statements: Iterable[Statement]) -> Artifact:
    """Return `statements` about the platform manifest `subject` as one manifest; their order does not matter.

    Raises ValueError for a statement about something else, or one too few.
    """
    ordered = sorted(statements, key=lambda one: (one.predicate_type, one.encode()))
    if not ordered:
        raise ValueError("an attestation without a statement says nothing")
    if strangers := [one.predicate_type for one in ordered if one.subject != subject.digest]:
        raise ValueError(f"{strangers[0]} is not about {subject.digest}")
    layers = tuple(Blob(PAYLOAD_TYPE, one.encode(), {PREDICATE_ANNOTATION: one.predicate_type}) for one in ordered)
    return Artifact(ARTIFACT_TYPE, layers, subject=subject)
