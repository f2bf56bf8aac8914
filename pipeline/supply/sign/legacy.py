"""cosign's older form (cosign `specs/SIGNATURE_SPEC.md`): tags beside the image, for verifiers that know no referrers.

`sha256-<hex>.sig` holds a "simple signing" document, `sha256-<hex>.att` the envelopes of all statements. Only keys make
it: an identity's would need its certificate and log entry in annotations, and who knows identities knows bundles.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.digest import Canonical, canonical_json, digest_bytes, hex_of
from pipeline.engine.layout import CONFIG_TYPE, Descriptor
from pipeline.supply.artifact import Artifact, Blob
from pipeline.supply.sign.bundle import Envelope
from pipeline.supply.sign.keys import KeySigner
from pipeline.supply.statement import PAYLOAD_TYPE, Statement

SIMPLE_SIGNING_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"


@dataclass(frozen=True, slots=True)
class Tagged:
    """An artifact that is found by its tag, because it names no subject."""

    tag: str
    artifact: Artifact


async def legacy_tags(
    signer: KeySigner, repository: str, subjects: Sequence[Descriptor], statements: Sequence[Statement]
) -> tuple[Tagged, ...]:
    """Return what stands beside the image in `repository` (`registry/name`): evidence first, signatures last.

    Raises SignError.
    """
    evidence = []
    for subject in subjects:
        own = [statement for statement in statements if statement.subject == subject.digest]
        if own:
            layers = [await _attestation(signer, statement) for statement in own]
            evidence.append(Tagged(f"sha256-{hex_of(subject.digest)}.att", _image(layers)))
    signatures = [
        Tagged(f"sha256-{hex_of(subject.digest)}.sig", _image([await _signature(signer, repository, subject)]))
        for subject in subjects
    ]
    return (*evidence, *signatures)


async def _attestation(signer: KeySigner, statement: Statement) -> Blob:
    unsigned = Envelope(statement.encode(), PAYLOAD_TYPE, b"")
    signed = Envelope(unsigned.payload, PAYLOAD_TYPE, await signer.sign_bytes(unsigned.signed))
    annotations = {_SIGNATURE: "", "predicateType": statement.predicate_type}
    return Blob(ENVELOPE_TYPE, canonical_json(signed.as_json()), annotations)


async def _signature(signer: KeySigner, repository: str, subject: Descriptor) -> Blob:
    document: Canonical = {
        "critical": {
            "identity": {"docker-reference": repository},
            "image": {"docker-manifest-digest": subject.digest},
            "type": "cosign container image signature",
        },
        "optional": None,
    }
    payload = canonical_json(document)
    signature = base64.b64encode(await signer.sign_bytes(payload)).decode()
    return Blob(SIMPLE_SIGNING_TYPE, payload, {_SIGNATURE: signature})


def _image(layers: Sequence[Blob]) -> Artifact:
    """Return the layers as what cosign takes for an image; registries without artifacts take it too."""
    config: Canonical = {
        "architecture": "",
        "config": {},
        "created": "0001-01-01T00:00:00Z",
        "history": [{"created": "0001-01-01T00:00:00Z"} for _ in layers],
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": [digest_bytes(layer.data) for layer in layers]},
    }
    return Artifact("", tuple(layers), config=Blob(CONFIG_TYPE, canonical_json(config)))
