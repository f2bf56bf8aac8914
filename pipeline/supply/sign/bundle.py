"""Sigstore bundles v0.3 (sigstore/protobuf-specs `sigstore_bundle.proto`, cosign `specs/BUNDLE_SPEC.md`) as values.

Only what holds a DSSE envelope (secure-systems-lab/dsse `envelope.md`) with one signature is a bundle here. A bundle is
read strictly, because the bytes come from whoever may write to the registry.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.digest import canonical_json
from pipeline.errors import VerifyError
from pipeline.supply.strict_json import parse_object

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_TYPES = (
    BUNDLE_TYPE,
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Signed bytes: a payload, what it is, and the one signature over both."""

    payload: bytes
    payload_type: str
    signature: bytes

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers: DSSE's pre-authentication encoding."""
        kind = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(self.payload), self.payload)

    def as_json(self) -> dict[str, Any]:
        """Return the DSSE form."""
        return {
            "payload": _encode(self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"sig": _encode(self.signature)}],
        }


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as it was read: its bytes, its envelope, and the name of the key where it was signed by one."""

    data: bytes
    envelope: Envelope
    hint: str = ""


def key_bundle(envelope: Envelope, hint: str) -> bytes:
    """Return the bundle of an envelope that the key called `hint` signed."""
    return canonical_json(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": envelope.as_json(),
        }
    )


def read_bundle(data: bytes) -> Bundle:
    """Return the bundle that `data` is; raises VerifyError where it is none, or does not hold one signature."""
    try:
        document = parse_object(data)
        _require_known(document.get("mediaType"))
        envelope = _envelope(_member(document, "dsseEnvelope"))
        key = _member(document, "verificationMaterial").get("publicKey")
        hint = _text(key, "hint") if isinstance(key, dict) else ""
    except ValueError as error:
        raise VerifyError(f"a bundle cannot be read: it {error}") from error
    return Bundle(data, envelope, hint)


def _require_known(media_type: object) -> None:
    if media_type not in _TYPES:
        raise ValueError("has an unknown media type")


def _envelope(document: Mapping[str, Any]) -> Envelope:
    signatures = document.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise ValueError("does not have exactly one signature")
    return Envelope(
        _decode(_text(document, "payload")), _text(document, "payloadType"), _decode(_text(signatures[0], "sig"))
    )


def _member(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"has no {name}")  # noqa: TRY004 (see parse_object)
    return value


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise ValueError(f"has no {name}")  # noqa: TRY004 (see parse_object)
    return value


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("holds something that is not base64") from error
