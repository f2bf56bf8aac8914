"""Policies of OpenShell: its rules are kept, the agent alone reaches its hosts, and images that are ready say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from pipeline.compose.image import compose_all
from pipeline.compose.openshell import READY_LABEL, openshell_ready
from pipeline.outputs.subject import Subject
from pipeline.platform import parse_platform
from tests.unit.outputs.subjects import PROJECT, SUBJECT, files

AGENTS = sorted(PROJECT.definitions.agents)
ENDPOINT = {"host", "port", "protocol", "enforcement", "access"}


def read(agent: str, subject: Subject = SUBJECT) -> dict[str, Any]:
    """Return the policy of an agent."""
    found: dict[str, Any] = yaml.safe_load(files("openshell", subject)[f"deploy/openshell/{agent}/policy.yaml"].text)
    return found


def report(agent: str) -> str:
    """Return the report beside it."""
    return files("openshell")[f"deploy/openshell/{agent}/REPORT.md"].text


@pytest.mark.parametrize("agent", ["codex", "openclaw"])
def test_the_text_is_as_it_was(agent: str, golden: Callable[[str, str], None]) -> None:
    """One with an image that is ready, and one without."""
    golden(f"outputs/openshell-{agent}.yaml", files("openshell")[f"deploy/openshell/{agent}/policy.yaml"].text)
    golden(f"outputs/openshell-{agent}.md", report(agent))


@pytest.mark.parametrize("agent", AGENTS)
def test_the_rules_of_the_format_are_kept(agent: str) -> None:
    """Version 1, absolute paths that are not too broad, an identity that is not root's, known keys alone."""
    policy = read(agent)
    folders = policy["filesystem_policy"]
    paths = folders["read_only"] + folders["read_write"]

    assert policy.keys() <= {"version", "filesystem_policy", "landlock", "process", "network_policies"}
    assert policy["version"] == 1
    assert all(path.startswith("/") and ".." not in path for path in paths)
    assert "/" not in paths
    assert len(paths) == len(set(paths))
    assert int(policy["process"]["run_as_user"]) > 0
    assert int(policy["process"]["run_as_group"]) > 0
    for rule in policy["network_policies"].values():
        assert rule.keys() == {"name", "endpoints", "binaries"}
        assert all(endpoint.keys() == ENDPOINT for endpoint in rule["endpoints"])
        assert all(binary["path"].startswith("/opt/") for binary in rule["binaries"])


@pytest.mark.parametrize("agent", AGENTS)
def test_the_agent_reaches_the_declared_hosts(agent: str) -> None:
    """By inspected HTTP, enforced."""
    (rule,) = read(agent)["network_policies"].values()
    spec = PROJECT.definitions.agents[agent].model.spec

    assert [(one["host"], one["port"]) for one in rule["endpoints"]] == sorted((e.host, e.port) for e in spec.egress)
    assert {(one["protocol"], one["enforcement"]) for one in rule["endpoints"]} == {("rest", "enforce")}


def test_programs_are_named_by_the_file_that_the_kernel_runs() -> None:
    """A native one by its folder alone; a script with what runs it, by the file and not by the link to it."""
    native = read("claude")["network_policies"]["claude"]["binaries"]
    script = read("codex")["network_policies"]["codex"]["binaries"]

    assert [one["path"] for one in native] == ["/opt/agents/claude/**"]
    assert [one["path"] for one in script] == ["/opt/agents/codex/**", "/opt/toolchains/node/bin/node"]


@pytest.mark.parametrize("agent", AGENTS)
def test_every_secret_volume_and_port_is_in_the_report(agent: str) -> None:
    """A policy says nothing of them."""
    spec = PROJECT.definitions.agents[agent].model.spec
    words = [f"secret `{one.name}`" for one in spec.secrets] + [f"volume `{one.path}`" for one in spec.volumes]
    words += [f"port {one.port} " for one in spec.ports]

    assert [word for word in words if word not in report(agent)] == []


def test_a_policy_is_for_the_image_that_is_ready_where_there_is_one() -> None:
    """Where there is none, the report says what the image lacks."""
    text = files("openshell")["deploy/openshell/claude/policy.yaml"].text

    assert "# For the image node-bun-openshell-claude:latest" in text
    assert "Does not keep OpenShell's contract" not in report("claude")
    assert "Does not keep OpenShell's contract" in report("openclaw")


def test_the_label_is_on_images_that_keep_the_contract_alone() -> None:
    """Their bases bring iproute2 and have the work where OpenShell has it; nothing else has a new digest for it."""
    name, value = READY_LABEL
    composed = compose_all(PROJECT.plan((), (parse_platform("linux/amd64"),)))
    labelled = {one.plan.name for one in composed if one.document["config"]["Labels"].get(name) == value}

    assert labelled == {image for image in PROJECT.images if image.startswith("node-bun-openshell")}


def test_what_is_ready_has_both_the_tools_and_the_folder() -> None:
    """One of them is not enough."""
    definitions = PROJECT.definitions
    ready = {name for name, base in definitions.bases.items() if openshell_ready(base, definitions.common_tools)}

    assert ready == {"node-bun-openshell"}
    base = definitions.bases["node-bun-openshell"]
    for change in ({"workspace": "/workspace"}, {"common_tools": ("default",)}):
        spec = base.model.spec.model_copy(update=change)
        other = type(base)(base.model.model_copy(update={"spec": spec}), base.places)
        assert not openshell_ready(other, definitions.common_tools)


def test_ready_images_are_tested_for_it() -> None:
    """The label says more than a definition: the image itself is asked."""
    (plan,) = PROJECT.plan(("node-bun-openshell-claude",), (parse_platform("linux/amd64"),))

    assert {"openshell-has-its-network-tools", "openshell-finds-its-workspace"} <= {test.name for _, test in plan.smoke}
