"""An image and its evidence in a registry, spoiled in every way."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.digest import Digest, canonical_json
from pipeline.engine.layout import Descriptor
from pipeline.supply.artifact import Artifact, Blob
from pipeline.supply.check.checks import PROVENANCE
from pipeline.supply.check.policy import VerifySpec
from pipeline.supply.sign.bundle import BUNDLE_TYPE
from pipeline.supply.sign.referrers import SIGN_PREDICATE, bundle_artifact
from pipeline.supply.statement import Statement
from tests.unit.supply.check.looking import SIGNER, failures, new_signer, verified
from tests.unit.supply.evidence_shelf import NOW, Shelf, put_image, signed_shelf


def test_another_key_is_nobody_we_trust() -> None:
    """And what it has signed is counted, for the message."""
    shelf, _, _ = signed_shelf(new_signer())

    result = verified(shelf, VerifySpec())

    assert {check.name for check in result.failed} == {"signature"}
    assert "bundles of others: 1" in result.failed[0].found


def test_a_strangers_bundle_beside_ours_changes_nothing() -> None:
    """Whoever may push could otherwise make an image unusable by adding to it."""
    shelf, index, platforms = signed_shelf(SIGNER)
    stranger, *_ = signed_shelf(new_signer())
    shelf.blobs |= stranger.blobs
    shelf.manifests |= {name: one for name, one in stranger.manifests.items() if name not in shelf.manifests}
    for digest in (index.digest, *(one.digest for one in platforms.values())):
        shelf.referrers_of[digest] += stranger.referrers_of[digest]

    assert verified(shelf).verified


def bundle_of(shelf: Shelf, subject: Digest, kind: str) -> tuple[Digest, bytes]:
    """Return digest and bytes of the bundle about `subject` of a predicate type."""
    for entry in shelf.referrers_of[subject]:
        if entry["annotations"]["dev.sigstore.bundle.predicateType"] == kind:
            digest = json.loads(shelf.manifests[entry["digest"]])["layers"][0]["digest"]
            return digest, shelf.blobs[digest]
    raise AssertionError(kind)


def replaced(shelf: Shelf, subject: Descriptor, kind: str, bundle: bytes) -> None:
    """Put another bundle in the place of one, and everything that names it right again."""
    kept = [
        entry
        for entry in shelf.referrers_of[subject.digest]
        if entry["annotations"]["dev.sigstore.bundle.predicateType"] != kind
    ]
    shelf.referrers_of[subject.digest] = kept
    shelf.attach([bundle_artifact(bundle, Statement(kind, {}, subject.digest), subject, NOW)])


def changed(bundle: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a bundle with something changed."""
    document = json.loads(bundle)
    change(document)
    return json.dumps(document).encode()


def other_payload(document: dict[str, Any]) -> None:
    """Say that the builder was another one."""
    envelope = document["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"]).replace(b"sha256", b"sha512")
    envelope["payload"] = base64.b64encode(payload).decode()


def other_signature(document: dict[str, Any]) -> None:
    """Turn a bit of the signature."""
    signature = document["dsseEnvelope"]["signatures"][0]
    raw = bytearray(base64.b64decode(signature["sig"]))
    raw[-1] ^= 1
    signature["sig"] = base64.b64encode(bytes(raw)).decode()


def two_signatures(document: dict[str, Any]) -> None:
    """Have it signed twice."""
    document["dsseEnvelope"]["signatures"] *= 2


@pytest.mark.parametrize("change", [other_payload, other_signature, two_signatures])
@pytest.mark.parametrize("kind", [SIGN_PREDICATE, PROVENANCE])
def test_a_changed_bundle_is_told_and_does_not_count(change: Callable[[dict[str, Any]], None], kind: str) -> None:
    """It names our key, which never signed it: whatever it is about, the image is not verified."""
    shelf, _, platforms = signed_shelf(SIGNER)
    subject = platforms["linux/amd64"]
    replaced(shelf, subject, kind, changed(bundle_of(shelf, subject.digest, kind)[1], change))

    found = failures(shelf, VerifySpec())
    assert ("evidence", "linux/amd64") in found
    assert (("signature", "linux/amd64") in found) == (kind == SIGN_PREDICATE)


def test_the_bundle_of_another_image_does_not_count() -> None:
    """A good signature, of the right key, about something else."""
    shelf, _, platforms = signed_shelf(SIGNER)
    subject, other = platforms["linux/amd64"], platforms["linux/arm64"]
    replaced(shelf, subject, SIGN_PREDICATE, bundle_of(shelf, other.digest, SIGN_PREDICATE)[1])

    found = failures(shelf, VerifySpec())

    assert ("signature", "linux/amd64") in found
    assert ("evidence", "linux/amd64") in found


@pytest.mark.parametrize("part", ["index", "linux/amd64", "linux/arm64"])
def test_each_part_needs_its_signature(part: str) -> None:
    """Who deletes one, has an image that is not verified."""
    shelf, index, platforms = signed_shelf(SIGNER)
    subject = {"index": index, **platforms}[part]
    kept = [entry for entry in shelf.referrers_of[subject.digest] if "sign/v1" not in json.dumps(entry)]
    shelf.referrers_of[subject.digest] = kept

    assert failures(shelf) == [("signature", part)]


def spoil_blob(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """Other bytes in a layer."""
    layer = json.loads(shelf.manifests[platform.digest])["layers"][0]["digest"]
    shelf.blobs[layer] = b"evil" + shelf.blobs[layer][4:]


def drop_config(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """No config."""
    del shelf.blobs[json.loads(shelf.manifests[platform.digest])["config"]["digest"]]


def spoil_manifest(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """Other bytes in a platform's manifest."""
    shelf.manifests[platform.digest] = shelf.manifests[platform.digest].replace(b"zstd", b"gzip")


def drop_manifest(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """No manifest."""
    del shelf.manifests[platform.digest]


def swap_platform(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """Put another index under the tag, with a platform of another image in it."""
    _, others = put_image(Shelf(), "another")
    other, _ = put_image(shelf, "another")
    document = json.loads(shelf.manifests[index.digest])
    document["manifests"][0] |= others["linux/amd64"].as_json()
    shelf.manifests["latest"] = canonical_json(document)
    assert other.digest != index.digest


def spoil_referrer(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """Other bytes in the manifest of a referrer."""
    digest = shelf.referrers_of[platform.digest][0]["digest"]
    shelf.manifests[digest] = shelf.manifests[digest].replace(b"dsse", b"essd")


def drop_bundle(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """Leave a referrer without its bundle."""
    del shelf.blobs[bundle_of(shelf, platform.digest, PROVENANCE)[0]]


def two_layers(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """Have a referrer with two layers."""
    shelf.attach([Artifact(BUNDLE_TYPE, (Blob(BUNDLE_TYPE, b"{}"),) * 2, subject=platform)])


def foreign_subject(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """List a referrer for what it does not refer to."""
    shelf.referrers_of[platform.digest] += shelf.referrers_of[index.digest]


def many_referrers(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """More referrers than anybody has."""
    shelf.referrers_of[platform.digest] *= 50


def index_of_nothing(shelf: Shelf, index: Descriptor, platform: Descriptor) -> None:
    """Have an index with no manifest."""
    shelf.manifests["latest"] = b'{"manifests":[]}'


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_blob,
        drop_config,
        spoil_manifest,
        drop_manifest,
        swap_platform,
        spoil_referrer,
        drop_bundle,
        two_layers,
        foreign_subject,
        many_referrers,
        index_of_nothing,
    ],
)
def test_a_spoiled_registry_is_noticed(spoil: Callable[[Shelf, Descriptor, Descriptor], None]) -> None:
    """Whatever was changed, with no policy at all."""
    shelf, index, platforms = signed_shelf(SIGNER)
    spoil(shelf, index, platforms["linux/amd64"])

    assert failures(shelf, VerifySpec())
