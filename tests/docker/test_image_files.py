"""Files out of a registry image: .NET's SDK, for which a small stand-in lies in a loopback registry set as the mirror.

The stand-in has the real one's folder, a `dotnet` that says its version, and the variable that says it. Nothing here is
the SDK itself.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.digest import digest_bytes, hex_of
from pipeline.engine.layout import INDEX_TYPE, MANIFEST_TYPE
from pipeline.errors import ExitCode
from pipeline.platform import PLATFORMS, host_platform
from tests.engine.small import read_lock
from tests.engine.support import Agc, write_files
from tests.registry.server import Registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

HOST = "mcr.microsoft.com"
VERSION = "10.0.999"
PROGRAM = f"#!/bin/sh\necho {VERSION}\n"


def _blob(folder: Path, content: bytes, kind: str) -> dict[str, Any]:
    digest = digest_bytes(content)
    path = folder / "blobs" / "sha256" / hex_of(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _stand_in(folder: Path, architecture: str) -> None:
    """Write an OCI layout with one image that has the folder and the variable of the SDK's."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("usr/share/dotnet/dotnet")
        entry.size, entry.mode = len(PROGRAM), 0o755
        archive.addfile(entry, io.BytesIO(PROGRAM.encode()))
    layer = _blob(folder, gzip.compress(packed.getvalue(), mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
    document = {
        "architecture": architecture,
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/usr/bin", f"DOTNET_SDK_VERSION={VERSION}"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_bytes(packed.getvalue())]},
    }
    config = _blob(folder, json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": [layer]}
    entry_of = {**_blob(folder, json.dumps(manifest).encode(), MANIFEST_TYPE)}
    entry_of["annotations"] = {"org.opencontainers.image.ref.name": "one"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry_of]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


@pytest.fixture(scope="module")
def mirrored(agc: Agc, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Agc:
    """Put the stand-in, for every platform, where a mirror would have the SDK, and use that mirror."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    entries = []
    for platform in PLATFORMS:
        folder = tmp_path_factory.mktemp("stand-in")
        _stand_in(folder, platform.architecture)
        name = f"docker://{registry.address}/dotnet/sdk:{platform.architecture}"
        subprocess.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{folder}:one", name], check=True)
        raw = ["skopeo", "inspect", "--raw", "--tls-verify=false", name]
        content = subprocess.run(raw, check=True, capture_output=True).stdout
        system = {"os": platform.os, "architecture": platform.architecture}
        entries.append(
            {"mediaType": MANIFEST_TYPE, "digest": digest_bytes(content), "size": len(content), "platform": system}
        )
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).encode()
    registry.put_index("dotnet/sdk", "10.0", index)
    return agc.given(AGC_MIRRORS=f"{HOST}/dotnet/={registry.address}/dotnet/")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that adds nothing to what is shipped."""
    return write_files(tmp_path_factory.mktemp("dotnet"), {"README": ""})


def test_the_sdk_is_locked_by_its_public_name_and_built_from_a_mirror(
    mirrored: Agc, project: Path, tmp_path: Path
) -> None:
    """With the version that the image says it holds, and the digest of its index, which serves every platform."""
    locked = mirrored("lock", "--upgrade", "toolchains/dotnet", "--json", project=project)
    assert locked.code == 0, locked.stderr
    (pin,) = read_lock(project / "registry" / "lock" / "toolchains" / "dotnet.json")["packages"]

    assert (pin["image"], pin["version"]) == (f"{HOST}/dotnet/sdk", VERSION)

    built = mirrored("build", "dotnet", "--json", "--output", f"oci:{tmp_path / 'out'}", project=project)
    assert built.code == 0, built.stderr
    assert [layer["component"] for layer in built.image["platforms"][0]["layers"]][-1] == "toolchains/dotnet"
    assert built.image["smoke"]["failed"] == 0

    planned = mirrored("plan", "dotnet", "--json", project=project)
    versions = {layer["component"]: layer["version"] for layer in planned.image["platforms"][0]["layers"]}
    assert versions["toolchains/dotnet"] == VERSION


def test_where_the_registry_is_not_reached_plans_are_made_and_builds_fail_at_once(agc: Agc, tmp_path: Path) -> None:
    """A digest nobody here has, from a host that does not answer: it is named, and where it is asked for."""
    closed = agc.given(AGC_MIRRORS=f"{HOST}/dotnet/=localhost:9/dotnet/")
    planned = closed("plan", "node-py-dotnet-openclaw-headroom", "--json")
    other = tmp_path / "out"
    built = closed("build", "dotnet", "--output", f"oci:{other}", "--platform", str(host_platform()))

    assert planned.code == 0, planned.stderr
    assert [layer["component"] for layer in planned.image["platforms"][0]["layers"]][3:7] == [
        *("toolchains/node", "toolchains/bun", "toolchains/python", "toolchains/dotnet")
    ]
    assert built.code == ExitCode.BUILD, built.stderr
    assert "localhost:9" in built.stderr
    assert "definitions/toolchains/dotnet.yaml" in built.stderr
    assert not other.exists()
