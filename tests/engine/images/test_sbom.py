"""Bills of materials of real images, beside what another scanner finds in the same layers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from pipeline.engine.layout import blob_path, manifests_of, read_manifest
from pipeline.platform import host_platform
from tests.engine.support import Agc, Run

IMAGES = ("node-bun-claude", "node-bun-openclaw", "python-openclaw")
LARGEST = 7_000_000
"""Bytes; what a signed document may hold for admission controllers that read at most 10 MB of base64."""
SYFT = Path(sys.executable).parent / "syft"
KINDS = {"python": "pypi", "go-module": "golang", "rust-crate": "cargo", "binary": "generic", "dotnet": "nuget"}

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def built(agc: Agc, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the images and return where they lie."""
    out = tmp_path_factory.mktemp("sbom") / "out"
    run = agc("build", *IMAGES, "--no-smoke", "--json", "-o", f"oci:{out}")
    assert run.code == 0, run.stderr
    return out


def bill(agc: Agc, image: str, built: Path, form: str, file: Path) -> Any:
    """Write a document and return what was said of it."""
    run: Run = agc("sbom", image, "--layout", built, "--format", form, "-o", file, "--json")
    assert run.code == 0, run.stderr
    return run.json


@pytest.mark.parametrize("image", IMAGES)
def test_both_formats_are_valid_small_and_the_same_twice(agc: Agc, built: Path, image: str, tmp_path: Path) -> None:
    """For the validators of their own libraries; also where every layer is read anew."""
    other = Agc(tmp_path / "cache", agc.environment)
    for form in ("spdx", "cyclonedx"):
        said = [bill(run, image, built, form, tmp_path / f"{form}-{at}.json") for at, run in enumerate((agc, other))]
        first, second = ((tmp_path / f"{form}-{at}.json").read_bytes() for at in (0, 1))

        assert first == second
        assert len(first) < LARGEST
        assert said[0]["packages"] == said[1]["packages"] > 250

    messages = validate_full_spdx_document(parse_file(str(tmp_path / "spdx-0.json")))
    assert [message.validation_message for message in messages] == []
    document = (tmp_path / "cyclonedx-0.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None


@pytest.mark.skipif(not SYFT.exists(), reason="syft is not installed")
@pytest.mark.parametrize("image", IMAGES)
def test_what_syft_finds_is_there(agc: Agc, built: Path, image: str, tmp_path: Path) -> None:
    """At least 99 % of its packages, by type, name and version."""
    bill(agc, image, built, "spdx", tmp_path / "bill.json")
    ours = ours_of(json.loads((tmp_path / "bill.json").read_bytes()))
    theirs = theirs_of(built, image, tmp_path)
    missed = sorted(theirs - ours)

    assert len(theirs) > 250
    assert len(missed) <= len(theirs) / 100, "\n".join(" ".join(one) for one in missed)


def ours_of(document: Any) -> set[tuple[str, str, str]]:
    """Return type, name and version of the packages in a document of ours."""
    found = set()
    for package in document["packages"]:
        for reference in package.get("externalRefs", ()):
            kind = reference["referenceLocator"].removeprefix("pkg:").partition("/")[0]
            found.add(_spelled(kind, package["name"], package.get("versionInfo", "")))
    return found


def theirs_of(built: Path, image: str, tmp_path: Path) -> set[tuple[str, str, str]]:
    """Return type, name and version of what syft finds.

    Left out is what is no package: a package.json without a version, for which syft writes UNKNOWN. They tell a folder
    inside a package how its files are to be read (`@google/genai/node`), and npm takes nothing without a version.
    """
    only = alone(built, image, tmp_path / "layout")
    environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    command = [str(SYFT), "scan", f"oci-dir:{only}", "-q", "-o", "syft-json"]
    document = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
    return {
        _spelled(KINDS.get(one["type"], one["type"]), one["name"], one["version"])
        for one in document["artifacts"]
        if not (one["type"] == "npm" and one["version"] == "UNKNOWN")
    }


def alone(built: Path, image: str, layout: Path) -> Path:
    """Return a layout that has one image, which is all that syft takes."""
    digest = manifests_of(built, image)[str(host_platform())]
    manifest = read_manifest(built, digest)
    for part in (manifest.descriptor, manifest.config, *manifest.layers):
        target = blob_path(layout, part.digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(blob_path(built, part.digest), target)
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest.descriptor.as_json()]}))
    return layout


def _spelled(kind: str, name: str, version: str) -> tuple[str, str, str]:
    """Return a package with the spelling that does not count removed: of Python's names, and of Go's own version."""
    if kind == "pypi":
        return kind, canonicalize_name(name), version
    return kind, name, version.removeprefix("go") if name == "stdlib" else version
