"""Verify an image of a registry: read it, hear who vouches for it, hold that against a policy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pipeline.catalog.evidence import Image, check_content, parse_image, read_image
from pipeline.catalog.reader import READERS_PATIENCE, RegistryReader
from pipeline.catalog.repository import Repository
from pipeline.catalog.session import open_session
from pipeline.digest import Digest
from pipeline.engine.api import Compression
from pipeline.errors import UsageError, VerifyError
from pipeline.settings import Settings
from pipeline.stages.workbench import http_client
from pipeline.supply.check.checks import PROVENANCE, check_parts
from pipeline.supply.check.claim import Claim, Heard, hear
from pipeline.supply.check.policy import TrustedSigner, VerifySpec, read_policy
from pipeline.supply.check.result import Verification
from pipeline.supply.sign.api import Trust

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SUFFIXES = {"+zstd": Compression.ZSTD, "+gzip": Compression.GZIP, ".tar": Compression.UNCOMPRESSED}


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """What is to be verified, and by whose word. `signer` and `trust_config` stand in place of the policy's.

    With `offline`, nothing is asked of Sigstore's public services; without `content`, layers are not read.
    """

    image: str
    policy: Path | None = None
    signer: TrustedSigner | None = None
    trust_config: Path | None = None
    offline: bool = False
    content: bool = True


@dataclass(frozen=True, slots=True)
class Verified:
    """A verification, and what a rebuild needs: the name of the repository, the image, what is claimed of it."""

    result: Verification
    name: str
    image: Image
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the provenance of an image says it was made of: which image of a project, at a commit."""

    image: str
    commit: str


async def verify_image(request: VerifyRequest, settings: Settings, now: datetime) -> Verified:
    """Return all checks of an image; raises where nobody is named to trust, or a registry cannot be asked.

    An image that is not in order to the point that it cannot be read raises VerifyError.
    """
    reference = parse_image(request.image)
    spec = read_policy(request.policy) if request.policy else VerifySpec()
    trusts = open_trusts(spec, request)
    async with http_client(settings) as client:
        session = await open_session(
            *(reference.registry, reference.base_url, client),
            token_hosts=settings.publish.token_hosts,
            patience=READERS_PATIENCE,
        )
        source = RegistryReader(Repository(session, reference.repository, "pull"))
        image = await read_image(source, reference)
        index = hear(image.index, trusts)
        platforms = [hear(part, trusts) for part in image.platforms]
        checks = check_parts(index, platforms, spec, now)
        result = Verification(request.image, image.index.digest, _digests(image), checks)
        # What nobody vouches for need not be read to the end.
        if request.content and result.verified:
            result = replace(result, checks=(*checks, *await check_content(source, image)))
    claims = tuple(_provenances((index, *platforms)))
    return Verified(result, reference.repository.rpartition("/")[2], image, claims)


def _digests(image: Image) -> dict[str, Digest]:
    return {part.name: part.digest for part in image.platforms or (image.index,)}


def open_trusts(spec: VerifySpec, request: VerifyRequest) -> tuple[Trust, ...]:
    """Return those whose word counts; raises UsageError where there are none, or one cannot be used."""
    signers = (request.signer,) if request.signer else spec.signers
    if not signers:
        remedy = "give --key FILE, or --identity and --issuer, or --policy FILE with signers"
        raise UsageError("nobody is named whose word counts", remedy=remedy)
    config = request.trust_config or (Path(spec.trust_config) if spec.trust_config else None)
    return tuple(_trust(signer, config, offline=request.offline) for signer in signers)


def _trust(signer: TrustedSigner, config: Path | None, *, offline: bool) -> Trust:
    if signer.key:
        from pipeline.supply.sign.keys import open_key_trust  # each pays for its own libraries alone

        return open_key_trust(Path(signer.key))
    from pipeline.supply.sign.keyless import Identity, open_identity_trust

    identity = Identity(signer.issuer or "", signer.identity or "", signer.repository or "")
    return open_identity_trust(identity, config, offline=offline)


def recorded(claims: Sequence[Claim], name: str) -> Recorded:
    """Return the one image and commit that all provenances name; raises VerifyError.

    `name` is the image's where they do not say it.
    """
    found = {one for claim in claims for one in _sources(claim, name)}
    if len(found) != 1:
        words = "no commit it was made of unchanged" if not found else f"{len(found)} sources"
        raise VerifyError(
            f"the image cannot be built again: its provenance names {words}",
            remedy="leave --rebuild out; only what was published from a commit can be built again",
        )
    return next(iter(found))


def compression_of(image: Image) -> Compression:
    """Return how the layers of an image are compressed; raises VerifyError where `agc` does not do it so."""
    found = {
        next((kind for suffix, kind in _SUFFIXES.items() if text.endswith(suffix)), None) for text in image.layer_types
    }
    known = [kind for kind in found if kind]
    if len(found) != 1 or not known:
        raise VerifyError("the image cannot be built again: its layers are not compressed in one way that agc knows")
    return known[0]


def _provenances(parts: Sequence[Heard]) -> Iterator[Claim]:
    for heard in parts:
        yield from heard.of_type(PROVENANCE)


def _sources(claim: Claim, name: str) -> Iterator[Recorded]:
    parameters = ("buildDefinition", "externalParameters")
    if claim.at(*parameters, "source", "modified") is True:
        return
    for item in claim.items("buildDefinition", "resolvedDependencies"):
        address, digests = item.get("uri"), item.get("digest")
        if isinstance(address, str) and address.startswith("git+") and isinstance(digests, dict):
            commit = digests.get("gitCommit") or digests.get("sha1")
            if isinstance(commit, str) and _COMMIT.fullmatch(commit):
                yield Recorded(claim.text(*parameters, "image") or name, commit)
