"""Attestations in an index, read back by another program from a real registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.digest import Digest, canonical_json, digest_bytes
from pipeline.engine.layout import INDEX_TYPE, MANIFEST_TYPE, blob_path, read_manifest
from pipeline.supply.attestations import index_entry
from pipeline.supply.evidence import Evidence, evidence
from pipeline.supply.run import RunFacts
from tests.engine.support import free_port, wait_for
from tests.tools import go_tool
from tests.unit.supply.sbom.samples import write_sample

REGISTRY = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
BUILDX = "github.com/docker/buildx/cmd/buildx@v0.37.2"

pytestmark = pytest.mark.engine


@pytest.fixture
def registry() -> Iterator[str]:
    """Start an empty registry and return its address."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    with tempfile.TemporaryDirectory(prefix="agc-r-") as name, Path(name, "log").open("w") as log:
        folder, port = Path(name), free_port()
        (folder / "config.yml").write_text(REGISTRY.format(folder=folder / "data", port=port))
        server = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
        try:
            wait_for("the registry", lambda: "listening on" in (folder / "log").read_text())
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def pushed(registry: str, tmp_path: Path) -> tuple[str, Digest, Evidence]:
    """Push the image of the small project with its attestations; return its name, manifest and evidence."""
    made, digest = write_sample(tmp_path / "layout")
    found = evidence(
        tmp_path / "layout", {"linux/amd64": digest}, (made,), (), RunFacts(), cache=tmp_path / "cache", version="1.0"
    )
    manifest = read_manifest(tmp_path / "layout", digest)
    platform = {"os": "linux", "architecture": "amd64"}
    entries = [manifest.descriptor.as_json(platform=platform), *map(index_entry, found.attestations)]
    index = canonical_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries})
    with httpx.Client(base_url=f"http://{registry}/v2/image/") as client:
        for part in (manifest.config, *manifest.layers):
            _upload(client, part.digest, blob_path(tmp_path / "layout", part.digest).read_bytes())
        _put(client, digest, MANIFEST_TYPE, blob_path(tmp_path / "layout", digest).read_bytes())
        for held in found.attestations:
            for name, data in held.blobs.items():
                _upload(client, name, data)
            _put(client, held.descriptor.digest, MANIFEST_TYPE, held.manifest)
        _put(client, "latest", INDEX_TYPE, index)
    return f"{registry}/image:latest", digest, found


def _upload(client: httpx.Client, digest: Digest, data: bytes) -> None:
    place = client.post("blobs/uploads/").headers["Location"]
    client.put(place, params={**httpx.URL(place).params, "digest": digest}, content=data).raise_for_status()


def _put(client: httpx.Client, name: str, media_type: str, data: bytes) -> None:
    answer = client.put(f"manifests/{name}", content=data, headers={"Content-Type": media_type})
    answer.raise_for_status()
    assert answer.headers["Docker-Content-Digest"] == digest_bytes(data)


def test_buildx_shows_bill_and_provenance(pushed: tuple[str, Digest, Evidence], tmp_path: Path) -> None:
    """`imagetools inspect` finds both in the index, as it finds those of BuildKit."""
    reference, digest, _ = pushed
    shown = {name: _inspect(reference, name, tmp_path) for name in ("SBOM", "Provenance")}

    assert shown["SBOM"]["SPDX"]["spdxVersion"] == "SPDX-2.3"
    assert shown["SBOM"]["SPDX"]["packages"][0]["versionInfo"]
    assert digest in json.dumps(shown["SBOM"])
    assert shown["Provenance"]["SLSA"]["buildDefinition"]["externalParameters"]["image"] == "node-bun-claude"


def _inspect(reference: str, name: str, home: Path) -> Any:
    # What buildx knows of other machines does not count.
    environment = {**os.environ, "DOCKER_CONFIG": str(home), "BUILDX_CONFIG": str(home)}
    buildx = go_tool("buildx", BUILDX, asked_for="AGC_TEST_TOOLS")
    command = [str(buildx), "imagetools", "inspect", reference, "--format", f"{{{{json .{name}}}}}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_a_puller_takes_the_platform_and_not_the_attestation(
    pushed: tuple[str, Digest, Evidence], tmp_path: Path
) -> None:
    """What is for `unknown/unknown` is for nobody to run."""
    reference, digest, _ = pushed
    command = ["skopeo", "--override-os", "linux", "--override-arch", "amd64", "copy", "--preserve-digests"]
    subprocess.run(
        [*command, "--src-tls-verify=false", f"docker://{reference}", f"oci:{tmp_path / 'pulled'}:x"],
        check=True,
        capture_output=True,
    )
    (entry,) = json.loads((tmp_path / "pulled" / "index.json").read_bytes())["manifests"]

    assert entry["digest"] == digest
