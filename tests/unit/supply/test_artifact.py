"""Statements and artifacts as values: one encoding, and a manifest that names all it holds."""

from __future__ import annotations

import json

from pipeline.digest import Digest, digest_bytes
from pipeline.engine.layout import Descriptor
from pipeline.supply.artifact import EMPTY, Artifact, Blob
from pipeline.supply.statement import Statement

SUBJECT = Descriptor("application/vnd.oci.image.index.v1+json", digest_bytes(b"an index"), 8)


def test_a_statement_names_its_subject_by_digest() -> None:
    """The digest is the subject; a name is for people and left out where there is none."""
    encoded = json.loads(Statement("https://example.com/p/v1", {"a": 1}, SUBJECT.digest).encode())

    assert encoded["subject"] == [{"digest": {"sha256": SUBJECT.digest.removeprefix("sha256:")}}]
    assert encoded["_type"] == "https://in-toto.io/Statement/v1"


def test_equal_statements_are_equal_bytes() -> None:
    """The order in which a predicate was put together does not show."""
    one = Statement("https://example.com/p/v1", {"a": 1, "b": 2}, SUBJECT.digest, "image")
    two = Statement("https://example.com/p/v1", {"b": 2, "a": 1}, SUBJECT.digest, "image")

    assert one.encode() == two.encode()


def test_a_referrer_names_its_subject_type_and_layer() -> None:
    """What a client needs to find and read it stands in the manifest."""
    artifact = Artifact("application/x", (Blob("text/plain", b"hello", {"k": "v"}),), subject=SUBJECT)
    manifest = json.loads(artifact.manifest)

    assert manifest["artifactType"] == "application/x"
    assert manifest["subject"] == SUBJECT.as_json()
    assert manifest["layers"] == [
        {"mediaType": "text/plain", "digest": digest_bytes(b"hello"), "size": 5, "annotations": {"k": "v"}}
    ]
    assert artifact.descriptor.digest == digest_bytes(artifact.manifest)
    assert artifact.blobs == {digest_bytes(b"hello"): b"hello", digest_bytes(EMPTY.data): b"{}"}


def test_the_empty_config_has_the_digest_of_the_specification() -> None:
    """Image-spec gives it, so that clients can tell it without reading it."""
    assert EMPTY.descriptor.digest == Digest("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
