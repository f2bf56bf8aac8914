"""What a signer is, and what somebody who trusts it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipeline.supply.sign.bundle import Bundle
from pipeline.supply.statement import Statement


@dataclass(frozen=True, slots=True)
class Vouched:
    """A payload somebody trusted has signed: its bytes, their media type, and who it was."""

    payload: bytes
    payload_type: str
    signer: str


class Trust(Protocol):
    """Somebody, or somebody's key, whose word counts."""

    def check(self, bundle: Bundle) -> Vouched | None:
        """Return what the bundle vouches for, None where somebody else signed it.

        Raises VerifyError where it says that the trusted one signed it, and that is not true.
        """
        ...


class Signer(Protocol):
    """Makes bundles. It vouches for itself by `trust`, so that nothing is signed twice."""

    @property
    def trust(self) -> Trust:
        """What tells its own bundles from others."""
        ...

    async def sign(self, statement: Statement) -> bytes:
        """Return the bundle (Sigstore v0.3, JSON) of `statement`; raises SignError."""
        ...
