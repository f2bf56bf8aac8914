"""An agent that may not be passed on, published where everybody reads: built, tested, and without its bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.catalog.credentials import variables
from pipeline.settings import load_settings
from tests.engine.support import IMAGE, Agc
from tests.registry.server import PASSWORD, USER, Registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

ACCEPT = {"Accept": "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"}
LARGEST = 20_000


def test_the_image_others_pull_fetches_its_agent(agc: Agc, secured: Registry, tmp_path: Path) -> None:
    """All smoke tests passed by way of the fetching, the one that lets the agent work among them."""
    assert secured.ca is not None
    system = load_settings(tmp_path, os.environ).ca_bundle
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(secured.ca.read_bytes() + (system.read_bytes() if system else b""))
    name, password = variables(secured.address)
    (tmp_path / "agc.toml").write_text('[gate]\nmode = "warn"\n')
    known = agc.given(**{name: USER, password: PASSWORD, "AGC_CA_BUNDLE": str(bundle)})
    to = ("--to", f"{secured.address}/ns", "--json")

    run = known("publish", IMAGE, *to, project=tmp_path)

    assert run.code == 0, run.stderr
    (image,) = run.json["images"]
    assert image["smoke"]["failed"] == 0
    assert image["smoke"]["passed"] > 8
    with secured.client() as client:
        index = client.get(f"/v2/ns/{IMAGE}/manifests/latest", headers=ACCEPT).json()
        manifest = client.get(f"/v2/ns/{IMAGE}/manifests/{index['manifests'][0]['digest']}", headers=ACCEPT).json()
        config = client.get(f"/v2/ns/{IMAGE}/blobs/{manifest['config']['digest']}").json()
    assert config["config"]["Labels"]["dev.agentcontainers.late-bound"] == "claude"
    assert manifest["layers"][-1]["size"] < LARGEST
    secured.check_whole(f"ns/{IMAGE}", "latest")
    again = known("publish", IMAGE, "--changed", *to, project=tmp_path)
    assert (again.code, again.json) == (0, {"images": []})
    record = json.loads((tmp_path / "registry/catalog.json").read_text())["images"][IMAGE]
    assert record["digest"] == image["digest"]
