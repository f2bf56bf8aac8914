"""The index of an image: its platforms, and beside each what attests to it (image-spec v1.1 `image-index.md`).

Equal parts give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.digest import canonical_json
from pipeline.engine.layout import INDEX_TYPE, Descriptor
from pipeline.supply.artifact import Artifact
from pipeline.supply.attestations import index_entry


def assemble_index(platforms: Mapping[str, Descriptor], attestations: Iterable[Artifact] = ()) -> bytes:
    """Return the index of `platforms` (`linux/amd64` to manifest) and of attestations, each about its `subject`.

    Raises ValueError for an attestation whose subject is none of the platforms.
    """
    entries: list[dict[str, Any]] = []
    for platform, descriptor in sorted(platforms.items()):
        system, _, architecture = platform.partition("/")
        entries.append(descriptor.as_json(platform={"os": system, "architecture": architecture}))
    known = {descriptor.digest for descriptor in platforms.values()}
    for attestation in sorted(attestations, key=_order):
        if attestation.subject is None or attestation.subject.digest not in known:
            raise ValueError("an attestation in an index is about one of its platforms")
        entries.append(index_entry(attestation))
    return canonical_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries})


def _order(attestation: Artifact) -> tuple[str, str]:
    return (attestation.subject.digest if attestation.subject else "", attestation.descriptor.digest)
