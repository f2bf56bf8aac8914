"""An image in memory with its evidence, as a registry would answer for it, to be signed and then spoiled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import anyio

from pipeline.digest import Canonical, Digest, canonical_json, digest_bytes, hex_of
from pipeline.engine.layout import CONFIG_TYPE, INDEX_TYPE, MANIFEST_TYPE, Descriptor
from pipeline.supply.artifact import Artifact
from pipeline.supply.check.checks import PROVENANCE, SBOMS, SCAN
from pipeline.supply.sign.api import Signer
from pipeline.supply.sign.referrers import sign_all
from pipeline.supply.statement import Statement

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
COMMIT = "1f" * 20
REPOSITORY = "https://git.example/me/agents"
BUILDER = "https://git.example/me/agents/builder"
BUILD_TYPE = "https://example.com/build-type/v1"
ROOT = "pkg:oci/debian@sha256:0"


@dataclass(slots=True)
class Shelf:
    """A repository in memory. `api` tells whether it answers to the referrers call."""

    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    referrers_of: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    api: bool = True

    async def manifest(self, name: str) -> bytes | None:
        """Return a manifest."""
        return self.manifests.get(name)

    async def referrers(self, digest: Digest) -> Sequence[Mapping[str, Any]] | None:
        """Return what refers to a digest."""
        return self.referrers_of.get(digest, []) if self.api else None

    async def blob(self, digest: Digest, limit: int) -> bytes | None:
        """Return a blob."""
        content = self.blobs.get(digest)
        assert len(content or b"") <= limit
        return content

    async def measure(self, digest: Digest) -> tuple[Digest, int] | None:
        """Return what a blob is."""
        content = self.blobs.get(digest)
        return None if content is None else (digest_bytes(content), len(content))

    def put(self, content: bytes, media_type: str) -> Descriptor:
        """Add a manifest."""
        digest = digest_bytes(content)
        self.manifests[digest] = content
        return Descriptor(media_type, digest, len(content))

    def attach(self, artifacts: Iterable[Artifact]) -> None:
        """Add referrers, to the list that the API gives and to the tag that stands in for it."""
        for artifact in artifacts:
            assert artifact.subject is not None
            self.blobs |= {str(digest): data for digest, data in artifact.blobs.items()}
            descriptor = self.put(artifact.manifest, MANIFEST_TYPE)
            entry = descriptor.as_json(artifactType=artifact.artifact_type, annotations=dict(artifact.annotations))
            listed = self.referrers_of.setdefault(artifact.subject.digest, [])
            listed.append(entry)
            index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": listed}
            self.manifests[f"sha256-{hex_of(artifact.subject.digest)}"] = json.dumps(index).encode()


def put_image(shelf: Shelf, words: str = "an image") -> tuple[Descriptor, dict[str, Descriptor]]:
    """Put an image for two platforms, tagged `latest`, and return its index and its platforms."""
    platforms = {}
    for name in ("linux/amd64", "linux/arm64"):
        system, _, architecture = name.partition("/")
        config = canonical_json({"os": system, "architecture": architecture, "config": {"Labels": {"a": words}}})
        layer = f"{words} on {name}".encode()
        shelf.blobs |= {digest_bytes(config): config, digest_bytes(layer): layer}
        manifest: Canonical = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": Descriptor(CONFIG_TYPE, digest_bytes(config), len(config)).as_json(),
            "layers": [
                Descriptor("application/vnd.oci.image.layer.v1.tar+zstd", digest_bytes(layer), len(layer)).as_json()
            ],
        }
        platforms[name] = shelf.put(canonical_json(manifest), MANIFEST_TYPE)
    entries = [
        one.as_json(platform={"os": name.partition("/")[0], "architecture": name.partition("/")[2]})
        for name, one in platforms.items()
    ]
    index = shelf.put(canonical_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}), INDEX_TYPE)
    shelf.manifests["latest"] = shelf.manifests[index.digest]
    return index, platforms


def evidence_of(subject: Digest) -> tuple[Statement, ...]:
    """Return provenance, bills of materials and a scan of one platform."""
    provenance = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {},
            "resolvedDependencies": [
                {"uri": f"git+{REPOSITORY}@{COMMIT}", "digest": {"gitCommit": COMMIT}},
                {"uri": ROOT, "name": "roots/debian-trixie", "digest": {"sha256": "0" * 64}},
            ],
        },
        "runDetails": {"builder": {"id": BUILDER}},
    }
    scan = {"metadata": {"scanFinishedOn": "2026-11-19T12:00:00Z"}}
    return (
        Statement(PROVENANCE, provenance, subject),
        Statement(SBOMS["spdx"][0], {"spdxVersion": "SPDX-2.3"}, subject),
        Statement(SBOMS["cyclonedx"][0], {"bomFormat": "CycloneDX"}, subject),
        Statement(SCAN, scan, subject),
    )


def signed_shelf(signer: Signer) -> tuple[Shelf, Descriptor, dict[str, Descriptor]]:
    """Return a repository with an image that has everything, its index and its platforms."""
    shelf = Shelf()
    index, platforms = put_image(shelf)
    statements = [one for platform in platforms.values() for one in evidence_of(platform.digest)]

    async def work() -> tuple[Artifact, ...]:
        return await sign_all(signer, index, tuple(platforms.values()), statements, NOW)

    shelf.attach(anyio.run(work))
    return shelf, index, platforms
