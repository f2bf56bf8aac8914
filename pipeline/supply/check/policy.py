"""A policy for `agc verify`: whose word counts, and what must be said of an image. A YAML file, `kind: VerifyPolicy`.

Paths in it are relative to the file. What a policy does not mention is shown and not asked for; signatures always are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.models.kinds import Definition
from pipeline.models.load import read_definition
from pipeline.models.values import Model, PlatformName, Text

Word = Annotated[Text, Field(min_length=1, max_length=500)]
SbomFormat = Literal["spdx", "cyclonedx"]


class TrustedSigner(Model):
    """Somebody whose word counts: a public key, or an identity."""

    key: Word | None = None
    """File with a public key in PEM."""
    issuer: Word | None = None
    """Who vouches for the identity, as an address: of GitHub Actions, https://token.actions.githubusercontent.com."""
    identity: Word | None = None
    """The identity in the certificate, whole: of GitHub Actions, the address of the workflow with `@` and its ref."""
    repository: Word | None = None
    """The address of the repository the job ran for, in place of or beside the identity."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.key and (self.issuer or self.identity or self.repository):
            raise ValueError("a key has no identity: write two signers")
        if not self.key and not (self.issuer and (self.identity or self.repository)):
            raise ValueError("say `key`, or `issuer` with `identity` or `repository`")
        return self


class ProvenanceRules(Model):
    """What the provenance of each platform must say (SLSA v1). An empty list leaves that open."""

    builders: tuple[Word, ...] = ()
    """Identifiers of builders, one of which must have built it."""
    build_types: tuple[Word, ...] = ()
    """How it may have been built, as the addresses of build types."""
    repositories: tuple[Word, ...] = ()
    """Addresses of source repositories it may come from, without the revision."""
    roots: tuple[Word, ...] = ()
    """What the root file system may come from: the beginning of its address, as the dependency `roots/…` has it."""


class VulnerabilityRules(Model):
    """What must be known of vulnerabilities."""

    max_age_days: Annotated[int, Field(ge=1, le=3650, strict=True)] = 7
    """How many days old the youngest scan may be."""


class VerifySpec(Model):
    """Whose word counts, and what must be said."""

    signers: tuple[TrustedSigner, ...] = ()
    """Any one of these; the command line may name others in their place."""
    trust_config: Word | None = None
    """File with the trust configuration of a private Sigstore, or its trusted root."""
    platforms: tuple[PlatformName, ...] = ()
    """Platforms the image must have."""
    provenance: ProvenanceRules | None = None
    """What the provenance must say; where this is written, even empty, there must be one."""
    sboms: tuple[SbomFormat, ...] = ()
    """Formats of the bills of materials that each platform must have."""
    vulnerabilities: VulnerabilityRules | None = None
    """What must be known of vulnerabilities; where this is written, there must be a scan."""


class VerifyPolicy(Definition):
    """Whose word counts, and what must be said of an image."""

    kind: Literal["VerifyPolicy"]
    """What this document defines."""
    spec: VerifySpec
    """What it says."""


def read_policy(path: Path) -> VerifySpec:
    """Return the policy in a file; raises ErrorGroup with everything that is wrong with it."""
    spec = read_definition(path, str(path), VerifyPolicy).spec
    below = path.parent

    def placed(text: str | None) -> str | None:
        return str(below / Path(text).expanduser()) if text else None

    signers = tuple(signer.model_copy(update={"key": placed(signer.key)}) for signer in spec.signers)
    return spec.model_copy(update={"signers": signers, "trust_config": placed(spec.trust_config)})
