"""What is verified and what is not: an image in memory, spoiled in every way, and held against policies."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner

from pipeline.catalog.evidence import check_content, parse_image, read_image
from pipeline.digest import Digest, canonical_json, digest_bytes
from pipeline.engine.layout import MANIFEST_TYPE, Descriptor
from pipeline.errors import UsageError, VerifyError
from pipeline.supply.artifact import Artifact, Blob
from pipeline.supply.check.checks import PROVENANCE, check_parts, source_of
from pipeline.supply.check.claim import Claim, Part, hear
from pipeline.supply.check.policy import VerifySpec
from pipeline.supply.check.result import Check, Outcome, Verification
from pipeline.supply.sign.bundle import BUNDLE_TYPE, Envelope, key_bundle
from pipeline.supply.sign.key_files import known_key
from pipeline.supply.sign.keys import KeySigner
from pipeline.supply.sign.referrers import SIGN_PREDICATE, bundle_artifact, sign_all, signature_of
from pipeline.supply.statement import PAYLOAD_TYPE, Statement
from tests.unit.supply.evidence_shelf import (
    BUILD_TYPE,
    BUILDER,
    NOW,
    REPOSITORY,
    Shelf,
    evidence_of,
    put_image,
    signed_shelf,
)

REFERENCE = parse_image("registry.example/agents/claude:latest")
EVERYTHING: dict[str, Any] = {
    "platforms": ["linux/amd64", "linux/arm64"],
    "provenance": {
        "builders": [BUILDER],
        "buildTypes": [BUILD_TYPE],
        "repositories": [REPOSITORY],
        "roots": ["pkg:oci/debian@"],
    },
    "sboms": ["spdx", "cyclonedx"],
    "vulnerabilities": {"maxAgeDays": 7},
}


def new_signer() -> KeySigner:
    """Return the signer for a new key."""
    private = ec.generate_private_key(ec.SECP256R1())
    key = known_key(private.public_key())
    return KeySigner(CryptoSigner(private, key), key, "test")


SIGNER = new_signer()


def spec(**more: Any) -> VerifySpec:
    """Return a policy that asks for everything, but for what is given."""
    return VerifySpec.model_validate({**EVERYTHING, **more})


def verified(shelf: Shelf, policy: VerifySpec | None = None, signer: KeySigner = SIGNER) -> Verification:
    """Return what comes of verifying the image of a repository."""

    async def work() -> Verification:
        image = await read_image(shelf, REFERENCE)
        index, *platforms = [hear(part, [signer.trust]) for part in (image.index, *image.platforms)]
        checks = check_parts(index, platforms, policy or spec(), NOW)
        content = await check_content(shelf, image)
        return Verification("it", image.index.digest, {}, (*checks, *content))

    return anyio.run(work)


def failures(shelf: Shelf, policy: VerifySpec | None = None) -> list[tuple[str, str]]:
    """Return name and part of the checks that fail, or the error that ends it all."""
    try:
        return [(check.name, check.part) for check in verified(shelf, policy).failed]
    except VerifyError:
        return [("unreadable", "")]


def resigned(shelf: Shelf, index: Descriptor, platforms: dict[str, Descriptor], *statements: Statement) -> None:
    """Attach the given statements alone, signed."""

    async def work() -> tuple[Artifact, ...]:
        made = await sign_all(SIGNER, index, tuple(platforms.values()), statements, NOW)
        return made[: len(statements)]

    shelf.attach(anyio.run(work))


def test_an_image_with_everything_is_verified() -> None:
    """Every check was asked for and passed."""
    shelf, index, _ = signed_shelf(SIGNER)

    result = verified(shelf)

    assert result.verified
    assert result.digest == index.digest
    assert {check.outcome for check in result.checks} == {Outcome.PASSED}
    assert sum(check.name == "signature" for check in result.checks) == 3


def test_a_registry_without_the_referrers_call() -> None:
    """The tag that stands in for it is read."""
    shelf, _, _ = signed_shelf(SIGNER)
    shelf.api = False

    assert verified(shelf).verified


def test_what_no_policy_asks_for_is_shown_and_cannot_fail() -> None:
    """Signatures are always asked for."""
    shelf = Shelf()
    index, platforms = put_image(shelf)
    resigned(shelf, index, platforms, *map(signature_of, [index.digest, *(one.digest for one in platforms.values())]))

    result = verified(shelf, VerifySpec())

    assert result.verified
    assert {check.name for check in result.checks if check.outcome is Outcome.NOT_ASKED} == {
        "provenance",
        "bill of materials",
        "vulnerability scan",
    }


def test_evidence_without_a_signature_is_no_release() -> None:
    """With cosign any bundle of the key is a signature; here an image that was only attested to is not signed."""
    shelf = Shelf()
    index, platforms = put_image(shelf)
    resigned(shelf, index, platforms, *(one for part in platforms.values() for one in evidence_of(part.digest)))

    assert failures(shelf) == [("signature", part) for part in ("index", *platforms)]
    assert "it was not released" in verified(shelf).failed[1].found


def test_an_unsigned_image_is_not_verified() -> None:
    """With no policy either."""
    shelf = Shelf()
    put_image(shelf)

    assert failures(shelf, VerifySpec()) == [("signature", part) for part in ("index", "linux/amd64", "linux/arm64")]


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


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"provenance": {"builders": ["https://elsewhere.example"]}}, "provenance"),
        ({"provenance": {"buildTypes": ["https://elsewhere.example"]}}, "provenance"),
        ({"provenance": {"repositories": [f"{REPOSITORY}-evil"]}}, "provenance"),
        ({"provenance": {"repositories": ["https://git.example/me"]}}, "provenance"),
        ({"provenance": {"roots": ["https://archive.example/"]}}, "provenance"),
        ({"provenance": {"roots": ["git+https://"]}}, "provenance"),
        ({"vulnerabilities": {"maxAgeDays": 1}}, "vulnerability scan"),
    ],
)
def test_a_policy_that_is_not_met(more: dict[str, Any], name: str) -> None:
    """On both platforms, and nothing else fails."""
    shelf, _, platforms = signed_shelf(SIGNER)

    assert failures(shelf, spec(**more)) == [(name, part) for part in platforms]


def test_a_source_that_was_changed_is_not_its_repository() -> None:
    """What was built is not what the commit has, whatever its name."""
    source = {"uri": f"git+{REPOSITORY}", "digest": {"gitCommit": "ab" * 20}}
    definition = {"resolvedDependencies": [source], "externalParameters": {"source": {"modified": True}}}
    heard = hear(Part("image", SUBJECT), [])
    heard = replace(heard, claims=(Claim(PROVENANCE, {"buildDefinition": definition}, "test"),))
    rules = spec(platforms=[], provenance={"repositories": [REPOSITORY]})

    (check,) = [one for one in check_parts(heard, (), rules, NOW) if one.name == "provenance"]
    assert (check.outcome, check.found) == (Outcome.FAILED, "the source was changed after its commit")


def test_a_platform_that_is_missing() -> None:
    """A policy says which there must be."""
    shelf, _, _ = signed_shelf(SIGNER)
    manifests = json.loads(shelf.manifests["latest"])["manifests"][:1]
    shelf.manifests["latest"] = canonical_json({"schemaVersion": 2, "manifests": manifests})

    assert ("platforms", "index") in failures(shelf)


def test_evidence_that_is_missing_is_missed() -> None:
    """Each of what the policy asks for, on each platform."""
    shelf = Shelf()
    index, platforms = put_image(shelf)
    resigned(shelf, index, platforms, *map(signature_of, [index.digest, *(one.digest for one in platforms.values())]))

    assert {name for name, _ in failures(shelf)} == {"provenance", "bill of materials", "vulnerability scan"}
    assert len(failures(shelf)) == 2 * 4


@pytest.mark.parametrize("time", ["2027-01-01T00:00:00Z", "yesterday", "", "0001-01-01T00:00:00+14:00"])
def test_a_scan_that_does_not_say_when_does_not_count(time: str) -> None:
    """Nor one that says it comes from the future."""
    subject = digest_bytes(b"it")
    scan = Statement("https://cosign.sigstore.dev/attestation/vuln/v1", {"metadata": {"scanFinishedOn": time}}, subject)
    heard = hear(Part("image", subject, (anyio.run(SIGNER.sign, scan),)), [SIGNER.trust])

    checks = check_parts(heard, (), spec(platforms=[]), NOW)

    assert [check.outcome for check in checks if check.name == "vulnerability scan"] == [Outcome.FAILED]


def test_the_youngest_scan_counts() -> None:
    """And one that finished a moment ahead of our clock is of today."""
    subject = digest_bytes(b"it")

    def scan(days: int) -> bytes:
        time = (NOW - timedelta(days=days)).isoformat()
        kind = "https://cosign.sigstore.dev/attestation/vuln/v1"
        return anyio.run(SIGNER.sign, Statement(kind, {"metadata": {"scanFinishedOn": time}}, subject))

    heard = hear(Part("image", subject, (scan(30), scan(2))), [SIGNER.trust])

    (check,) = [one for one in check_parts(heard, (), spec(platforms=[]), NOW) if one.name == "vulnerability scan"]
    assert (check.outcome, check.found) == (Outcome.PASSED, "2 days old")


def signed_payload(payload: bytes, kind: str = PAYLOAD_TYPE) -> bytes:
    """Return a bundle in which our key has signed a payload as it is."""
    unsigned = Envelope(payload, kind, b"")
    return key_bundle(replace(unsigned, signature=anyio.run(SIGNER.sign_bytes, unsigned.signed)), SIGNER.trust.hint)


SUBJECT = digest_bytes(b"it")
HEX = SUBJECT.removeprefix("sha256:")
GOOD = signature_of(SUBJECT).encode().decode()


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "null",
        "[]",
        "{}",
        GOOD[:-1],
        GOOD.replace("}", ',"predicateType":"x"}', 1) + " ",
        GOOD.replace('"predicate":{}', '"predicate":{},"predicate":{"a":1}'),
        GOOD.replace('"predicate":{}', '"predicate":{"a":NaN}'),
        GOOD.replace('"predicate":{}', '"predicate":{"a":-Infinity}'),
        GOOD.replace('"predicate":{}', '"predicate":{"a":"\\ud800"}'),
        GOOD.replace('"predicate":{}', '"predicate":' + '{"a":' * 5000 + "1" + "}" * 5000),
        GOOD.replace('"predicate":{}', '"predicate":' + "[" * 100000 + "]" * 100000),
        GOOD.replace('"predicate":{}', '"predicate":{"a":' + "9" * 5000 + "}"),
        GOOD.replace('"predicate":{}', '"predicate":"text"'),
        GOOD.replace('"predicateType"', '"predicateTypes"'),
        GOOD.replace("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v9"),
        GOOD.replace(HEX, HEX[::-1]),
        GOOD.replace(HEX, HEX.upper()) if HEX.upper() != HEX else "{}",
        GOOD.replace("sha256", "sha512"),
        GOOD.replace('"subject":[', '"subject":[{"digest":{"sha256":"' + "0" * 64 + '"}},'),
        GOOD.replace('"subject":[', '"subject":[null,'),
        GOOD.replace('"subject":[', '"subject":{"a":[').replace("]", "]}"),
        '{"_type":"https://in-toto.io/Statement/v1","predicateType":"x","subject":[]}',
    ],
    ids=range(23),
)
def test_a_payload_of_our_key_that_is_no_statement_about_it_is_refused(payload: str) -> None:
    """Also one on whose meaning two readers could disagree. Nothing counts, and nothing ends in a traceback."""
    heard = hear(Part("image", SUBJECT, (signed_payload(payload.encode()),)), [SIGNER.trust])

    assert heard.claims == ()
    assert len(heard.broken) == 1


def test_a_payload_of_another_type_is_refused() -> None:
    """A signature over it says nothing about statements."""
    heard = hear(Part("image", SUBJECT, (signed_payload(GOOD.encode(), "text/plain"),)), [SIGNER.trust])

    assert (heard.claims, len(heard.broken)) == ((), 1)


@settings(deadline=None)
@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.floats(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["mediaType", "dsseEnvelope", "payload", "signatures", "sig", "verificationMaterial", "publicKey"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=30,
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_bytes_make_hearing_fail(data: bytes) -> None:
    """Whatever lies in a registry, the answer is that it counts for nothing."""
    assert hear(Part("image", SUBJECT, (data,)), [SIGNER.trust]).claims == ()


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_no_payload_of_our_key_makes_hearing_fail(data: bytes) -> None:
    """Somebody may have signed nonsense."""
    assert hear(Part("image", SUBJECT, (signed_payload(data),)), [SIGNER.trust]).claims == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(JSON)
def test_no_predicate_makes_a_check_fail_to_answer(value: Any) -> None:
    """A trusted signer's provenance may still have any shape."""
    shapes: list[dict[str, Any]] = [
        {"buildDefinition": value, "runDetails": value, "metadata": value},
        {"buildDefinition": {"resolvedDependencies": value, "buildType": value}, "runDetails": {"builder": value}},
        {"metadata": {"scanFinishedOn": value}, "runDetails": {"builder": {"id": value}}},
    ]
    for predicate in shapes:
        claims = tuple(
            Claim(kind, predicate, "test")
            for kind in (PROVENANCE, SIGN_PREDICATE, "https://cosign.sigstore.dev/attestation/vuln/v1")
        )
        heard = replace(hear(Part("image", SUBJECT), []), claims=claims)

        checks = check_parts(heard, (), spec(platforms=[]), NOW)

        assert ("provenance", Outcome.FAILED) in {(check.name, check.outcome) for check in checks}


@pytest.mark.parametrize(
    ("address", "repository"),
    [
        ("git+https://git.example/me/agents@abc", "https://git.example/me/agents"),
        ("git+https://git.example/me/agents.git@abc#sub", "https://git.example/me/agents"),
        ("git+https://user@git.example/me/agents@abc", "https://user@git.example/me/agents"),
        ("git+ssh://git@git.example/me/agents", "ssh://git@git.example/me/agents"),
        ("https://git.example/me/agents", ""),
        ("pkg:npm/left-pad@1", ""),
        ("git+local:project", ""),
    ],
)
def test_the_repository_of_a_source_address(address: str, repository: str) -> None:
    """Without the revision, and nothing that only looks like one."""
    assert source_of(address) == repository


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("localhost:5000/a/b", "latest"),
        ("ghcr.io/me/claude:2.1", "2.1"),
        (f"ghcr.io/me/claude:2.1@{SUBJECT}", SUBJECT),
        (f"ghcr.io/me/claude@{SUBJECT}", SUBJECT),
    ],
)
def test_a_reference_is_read(text: str, name: str) -> None:
    """A digest wins over a tag, which is left out of account."""
    assert parse_image(text).tag == name


@pytest.mark.parametrize(
    "text", ["", "claude", "ghcr.io/", "https://ghcr.io/me/x", "a/b c", "a/../b", "a/b@sha256:12", "a/b?x"]
)
def test_what_is_no_reference_is_a_usage_error(text: str) -> None:
    """Before anything is asked of anybody."""
    with pytest.raises(UsageError):
        parse_image(text)


def test_an_image_of_one_platform_without_an_index() -> None:
    """It is its own index, and its evidence is about it."""
    shelf = Shelf()
    _, platforms = put_image(shelf)
    only = platforms["linux/amd64"]
    shelf.manifests["latest"] = shelf.manifests[only.digest]
    resigned(shelf, only, {}, *evidence_of(only.digest), signature_of(only.digest))

    assert verified(shelf, spec(platforms=[])).verified


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


def test_a_failure_says_what_failed() -> None:
    """Three of them, and how many more."""
    checks = tuple(Check("signature", f"part {number}", Outcome.FAILED, "none") for number in range(5))

    with pytest.raises(VerifyError, match=r"signature of part 0: none; .* and 2 more"):
        Verification("it", SUBJECT, {}, checks).raise_for_failures()


def test_a_verification_without_checks_is_none() -> None:
    """Nothing failed, because nothing was looked at."""
    assert not Verification("it", SUBJECT, {}, ()).verified
