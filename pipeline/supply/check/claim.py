"""Claims: in-toto statements that somebody trusted has signed, and what became of every bundle of an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.digest import Digest
from pipeline.errors import VerifyError
from pipeline.supply.sign.api import Trust, Vouched
from pipeline.supply.sign.bundle import Bundle, read_bundle
from pipeline.supply.statement import PAYLOAD_TYPE, STATEMENT_TYPE
from pipeline.supply.strict_json import parse_object

_STATEMENT_TYPES = (STATEMENT_TYPE, "https://in-toto.io/Statement/v0.1")


@dataclass(frozen=True, slots=True)
class Claim:
    """What `signer` says of its subject, in the form that `predicate_type` names."""

    predicate_type: str
    predicate: Mapping[str, Any]
    signer: str

    def at(self, *path: str | int) -> Any:
        """Return what stands at a path of the predicate, None where nothing does."""
        value: Any = self.predicate
        for step in path:
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and step < len(value) else None
            else:
                value = value.get(step) if isinstance(value, dict) else None
        return value

    def text(self, *path: str | int) -> str:
        """Return the text at a path of the predicate, empty where there is none."""
        value = self.at(*path)
        return value if isinstance(value, str) else ""

    def items(self, *path: str | int) -> tuple[Mapping[str, Any], ...]:
        """Return the objects in the list at a path of the predicate, none where there is none."""
        value = self.at(*path)
        return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class Part:
    """The index of an image, or its manifest for one platform, with the bundles that a registry has for it.

    `broken` tells of those that could not even be read there.
    """

    name: str
    digest: Digest
    bundles: tuple[bytes, ...] = ()
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """What the bundles of a part come to: claims of those who are trusted, what is broken, how many are of others."""

    part: Part
    claims: tuple[Claim, ...]
    broken: tuple[str, ...]
    strangers: int

    def of_type(self, *predicate_types: str) -> tuple[Claim, ...]:
        """Return the claims of these types."""
        return tuple(claim for claim in self.claims if claim.predicate_type in predicate_types)


def hear(part: Part, trusts: Sequence[Trust]) -> Heard:
    """Return what is said of a part by those who are trusted. Never raises: what cannot be read is broken."""
    claims: list[Claim] = []
    broken = list(part.broken)
    strangers = 0
    for data in part.bundles:
        try:
            vouched = _vouched(read_bundle(data), trusts)
            if vouched is None:
                strangers += 1
            else:
                claims.append(read_claim(vouched, part.digest))
        except VerifyError as error:
            broken.append(error.message)
    return Heard(part, tuple(claims), tuple(broken), strangers)


def read_claim(vouched: Vouched, subject: Digest) -> Claim:
    """Return the claim a payload makes about `subject`, and about nothing else; raises VerifyError."""
    if vouched.payload_type != PAYLOAD_TYPE:
        raise VerifyError(f"a bundle holds something that is no statement, signed by {vouched.signer}")
    try:
        document = parse_object(vouched.payload)
    except ValueError as error:
        raise VerifyError(f"a statement signed by {vouched.signer} {error}") from error
    kind, predicate = document.get("predicateType"), document.get("predicate", {})
    if document.get("_type") not in _STATEMENT_TYPES or not isinstance(kind, str) or not isinstance(predicate, dict):
        raise VerifyError(f"a statement signed by {vouched.signer} does not have the form of one")
    if _subjects(document.get("subject")) != [subject]:
        raise VerifyError(f"a statement of type {kind}, signed by {vouched.signer}, is about something else")
    return Claim(kind, predicate, vouched.signer)


def _subjects(found: object) -> list[str]:
    """Return the digests of all subjects; one without SHA-256 counts as an empty one."""
    entries: Iterable[object] = found if isinstance(found, list) else ()
    digests = [entry.get("digest") if isinstance(entry, dict) else None for entry in entries]
    return [f"sha256:{digest.get('sha256')}" if isinstance(digest, dict) else "" for digest in digests]


def _vouched(bundle: Bundle, trusts: Sequence[Trust]) -> Vouched | None:
    """Return what the first of `trusts` vouches for that does.

    Raises VerifyError where none does and the bundle names one of them: that one never signed it.
    """
    refused: VerifyError | None = None
    for trust in trusts:
        try:
            if vouched := trust.check(bundle):
                return vouched
        except VerifyError as error:
            refused = refused or error
    if refused:
        raise refused
    return None
