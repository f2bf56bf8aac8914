"""What came of verifying: one check after the other, each with what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.digest import Digest
from pipeline.errors import VerifyError

_SHOWN = 3


class Outcome(StrEnum):
    """What came of a check; only what was asked for can fail."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_ASKED = "not-asked"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: of what part of the image, what came of it, and what was found, in words."""

    name: str
    part: str
    outcome: Outcome
    found: str

    def as_json(self) -> dict[str, str]:
        """Return it for machines."""
        return {"check": self.name, "part": self.part, "outcome": self.outcome.value, "found": self.found}


@dataclass(frozen=True, slots=True)
class Verification:
    """All checks of an image; it is verified where none failed, and at least its signatures passed."""

    reference: str
    digest: Digest
    platforms: Mapping[str, Digest]
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """What was not as it should be."""
        return tuple(check for check in self.checks if check.outcome is Outcome.FAILED)

    @property
    def verified(self) -> bool:
        """Tell whether the image is what it should be."""
        return not self.failed and any(check.outcome is Outcome.PASSED for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return it for machines, such as what admits images to a cluster."""
        return {
            "reference": self.reference,
            "digest": self.digest,
            "platforms": dict(self.platforms),
            "verified": self.verified,
            "checks": [check.as_json() for check in self.checks],
        }

    def raise_for_failures(self) -> None:
        """Raise VerifyError where the image is not verified."""
        if not self.verified:
            raise VerifyError(f"{self.reference} is not verified: {_told(self.failed)}", remedy="do not run it")


def passed(name: str, part: str, found: str) -> Check:
    """Return a check that passed."""
    return Check(name, part, Outcome.PASSED, found)


def failed(name: str, part: str, found: str) -> Check:
    """Return a check that failed."""
    return Check(name, part, Outcome.FAILED, found)


def not_asked(name: str, part: str, found: str) -> Check:
    """Return what was seen and not asked for."""
    return Check(name, part, Outcome.NOT_ASKED, found)


def _told(failures: Sequence[Check]) -> str:
    words = [f"{check.name} of {check.part}: {check.found}" for check in failures[:_SHOWN]]
    more = [f"and {len(failures) - _SHOWN} more"] if len(failures) > _SHOWN else []
    return "; ".join([*words, *more]) or "nothing was checked"
