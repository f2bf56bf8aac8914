"""Publish an image: everything it is made of, then what refers to it, then its signatures, and its tags last.

Order: blobs → platform manifests → index → evidence → read-back → signatures → tags. Rules kept here:

- a tag names an image only when all of it is there, so a push that is killed leaves the tags as they were;
- what is there is not sent again, so the same push goes on where the killed one ended, and comes to the same;
- nothing is signed before it was read back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from pipeline.catalog.index import assemble_index
from pipeline.catalog.referrers import attach, described, find_referrers, put_artifact_blobs
from pipeline.catalog.repository import Repository
from pipeline.catalog.side_by_side import side_by_side
from pipeline.catalog.stock import Stock, Traffic
from pipeline.catalog.upload import BlobSource
from pipeline.digest import Digest
from pipeline.engine.layout import INDEX_TYPE, Descriptor, blob_path, read_blob, read_manifest
from pipeline.errors import OutputError
from pipeline.resolve.tags import Tags
from pipeline.supply.artifact import Artifact

Attach: TypeAlias = Callable[[Descriptor, Mapping[str, Descriptor]], Awaitable[Sequence[Artifact]]]
"""Makes what refers to an image, from the descriptor its tags will name and those of its platforms."""
ChooseTags: TypeAlias = Callable[[Repository, Digest], Awaitable[Tags]]
"""Says which tags an image gets, once its digest is known."""


@dataclass(frozen=True, slots=True)
class Consignment:
    """An image that lies in an OCI layout, and what goes with it.

    `manifests` maps platforms to manifest digests. `attestations` become part of its index, `referrers` refer to it or
    its platforms, `sign` makes what is pushed last of all. `single` gives the tags the manifest itself, without an
    index; that can only be where there is one platform and no attestation.
    """

    layout: Path
    manifests: Mapping[str, Digest]
    attestations: Sequence[Artifact] = ()
    referrers: Sequence[Artifact] = ()
    sign: Attach | None = None
    single: bool = False

    @property
    def platforms(self) -> Mapping[str, Descriptor]:
        """The manifest of each platform; raises IntegrityError where one is absent or altered."""
        return {name: read_manifest(self.layout, digest).descriptor for name, digest in self.manifests.items()}

    @property
    def top(self) -> tuple[Descriptor, bytes]:
        """What its tags name, and the bytes of that."""
        platforms = self.platforms
        if self.single and len(platforms) == 1 and not self.attestations:
            (descriptor,) = platforms.values()
            return descriptor, read_blob(self.layout, descriptor.digest)
        index = assemble_index(platforms, self.attestations)
        return described(index, INDEX_TYPE), index


@dataclass(frozen=True, slots=True)
class Published:
    """An image in a registry: its digest, all tags chosen for it, those of them that moved, and what was sent."""

    repository: str
    digest: Digest
    tags: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)


async def publish_image(image: Consignment, repository: Repository, stock: Stock, choose_tags: ChooseTags) -> Published:
    """Publish an image into a repository and return what came of it.

    Raises OutputError where the registry fails, IntegrityError where the layout does not hold what it should.
    """
    traffic = Traffic()
    platforms = image.platforms
    top, content = image.top
    layers = {blob.digest: blob for digest in image.manifests.values() for blob in _blobs(image.layout, digest)}
    await side_by_side([partial(stock.bring, blob, repository, traffic) for blob in layers.values()])
    await put_artifact_blobs(image.attestations, repository, stock, traffic)
    for descriptor in platforms.values():
        await repository.put_missing(descriptor, read_blob(image.layout, descriptor.digest))
    for attestation in image.attestations:
        await repository.put_missing(attestation.descriptor, attestation.manifest)
    await repository.put_missing(top, content)
    await attach(image.referrers, repository, stock, traffic)
    await _read_back(image, top, repository)
    if image.sign:
        signatures = await image.sign(top, platforms)
        await attach(signatures, repository, stock, traffic)
        await _found(signatures, repository)
    tags = await choose_tags(repository, top.digest)
    moved = await _move(tags, top, content, repository)
    return Published(str(repository), top.digest, (*tags.fixed, *tags.moving), moved, traffic)


async def _move(tags: Tags, top: Descriptor, content: bytes, repository: Repository) -> tuple[str, ...]:
    moved = []
    for tag in (*tags.fixed, *tags.moving):
        named = await repository.digest_of(tag)
        if named == top.digest:
            continue
        if named and tag in tags.fixed:
            raise OutputError(f"{repository}:{tag} was given to another image meanwhile", remedy="run it again")
        await repository.put_manifest(content, top.media_type, tag)
        moved.append(tag)
    return tuple(moved)


def _blobs(layout: Path, digest: Digest) -> Iterator[BlobSource]:
    manifest = read_manifest(layout, digest)
    for blob in (manifest.config, *manifest.layers):
        yield BlobSource(blob.digest, blob.size, blob_path(layout, blob.digest))


async def _read_back(image: Consignment, top: Descriptor, repository: Repository) -> None:
    """Raise OutputError where the registry does not have, byte for byte, what was put there."""
    manifests = [top, *image.platforms.values(), *(one.descriptor for one in image.attestations)]

    async def one(descriptor: Descriptor) -> None:
        if await repository.manifest(descriptor.digest) is None:
            raise OutputError(f"{repository}: the registry does not have {descriptor.digest}, which it took")

    await side_by_side([partial(one, descriptor) for descriptor in manifests])
    await _found(image.referrers, repository)


async def _found(artifacts: Sequence[Artifact], repository: Repository) -> None:
    """Raise OutputError where an artifact is not found by its subject."""
    wanted: dict[Digest, set[str]] = {}
    for artifact in artifacts:
        if artifact.subject:
            wanted.setdefault(artifact.subject.digest, set()).add(artifact.descriptor.digest)
    for subject, digests in wanted.items():
        listed = {entry["digest"] for entry in await find_referrers(repository, subject)}
        if lost := digests - listed:
            raise OutputError(f"{repository}: {min(lost)} is not found as a referrer of {subject}")
        for digest in sorted(digests):
            if await repository.manifest(digest) is None:
                raise OutputError(f"{repository}: the registry does not have {digest}, which it took")
