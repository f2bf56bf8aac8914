"""Sign an image in a repository: what is there already and of the same signer is left as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

from pipeline.catalog.record import EvidenceRecord
from pipeline.catalog.referrers import find_referrers, put_artifact_blobs
from pipeline.catalog.repository import Repository
from pipeline.catalog.stock import Stock, Traffic
from pipeline.digest import Digest
from pipeline.engine.layout import MANIFEST_TYPE, Descriptor
from pipeline.errors import OutputError
from pipeline.settings import SignSettings
from pipeline.stages.proving import Proof, Prover, about_repository
from pipeline.supply.artifact import Artifact
from pipeline.supply.evidence import index_provenance
from pipeline.supply.sign.bundle import BUNDLE_TYPE
from pipeline.supply.sign.keys import KeySigner
from pipeline.supply.sign.legacy import legacy_tags
from pipeline.supply.sign.referrers import PREDICATE_ANNOTATION, is_signed, sign_all
from pipeline.supply.statement import Statement
from pipeline.supply.strict_json import parse_object

_MANIFEST_LIMIT = 4 << 20


@dataclass(slots=True)
class Signing:
    """The signing of one image in one repository; `records` tells afterwards what was signed now."""

    proof: Proof
    prover: Prover
    repository: Repository
    stock: Stock
    records: list[EvidenceRecord] = field(default_factory=list)

    async def sign(self, index: Descriptor, platforms: Mapping[str, Descriptor]) -> Sequence[Artifact]:
        """Return the bundles to push, none where the image is signed as a whole; see `catalog.publish.Attach`.

        Raises SignError, OutputError.
        """
        signer = self.prover.signer
        if signer is None:
            return ()
        subjects = (*platforms.values(), index)
        present = {one.digest: await self._bundles(one.digest) for one in subjects}
        if all(is_signed(signer, digest, bundles) for digest, bundles in present.items()):
            return ()
        statements = (
            *self.proof.statements,
            *about_repository(self.proof, str(self.repository), self.prover),
            index_provenance(index.digest, self.proof.made.compositions, self.proof.run, version("agentcontainers")),
        )
        now = datetime.now(UTC)
        artifacts = await sign_all(signer, index, tuple(platforms.values()), statements, now, present)
        if self.prover.sign.legacy and isinstance(signer, KeySigner):
            await self._beside(signer, subjects, statements)
        self.records += [_record(artifact) for artifact in artifacts]
        return artifacts

    async def _beside(self, signer: KeySigner, subjects: Sequence[Descriptor], statements: Sequence[Statement]) -> None:
        """Put what older verifiers look for under tags of its own: evidence first, signatures last."""
        for tagged in await legacy_tags(signer, str(self.repository), subjects, statements):
            await put_artifact_blobs([tagged.artifact], self.repository, self.stock, Traffic())
            await self.repository.put_manifest(tagged.artifact.manifest, MANIFEST_TYPE, tagged.tag)

    async def _bundles(self, subject: Digest) -> list[bytes]:
        """Return the bundles that refer to a subject; what cannot be read is nobody's, and is signed anew."""
        found = []
        for entry in await find_referrers(self.repository, subject):
            if entry.get("artifactType", BUNDLE_TYPE) != BUNDLE_TYPE:
                continue
            try:
                manifest = await self.repository.manifest(entry["digest"])
                layers = parse_object(manifest.content, _MANIFEST_LIMIT).get("layers") if manifest else None
                blob = await self.repository.blob(Digest(layers[0]["digest"])) if layers else None
            except (OutputError, ValueError, TypeError, KeyError, AttributeError):
                continue
            if blob is not None:
                found.append(blob)
        return found


def _record(artifact: Artifact) -> EvidenceRecord:
    return EvidenceRecord(
        predicate_type=artifact.annotations[PREDICATE_ANNOTATION],
        subject=artifact.subject.digest if artifact.subject else Digest(""),
        digest=artifact.descriptor.digest,
        signed=True,
    )


def verify_commands(reference: str, sign: SignSettings) -> tuple[str, ...]:
    """Return the commands that check an image signed as `sign` says; none where it is not signed."""
    if sign.key:
        key = sign.public_key.name if sign.public_key else "PUBLIC_KEY"
        return (f"agc verify {reference} --key {key}", f"cosign verify --key {key} {reference}")
    if sign.keyless:
        who = "--certificate-identity IDENTITY --certificate-oidc-issuer ISSUER"
        return (f"agc verify {reference} --identity IDENTITY --issuer ISSUER", f"cosign verify {who} {reference}")
    return ()
