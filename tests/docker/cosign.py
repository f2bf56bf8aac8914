"""The real cosign, and a way to put into a registry exactly what a test wants there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx

from pipeline.digest import Digest, digest_bytes, hex_of
from pipeline.engine.layout import INDEX_TYPE, MANIFEST_TYPE
from pipeline.supply.artifact import Artifact
from tests.registry.server import Registry
from tests.tools import go_tool
from tests.unit.supply.evidence_shelf import Shelf

MODULE = "github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3"
PASSWORD = "canary-4b1c-password"  # noqa: S105 (of a key that is made for the tests)


@dataclass(frozen=True, slots=True)
class Cosign:
    """The program, on a home of its own, so that it knows of no key or trust root but those it is given."""

    program: Path
    home: Path

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it."""
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.home), "COSIGN_PASSWORD": PASSWORD}
        return subprocess.run(
            [self.program, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            env={**kept, "HTTPS_PROXY": "http://127.0.0.1:1"},  # whoever needs no network asks nobody
            cwd=self.home,
        )

    def verifies(self, reference: str, key: Path, *options: str) -> bool:
        """Tell whether `cosign verify` is content."""
        return self("verify", f"--key={key}", "--insecure-ignore-tlog=true", *options, reference).returncode == 0

    def attests(self, reference: str, key: Path, kind: str, *options: str) -> bool:
        """Tell whether `cosign verify-attestation` is content with what there is of a type."""
        ours = (f"--key={key}", "--insecure-ignore-tlog=true", f"--type={kind}")
        return self("verify-attestation", *ours, *options, reference).returncode == 0


def obtain_cosign() -> Path:
    """Return the program; one of another version speaks of bundles in another way."""
    return go_tool("cosign", MODULE, says=MODULE.rpartition("@")[2])


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of the registry of the tests."""

    registry: Registry
    name: str

    @property
    def base(self) -> str:
        """Its address in the API."""
        return f"http://{self.registry.address}/v2/{self.name}"

    def at(self, name: str) -> str:
        """Return a reference to a tag or digest."""
        return f"{self.registry.address}/{self.name}{'@' if name.startswith('sha256:') else ':'}{name}"

    def put_blob(self, content: bytes) -> None:
        """Upload a blob."""
        where = httpx.post(f"{self.base}/blobs/uploads/").headers["Location"]
        httpx.put(
            httpx.URL(where).copy_merge_params({"digest": digest_bytes(content)}), content=content
        ).raise_for_status()

    def put_manifest(self, name: str, content: bytes) -> None:
        """Put a manifest under a digest or tag."""
        kind = INDEX_TYPE if b'"manifests":' in content.replace(b" ", b"") else MANIFEST_TYPE
        answer = httpx.put(f"{self.base}/manifests/{name}", content=content, headers={"Content-Type": kind})
        assert answer.is_success, answer.text

    def push(self, shelf: Shelf) -> None:
        """Put everything of a repository in memory there: what is named before what names it."""
        for content in shelf.blobs.values():
            self.put_blob(content)
        for name, content in shelf.manifests.items():
            if name.startswith("sha256:"):
                self.put_manifest(name, content)
        for name, content in shelf.manifests.items():
            if not name.startswith("sha256:"):
                self.put_manifest(name, content)

    def push_tagged(self, tagged: Iterable[tuple[str, Artifact]]) -> None:
        """Put artifacts under tags."""
        for tag, artifact in tagged:
            for content in artifact.blobs.values():
                self.put_blob(content)
            self.put_manifest(tag, artifact.manifest)

    def stored(self, digest: Digest) -> Path:
        """Return the file in which the registry keeps a blob or manifest, for all of its repositories."""
        name = hex_of(digest)
        folder = self.registry.log.parent / "data" / "docker" / "registry" / "v2" / "blobs" / "sha256"
        return folder / name[:2] / name / "data"

    def spoil(self, digest: Digest) -> None:
        """Change a byte of what the registry keeps, behind its back."""
        file = self.stored(digest)
        content = bytearray(file.read_bytes())
        at = len(content) // 2
        content[at] = ord("x") if content[at] != ord("x") else ord("y")
        file.write_bytes(bytes(content))
