"""What is pushed beside an image: bundles that refer to it, and cosign's older tags."""

from __future__ import annotations

import base64
import json

import anyio
import pytest
from securesystemslib.signer import Signature

from pipeline.digest import Digest, digest_bytes
from pipeline.engine.layout import INDEX_TYPE, MANIFEST_TYPE, Descriptor
from pipeline.errors import SignError
from pipeline.supply.artifact import Artifact
from pipeline.supply.check.checks import PROVENANCE
from pipeline.supply.sign.bundle import BUNDLE_TYPE, Envelope
from pipeline.supply.sign.keys import KeySigner
from pipeline.supply.sign.legacy import Tagged, legacy_tags
from pipeline.supply.sign.referrers import SIGN_PREDICATE, bundle_artifact, is_signed, sign_all, signature_of
from pipeline.supply.statement import PAYLOAD_TYPE, Statement
from tests.unit.supply.check.looking import SIGNER, new_signer
from tests.unit.supply.evidence_shelf import NOW, evidence_of, signed_shelf

INDEX = Descriptor(INDEX_TYPE, digest_bytes(b"index"), 5)
PLATFORM = Descriptor(MANIFEST_TYPE, digest_bytes(b"platform"), 8)


def test_a_referrer_has_the_form_that_cosign_looks_for() -> None:
    """Its type, one layer, an empty config, and what the bundle holds, in annotations."""
    artifact = bundle_artifact(b"bundle", Statement(PROVENANCE, {}, INDEX.digest), INDEX, NOW)
    manifest = json.loads(artifact.manifest)

    assert manifest["artifactType"] == BUNDLE_TYPE
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert [layer["mediaType"] for layer in manifest["layers"]] == [BUNDLE_TYPE]
    assert manifest["subject"] == INDEX.as_json()
    assert manifest["annotations"] == {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": PROVENANCE,
        "org.opencontainers.image.created": "2026-11-21T12:00:00Z",
    }


def test_a_statement_about_something_else_is_not_signed() -> None:
    """The key's word would be given for what is not published."""
    foreign = Statement(PROVENANCE, {}, digest_bytes(b"something else"))

    async def work() -> tuple[Artifact, ...]:
        return await sign_all(SIGNER, INDEX, [PLATFORM], [foreign], NOW)

    with pytest.raises(SignError, match="no part of the image"):
        anyio.run(work)


def test_an_image_without_an_index_is_signed_once() -> None:
    """It is index and platform in one."""

    async def work() -> tuple[Artifact, ...]:
        return await sign_all(SIGNER, PLATFORM, [PLATFORM], (), NOW)

    assert [one.subject for one in anyio.run(work)] == [PLATFORM]


def test_whether_an_image_is_signed_is_said_by_the_signer() -> None:
    """Another signer's signature, or a bundle about something else, is none of his."""
    bundle = anyio.run(SIGNER.sign, signature_of(INDEX.digest))

    assert is_signed(SIGNER, INDEX.digest, [b"nonsense", bundle])
    assert not is_signed(SIGNER, PLATFORM.digest, [bundle])
    assert not is_signed(new_signer(), INDEX.digest, [bundle])


def test_older_tags_hold_evidence_first_and_signatures_last() -> None:
    """One tag for all statements about a subject, one for its signature; the index has no statements here."""
    statements = evidence_of(PLATFORM.digest)

    async def work() -> tuple[Tagged, ...]:
        return await legacy_tags(SIGNER, "registry.example/a", [INDEX, PLATFORM], statements)

    tagged = anyio.run(work)

    names = [f"sha256-{PLATFORM.digest[7:]}.att", f"sha256-{INDEX.digest[7:]}.sig", f"sha256-{PLATFORM.digest[7:]}.sig"]
    assert [one.tag for one in tagged] == names
    attestations, _, signature = (one.artifact for one in tagged)
    assert [layer.annotations["predicateType"] for layer in attestations.layers] == [
        one.predicate_type for one in statements
    ]
    (payload,) = signature.layers
    document = json.loads(payload.data)
    assert document["critical"]["image"] == {"docker-manifest-digest": PLATFORM.digest}
    assert document["critical"]["identity"] == {"docker-reference": "registry.example/a"}


def test_the_envelopes_of_older_tags_are_signed_like_bundles() -> None:
    """The same bytes under the same signature scheme."""

    async def work() -> tuple[Tagged, ...]:
        return await legacy_tags(SIGNER, "r/a", [PLATFORM], evidence_of(PLATFORM.digest)[:1])

    document = json.loads(anyio.run(work)[0].artifact.layers[0].data)
    envelope = Envelope(base64.b64decode(document["payload"]), document["payloadType"], b"")
    signature = base64.b64decode(document["signatures"][0]["sig"])
    SIGNER.key.verify_signature(Signature(SIGNER.key.keyid, signature.hex()), envelope.signed)
    assert envelope.payload_type == PAYLOAD_TYPE
    assert envelope.payload == evidence_of(PLATFORM.digest)[0].encode()


def test_signing_again_makes_nothing_new() -> None:
    """A publish that is repeated adds no referrer, of which there may be only so many."""
    shelf, index, platforms = signed_shelf(SIGNER)
    statements = [one for platform in platforms.values() for one in evidence_of(platform.digest)]
    present = {
        Digest(digest): [
            shelf.blobs[json.loads(shelf.manifests[entry["digest"]])["layers"][0]["digest"]] for entry in listed
        ]
        for digest, listed in shelf.referrers_of.items()
    }

    async def again(signer: KeySigner) -> int:
        return len(await sign_all(signer, index, tuple(platforms.values()), statements, NOW, present))

    assert anyio.run(again, SIGNER) == 0
    assert anyio.run(again, new_signer()) == 2 * 4 + 3


def test_the_signature_of_the_index_comes_last() -> None:
    """After all evidence and the platforms' signatures."""
    index = Descriptor("application/vnd.oci.image.index.v1+json", digest_bytes(b"index"), 5)
    platform = Descriptor(MANIFEST_TYPE, digest_bytes(b"platform"), 8)

    async def work() -> tuple[Artifact, ...]:
        return await sign_all(SIGNER, index, [platform], evidence_of(platform.digest), NOW)

    made = anyio.run(work)

    kinds = [one.annotations["dev.sigstore.bundle.predicateType"] for one in made]
    assert kinds[-2:] == [SIGN_PREDICATE, SIGN_PREDICATE]
    assert [one.subject for one in made[-2:]] == [platform, index]
    assert SIGN_PREDICATE not in kinds[:-2]
