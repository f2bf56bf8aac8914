"""What bundles of ours and of others come to, whatever is in them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.supply.check.checks import PROVENANCE, check_parts
from pipeline.supply.check.claim import Claim, Part, hear
from pipeline.supply.check.result import Outcome
from pipeline.supply.sign.bundle import Envelope, key_bundle
from pipeline.supply.sign.referrers import SIGN_PREDICATE, signature_of
from pipeline.supply.statement import PAYLOAD_TYPE
from tests.unit.supply.check.looking import SIGNER, SUBJECT, spec
from tests.unit.supply.evidence_shelf import NOW


def signed_payload(payload: bytes, kind: str = PAYLOAD_TYPE) -> bytes:
    """Return a bundle in which our key has signed a payload as it is."""
    unsigned = Envelope(payload, kind, b"")
    return key_bundle(replace(unsigned, signature=anyio.run(SIGNER.sign_bytes, unsigned.signed)), SIGNER.trust.hint)


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
