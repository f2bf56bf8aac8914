"""Bundles as OCI referrers (cosign `specs/BUNDLE_SPEC.md`), and everything that is signed for one image.

Rules kept here:

- the signature, a statement of type `sign/v1` about the image itself, comes after all evidence, and that of the index
  comes last: older verifiers take any bundle of the right key for a signature, so nobody is to find one too early;
- what the same signer has signed before is not signed again, so that a repeated publish adds no referrer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pipeline.digest import Digest
from pipeline.engine.layout import Descriptor
from pipeline.errors import SignError, VerifyError
from pipeline.supply.artifact import Artifact, Blob
from pipeline.supply.sign.api import Signer
from pipeline.supply.sign.bundle import BUNDLE_TYPE, Bundle, read_bundle
from pipeline.supply.statement import Statement

SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
CONTENT_ANNOTATION = "dev.sigstore.bundle.content"
PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType"
CREATED_ANNOTATION = "org.opencontainers.image.created"


def signature_of(subject: Digest) -> Statement:
    """Return the statement that is an image's signature: it says nothing but which image it is."""
    return _named(Statement(SIGN_PREDICATE, {}, subject))


def bundle_artifact(bundle: bytes, statement: Statement, subject: Descriptor, created: datetime) -> Artifact:
    """Return the referrer of `subject` that holds the bundle of `statement`; `created` is for people."""
    return Artifact(
        BUNDLE_TYPE,
        (Blob(BUNDLE_TYPE, bundle),),
        subject=subject,
        annotations={
            CONTENT_ANNOTATION: "dsse-envelope",
            PREDICATE_ANNOTATION: statement.predicate_type,
            CREATED_ANNOTATION: created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    )


async def sign_all(
    signer: Signer,
    index: Descriptor,
    platforms: Sequence[Descriptor],
    statements: Sequence[Statement],
    created: datetime,
    present: Mapping[Digest, Sequence[bytes]] | None = None,
) -> tuple[Artifact, ...]:
    """Return the referrers to push, in this order: evidence, the platforms' signatures, that of the index.

    `present` are the bundles that each subject has in the registry; raises SignError.
    """
    subjects = {descriptor.digest: descriptor for descriptor in (*platforms, index)}
    if foreign := next((one for one in statements if one.subject not in subjects), None):
        raise SignError(
            f"a statement of type {foreign.predicate_type} is about {foreign.subject}, no part of the image"
        )
    made = []
    for statement in (*map(_named, statements), *map(signature_of, subjects)):
        if not _is_there(signer, statement, (present or {}).get(statement.subject, ())):
            bundle = await signer.sign(statement)
            made.append(bundle_artifact(bundle, statement, subjects[statement.subject], created))
    return tuple(made)


def is_signed(signer: Signer, subject: Digest, present: Sequence[bytes]) -> bool:
    """Tell whether `signer` has signed the image `subject` already; `present` are the bundles it has."""
    return _is_there(signer, signature_of(subject), present)


def _named(statement: Statement) -> Statement:
    """Return a statement whose subject has a name, which sigstore's library asks for, though in-toto does not."""
    return statement if statement.name else replace(statement, name=statement.subject)


def _is_there(signer: Signer, statement: Statement, present: Sequence[bytes]) -> bool:
    wanted = statement.encode()
    return any(_payload(signer, data) == wanted for data in present)


def _payload(signer: Signer, data: bytes) -> bytes | None:
    try:
        bundle: Bundle = read_bundle(data)
        vouched = signer.trust.check(bundle)
    except VerifyError:
        return None
    return vouched.payload if vouched else None
