"""The image config: what a container runtime is told, and what labels say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.compose.config import environment
from pipeline.compose.labels import GRAPH_LABEL
from pipeline.models.defined import Defined
from pipeline.models.kinds import Agent
from pipeline.platform import ARM64
from pipeline.resolve.plan import ImagePlan
from tests.unit.compose.samples import composed, definitions, locks, plan


def config(name: str = "node-bun-claude") -> Any:
    """Return the part of an image's config that a runtime looks at."""
    return json.loads(composed(name).config)["config"]


@pytest.mark.parametrize("name", ["node-bun-claude", "plain"])
def test_the_config_looks_as_it_was_reviewed(name: str, golden: Callable[[str, str], None]) -> None:
    """Of an agent, and of a base alone."""
    golden(f"config/{name}.json", json.dumps(json.loads(composed(name).config), indent=1) + "\n")


def test_the_config_is_for_its_platform() -> None:
    """And carries the digest of its own graph."""
    composition = composed(platform=ARM64)
    document = json.loads(composition.config)

    assert (document["os"], document["architecture"]) == ("linux", "arm64")
    assert document["config"]["Labels"][GRAPH_LABEL] == composition.graph_digest
    assert composition.graph_digest != composed().graph_digest


@pytest.mark.parametrize("name", ["node-bun", "node-bun-claude", "node-bun-picky", "plain"])
def test_labels_carry_no_date_and_no_place(name: str) -> None:
    """What changes while the content does not would make a new digest."""
    labels = config(name)["Labels"]

    assert not [
        value for value in labels.values() if re.search(r"\b20\d\d-\d\d|\d\d:\d\d:\d\d|/home|/tmp|/work", value)
    ]
    assert not {"org.opencontainers.image.created", "org.opencontainers.image.revision"} & set(labels)
    assert list(labels) == sorted(labels)


def test_labels_say_what_is_inside() -> None:
    """Component by component."""
    labels = config()["Labels"]

    assert labels["dev.agentcontainers.component.agents.claude"] == "2.1.330"
    assert labels["org.opencontainers.image.version"] == "2.1.330"
    assert labels["dev.agentcontainers.root-source"] == "bootstrap"


def test_nothing_of_the_user_stands_before_the_system_on_path() -> None:
    """A file the agent writes into its home never replaces a command."""
    entries = environment(plan())["PATH"].split(":")

    assert entries[0] == "/usr/local/sbin"
    assert entries.index("/usr/local/bin") < entries.index("/usr/bin")
    assert entries[-1] == "/home/dev/.local/bin"
    assert not [entry for entry in entries[:-1] if entry.startswith("/home")]


def _with_env(item: ImagePlan, agent: dict[str, str]) -> ImagePlan:
    assert item.agent is not None
    defined, lock = item.agent
    spec = defined.model.spec.model_copy(update={"env": agent})
    changed: Defined[Agent] = replace(defined, model=defined.model.model_copy(update={"spec": spec}))
    return replace(item, agent=(changed, lock))


def test_the_agents_variables_win_over_the_bases_and_toolchains() -> None:
    """Later layers know better."""
    merged = environment(_with_env(plan(), {"LANG": "de_DE.UTF-8", "NPM_CONFIG_PREFIX": "/x"}))

    assert (merged["LANG"], merged["NPM_CONFIG_PREFIX"]) == ("de_DE.UTF-8", "/x")
    assert list(merged) == sorted(merged)


def test_the_image_runs_its_agent_as_the_user_under_an_init() -> None:
    """In the workspace; numbers, so that no passwd is needed to know it is not root."""
    found = config()

    assert (found["User"], found["WorkingDir"]) == ("1000:1000", "/workspace")
    assert (found["Entrypoint"], found["Cmd"]) == (["/usr/bin/tini", "--"], ["claude"])
    assert found["Volumes"] == {"/home/dev/.claude": {}}


def test_a_base_alone_runs_a_shell_and_has_no_volumes() -> None:
    """It is for looking round."""
    found = config("node-bun")

    assert found["Cmd"] == ["/bin/bash"]
    assert not {"Volumes", "Healthcheck"} & set(found)


def test_the_health_check_is_in_nanoseconds() -> None:
    """As Docker counts."""
    assert config()["Healthcheck"] == {
        "Test": ["CMD", "claude", "--version"],
        "Interval": 60_000_000_000,
        "Timeout": 10_000_000_000,
        "StartPeriod": 10_000_000_000,
        "Retries": 3,
    }


def test_no_secret_is_named_in_the_environment() -> None:
    """Names of secrets are for whoever runs the image."""
    assert not [entry for entry in config()["Env"] if "ANTHROPIC" in entry]


def test_the_source_of_the_root_is_told() -> None:
    """The two are different bytes."""
    found = definitions()
    item = plan(found=found, pins=locks(found, ("image",)))

    assert item.root.source == "image"
