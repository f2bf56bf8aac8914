"""Publish built images: registries, signatures, tags, and what is told of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from pipeline.catalog.publish import Consignment, Published, publish_image
from pipeline.catalog.record import EvidenceRecord
from pipeline.catalog.repository import Repository
from pipeline.compose.image import Composition
from pipeline.digest import Digest
from pipeline.errors import UsageError
from pipeline.models.kinds import TagPolicySpec
from pipeline.resolve.tags import Tags, day_of, publish_tags
from pipeline.stages.destinations import Destinations
from pipeline.stages.made import Made
from pipeline.stages.project import Project
from pipeline.stages.proving import Proof, Prover
from pipeline.stages.report import ImageReport
from pipeline.stages.signing import Signing

_POLICY = "default"


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a publication is made on: the day, the commit of what is published where that is known, and the policy."""

    day: date
    policy: TagPolicySpec
    commit: str = ""


@dataclass(frozen=True, slots=True)
class PublishReport:
    """An image that was published: how it was built, and where it went."""

    image: ImageReport
    places: tuple[Published, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object of `agc publish --json`."""
        document = self.image.as_json()
        return {**{key: document[key] for key in ("name", "graphDigest", "smoke", "seconds")}, **self._places()}

    def _places(self) -> dict[str, Any]:
        digest = self.places[0].digest if self.places else self.image.digest
        return {
            "digest": digest,
            "published": [
                {
                    "repository": place.repository,
                    "digest": place.digest,
                    "tags": list(place.tags),
                    "moved": list(place.moved),
                    "blobs": {
                        "sent": place.traffic.sent,
                        "bytes": place.traffic.sent_bytes,
                        "mounted": place.traffic.mounted,
                    },
                }
                for place in self.places
            ],
        }


def occasion(project: Project, day: date, commit: str) -> Occasion:
    """Return what a publication from a project is made on; raises UsageError where it has no tag policy."""
    policy = project.definitions.tag_policies.get(_POLICY)
    if policy is None:
        raise UsageError(
            f"the project has no tag policy named {_POLICY!r}", remedy=f"write definitions/tag-policies/{_POLICY}.yaml"
        )
    return Occasion(day, policy.model.spec, commit)


async def publish_made(
    proof: Proof, prover: Prover, namespace: str, destinations: Destinations, when: Occasion
) -> tuple[Published, tuple[EvidenceRecord, ...]]:
    """Publish an image with what proves it into a namespace, and return what was newly said of it there.

    Raises OutputError, SignError, and UsageError for tags that cannot be.
    """
    made = proof.made
    repository, stock = destinations.repository(namespace, made.name)
    signing = Signing(proof, prover, repository, stock) if prover.signer else None
    consignment = Consignment(
        made.layout, made.result.manifests, attestations=proof.attestations, sign=signing.sign if signing else None
    )

    async def choose(where: Repository, digest: Digest) -> Tags:
        return tags_of(made.compositions[0], digest, await present_tags(where, when), when)

    published = await publish_image(consignment, repository, stock, choose)
    return published, (*proof.records, *(signing.records if signing else ()))


async def present_tags(repository: Repository, when: Occasion) -> dict[str, Digest]:
    """Return the tags of the day that a repository has, with what they name; raises OutputError."""
    present = {}
    for tag in day_of(await repository.tags(), when.day):
        if named := await repository.digest_of(tag):
            present[tag] = named
    return present


def tags_of(composition: Composition, digest: Digest, present: dict[str, Digest], when: Occasion) -> Tags:
    """Return the tags of an image where `present` are those of the day."""
    program = composition.plan.program
    version = program[1].version if program else ""
    return publish_tags(when.policy, when.day, present, digest, version=version, commit=when.commit)


async def push_latest(made: Made, namespace: str, destinations: Destinations) -> Published:
    """Push an image as it lies in its layout, under the tag `latest` alone; raises OutputError."""
    repository, stock = destinations.repository(namespace, made.name)
    consignment = Consignment(made.layout, made.result.manifests, single=True)

    async def latest(_repository: Repository, _digest: Digest) -> Tags:
        return Tags(moving=("latest",))

    return await publish_image(consignment, repository, stock, latest)
