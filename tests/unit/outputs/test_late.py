"""Images that fetch their program at first run: what is made for them lets them fetch it, and keeps it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from pipeline.catalog.record import Catalog, ImageRecord, PlatformRecord
from pipeline.outputs.late import fetched
from pipeline.outputs.makers import make
from tests.unit.outputs.subjects import DIGEST, PROJECT, PUBLISHED, SUBJECT

HOST = "registry.npmjs.org"
FOLDER = "/home/dev/.cache/agc-late"


def published(image: str, folder: str = FOLDER) -> ImageRecord:
    """Return the record of an image that declares one more volume, as one does that fetches its program."""
    settings: dict[str, Any] = {"Volumes": {"/home/dev/.claude": {}, folder: {}}}
    platform = PlatformRecord(digest=DIGEST, config=DIGEST, settings=settings)
    return ImageRecord(digest=DIGEST, repositories=(f"ghcr.example/{image}",), platforms={"linux/amd64": platform})


IMAGES = ("node-bun-claude", "node-bun-openshell-claude", "node-bun-openclaw")
LATE = replace(SUBJECT, catalog=Catalog(images={name: published(name) for name in IMAGES[:2]}))
MADE = {file.path: file.text for files in make(LATE, ()).values() for file in files}


def service(stack: str, name: str) -> Any:
    """Return a service of a compose file."""
    return yaml.safe_load(MADE[f"deploy/compose/{stack}/compose.yaml"])["services"][name]


def objects(path: str) -> dict[tuple[str, str], Any]:
    """Return the objects of a file for Kubernetes, by kind and name."""
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(MADE[path])}


def test_the_catalog_tells_which_images_fetch() -> None:
    """By the volume they declare; what was not published, or in the other form, fetches nothing."""
    user = PROJECT.definitions.bases["node-bun"].model.spec.user
    volume = fetched(LATE.catalog, "node-bun-claude", user)

    assert volume is not None
    assert volume.path == FOLDER
    assert fetched(LATE.catalog, "node-bun-openclaw", user) is None
    assert fetched(PUBLISHED.catalog, "node-bun-claude", user) is None
    other = Catalog(images={"one": published("one", "/home/dev/.claude")})
    assert fetched(other, "one", user) is None


def test_a_stack_lets_them_fetch_and_keeps_it() -> None:
    """The registry is on the proxy's list, a volume of the user's holds it, and the first check has time."""
    claude = service("solo-claude", "claude")

    assert f"dstdomain -n {HOST}" in MADE["deploy/compose/solo-claude/config/claude-egress.conf"]
    assert {"type": "volume", "source": "claude-fetched", "target": FOLDER} in claude["volumes"]
    assert "/home/dev/.cache:exec,mode=0755,uid=1000,gid=1000" in claude["tmpfs"]
    assert claude["healthcheck"]["start_period"] == "300s"
    assert claude["healthcheck"]["timeout"] == "120s"
    assert "`solo-claude_claude-fetched`" in MADE["deploy/compose/solo-claude/README.md"]
    assert HOST not in MADE["deploy/compose/dual-agent/config/openclaw-egress.conf"]


def test_behind_a_gateway_they_reach_the_registry_and_no_model() -> None:
    """By a proxy of their own, which has no other name on its list."""
    claude = service("gateway-headroom", "claude")
    hosts = re.findall(r"dstdomain -n (\S+)", MADE["deploy/compose/gateway-headroom/config/claude-egress.conf"])

    assert hosts == [HOST]
    assert sorted(claude["networks"]) == ["claude-egress", "inside"]
    assert claude["environment"]["ANTHROPIC_BASE_URL"] == "http://headroom:8787"
    assert "headroom" in claude["environment"]["NO_PROXY"].split(",")


def test_a_cluster_lets_them_fetch_and_keeps_it() -> None:
    """By a claim, by name where Cilium is, in the chart too, and a probe that waits."""
    found = objects("deploy/kubernetes/solo-claude/base/claude.yaml")["StatefulSet", "claude"]["spec"]
    (pod,) = found["template"]["spec"]["containers"]

    assert "claude-fetched" in {one["metadata"]["name"] for one in found["volumeClaimTemplates"]}
    assert {"name": "claude-fetched", "mountPath": FOLDER} in pod["volumeMounts"]
    assert pod["startupProbe"]["timeoutSeconds"] == 120
    assert pod["startupProbe"]["periodSeconds"] * pod["startupProbe"]["failureThreshold"] >= 300
    assert HOST in MADE["deploy/kubernetes/solo-claude/cilium/hosts.yaml"]
    assert HOST in MADE["deploy/helm/solo-claude/templates/hosts.yaml"]
    assert "claude-fetched" in MADE["deploy/helm/solo-claude/values.yaml"]


def test_an_editor_keeps_what_was_fetched() -> None:
    """On a volume of the container's own, as the rest of what the agent keeps."""
    text = MADE["deploy/devcontainers/node-bun-claude/devcontainer.json"]
    mounts = json.loads(re.sub("(?m)^//.*$", "", text))["mounts"]

    assert FOLDER in {mount["target"] for mount in mounts}


def test_a_sandbox_lets_them_fetch() -> None:
    """The kit asks for the registry and a volume, and that this is the user's."""
    document = yaml.safe_load(MADE["deploy/sandbox/claude/claude.yaml"])
    by_type: dict[str, list[Any]] = {}
    for one in document["capabilities"]:
        by_type.setdefault(one["type"].rpartition("/")[2], []).append(one.get("config"))

    assert f"{HOST}:443" in by_type["network-policy@1"][0]["runtime"]["allow"]
    assert FOLDER in {one["path"] for one in by_type["volume@1"]}
    assert FOLDER in by_type["lifecycle@1"][0]["startup"][0]["command"]


def test_a_policy_of_openshell_lets_curl_fetch_and_what_was_fetched_run() -> None:
    """Only curl reaches the registry; the report says that the folder can be written to."""
    networks = yaml.safe_load(MADE["deploy/openshell/claude/policy.yaml"])["network_policies"]

    assert [one["host"] for one in networks["claude_first_run"]["endpoints"]] == [HOST]
    assert networks["claude_first_run"]["binaries"] == [{"path": "/usr/bin/curl"}]
    assert networks["claude"]["binaries"] == [{"path": "/sandbox/.cache/agc-late/**"}]
    assert HOST not in [one["host"] for one in networks["claude"]["endpoints"]]
    assert "Fetched at first run" in MADE["deploy/openshell/claude/REPORT.md"]


@pytest.mark.parametrize("sort", ["compose", "kubernetes", "helm", "sandbox", "openshell", "devcontainers"])
def test_images_with_all_they_have_need_nothing_of_it(sort: str) -> None:
    """Nothing of it is in what is made for them."""
    for file in make(PUBLISHED, (sort,))[sort]:
        assert "agc-late" not in file.text, file.path
        assert HOST not in file.text, file.path
