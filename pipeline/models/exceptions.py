"""What a project lets pass, and why: vulnerabilities that do not matter to it, and policy checks it does without.

A statement on a vulnerability follows OpenVEX 0.2.0 (github.com/openvex/spec), and always ends some day.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from pipeline.models.values import IMAGE_PATTERN, VULNERABILITY, Model, Name, Text, Unique

Status = Literal["not_affected", "affected", "fixed", "under_investigation"]
Justification = Literal[
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
]
Check = Literal["root-user", "system-mount", "secret-in-env", "licence", "egress"]
"""The policy checks there are; see pipeline/verify/policy.py."""

_SHORTEST_REASON = 15


def _written_out(text: str) -> str:
    if len(text.strip()) < _SHORTEST_REASON or len(text.split()) < 3:  # noqa: PLR2004  # no sentence has fewer
        raise ValueError("must say why, in a sentence that somebody else can judge")
    return text


def _package_url(text: str) -> str:
    from packageurl import PackageURL  # 30 ms, which a project without statements does not pay for

    try:
        PackageURL.from_string(text)
    except ValueError as error:
        raise ValueError("is no package URL; write it like `pkg:npm/lodash` or `pkg:deb/debian/zlib1g`") from error
    return text


Reason = Annotated[Text, AfterValidator(_written_out)]
PackageUrl = Annotated[str, StringConstraints(max_length=500), AfterValidator(_package_url)]
VulnerabilityId = Annotated[str, StringConstraints(pattern=VULNERABILITY, max_length=100)]
ImagePattern = Annotated[str, StringConstraints(pattern=IMAGE_PATTERN)]


class VexSpec(Model):
    """What a vulnerability means for images of this project, until it is looked at again."""

    vulnerability: VulnerabilityId
    """Its id, as a scanner gives it or any of its other names: `CVE-2026-12345`."""
    products: Annotated[tuple[ImagePattern, ...], Field(min_length=1), Unique] = ("*",)
    """Names of images it is about, with `*` for any part of a name; all of them by default."""
    packages: Annotated[tuple[PackageUrl, ...], Field(min_length=1), Unique]
    """The packages it is about, as package URLs; without a version, every version."""
    status: Status
    """`not_affected` and `fixed` let it pass; `affected` and `under_investigation` are only said."""
    justification: Justification | None = None
    """Why it is not affected, in OpenVEX's words."""
    reason: Reason
    """The same in words of one's own; published with the image."""
    expires: date
    """The last day on which this holds; after it the vulnerability counts again."""

    @model_validator(mode="after")
    def _is_justified(self) -> VexSpec:
        if (self.status == "not_affected") != (self.justification is not None):
            raise ValueError("`status: not_affected` and `justification` go together")
        return self


class Allowance(Model):
    """One check that one definition need not pass."""

    check: Check
    """Which check."""
    kind: Literal["Base", "Combo", "CommonTools", "Toolchain", "Agent", "Toolpack"]
    """The kind of the definition."""
    name: Name
    """The name of the definition."""
    reason: Reason
    """Why it is let pass."""


class PolicySpec(Model):
    """Checks that are let pass, in one place that people can watch."""

    allow: Annotated[tuple[Allowance, ...], Field(min_length=1)]
    """Each with the definition it is about and the reason."""
