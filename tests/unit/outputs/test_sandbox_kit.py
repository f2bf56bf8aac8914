"""Descriptors of the sandbox kit specification v3: they keep the rules of its grammar that bear on them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from pipeline.outputs.subject import Subject
from tests.unit.outputs.subjects import DIGEST, PROJECT, PUBLISHED, SUBJECT, files

AGENTS = sorted(PROJECT.definitions.agents)
# SPEC-v3, sections 4, 5.2, 7 and 7.1, in our words.
TOP = {
    *("schemaVersion", "kind", "displayName", "author", "description", "sourceUrl", "iconUrl", "version", "licenses"),
    *("provides", "requires", "integrates", "conflicts", "capabilities", "args", "build", "dockerfile", "kits"),
}
VERSION = r"[0-9]+(\.[0-9A-Za-z-]+)*"
TYPE = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[a-z0-9]([a-z0-9-]*[a-z0-9])?@[1-9][0-9]*"
CONFIG = {
    "sbx": set[str](),
    "network-policy": {"install", "runtime"},
    "credential": {"service", "phase", "apiKey", "oauth"},
    "volume": {"path", "size", "tmpfs", "mode"},
    "port": {"name", "container", "transport"},
    "lifecycle": {"install", "startup", "files", "interactive"},
}
ONE_OF_A_KIND = {"sbx", "network-policy", "lifecycle"}


def text_of(agent: str, subject: Subject = SUBJECT) -> str:
    """Return the text of a descriptor."""
    return files("sandbox", subject)[f"deploy/sandbox/{agent}/{agent}.yaml"].text


def read(agent: str, subject: Subject = SUBJECT) -> dict[str, Any]:
    """Return a descriptor."""
    found: dict[str, Any] = yaml.safe_load(text_of(agent, subject))
    return found


def configs(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the configs of the capabilities of a name."""
    found = document["capabilities"]
    return [one.get("config", {}) for one in found if one["type"].partition("/")[2].partition("@")[0] == name]


def test_every_agent_has_one() -> None:
    """With a report beside it."""
    assert set(files("sandbox")) == {
        f"deploy/sandbox/{agent}/{name}" for agent in AGENTS for name in (f"{agent}.yaml", "REPORT.md")
    }


@pytest.mark.parametrize("agent", ["claude", "openclaw"])
def test_the_text_is_as_it_was(agent: str, golden: Callable[[str, str], None]) -> None:
    """With the report."""
    found = files("sandbox", PUBLISHED)

    golden(
        f"outputs/sandbox-{agent}.yaml", re.sub(r"\d{4}\.\d+\.\d+|\d+\.\d+\.\d+", "0.0.0", text_of(agent, PUBLISHED))
    )
    golden(f"outputs/sandbox-{agent}.md", found[f"deploy/sandbox/{agent}/REPORT.md"].text)


@pytest.mark.parametrize("agent", AGENTS)
def test_the_first_line_names_the_frontend(agent: str) -> None:
    """BuildKit looks at no other line for it."""
    assert text_of(agent).startswith("# syntax=docker/sandbox-kit:3\n")


@pytest.mark.parametrize("agent", AGENTS)
def test_the_grammar_is_kept(agent: str) -> None:
    """An unknown key anywhere is an error there."""
    document = read(agent)

    assert document.keys() <= TOP
    assert (document["schemaVersion"], document["kind"]) == ("3", "workload")
    assert re.fullmatch(VERSION, document["version"])
    assert document["provides"] == [f"{agent}@{document['version']}"]
    names = []
    for one in document["capabilities"]:
        assert re.fullmatch(TYPE, one["type"])
        assert one.keys() <= {"type", "name", "optional", "config", "description"}
        name = one["type"].removeprefix("com.docker.sandbox/").partition("@")[0]
        assert one.get("config", {}).keys() <= CONFIG[name]
        assert ("config" in one) == bool(CONFIG[name])
        names.append(name)
    assert [name for name in ONE_OF_A_KIND if names.count(name) > 1] == []


@pytest.mark.parametrize("agent", AGENTS)
def test_it_asks_for_the_declared_hosts(agent: str) -> None:
    """And for no others."""
    (network,) = configs(read(agent), "network-policy")
    spec = PROJECT.definitions.agents[agent].model.spec

    assert network == {"runtime": {"allow": sorted(f"{one.host}:{one.port}" for one in spec.egress)}}


@pytest.mark.parametrize("agent", AGENTS)
def test_a_secret_is_presented_only_where_the_agent_may_go(agent: str) -> None:
    """Each service once; and nowhere is there a value."""
    document = read(agent)
    allowed = {host.partition(":")[0] for host in configs(document, "network-policy")[0]["runtime"]["allow"]}
    credentials = configs(document, "credential")
    services = [(one["service"], one["phase"]) for one in credentials]

    assert len(services) == len(set(services))
    assert {rule["domain"] for one in credentials for rule in one["apiKey"]["inject"]} <= allowed
    assert all(one["apiKey"]["proxyManaged"] and one["apiKey"]["inject"] for one in credentials)
    declared = {secret.name for secret in PROJECT.definitions.agents[agent].model.spec.secrets}
    assert {one["apiKey"]["name"] for one in credentials} <= declared


@pytest.mark.parametrize("agent", AGENTS)
def test_a_secret_the_kit_says_nothing_of_is_in_the_report(agent: str) -> None:
    """Nothing that is declared goes missing unsaid."""
    report = files("sandbox")[f"deploy/sandbox/{agent}/REPORT.md"].text
    presented = {one["apiKey"]["name"] for one in configs(read(agent), "credential")}
    declared = {secret.name for secret in PROJECT.definitions.agents[agent].model.spec.secrets}

    assert {name for name in declared if f"secret `{name}`" in report} == declared - presented


@pytest.mark.parametrize("agent", AGENTS)
def test_volumes_have_a_size_and_are_given_to_the_user(agent: str) -> None:
    """One without a size is small there, and a fresh one may be root's."""
    document = read(agent)
    paths = [one["path"] for one in configs(document, "volume")]
    (lifecycle,) = configs(document, "lifecycle")
    (hook,) = lifecycle["startup"]

    assert paths == sorted(volume.path for volume in PROJECT.definitions.agents[agent].model.spec.volumes)
    assert all(re.fullmatch(r"\d+g", one["size"]) for one in configs(document, "volume"))
    assert (hook["command"], hook["user"]) == (["chown", "1000:1000", *paths], "0")


def test_the_content_is_the_published_image() -> None:
    """By digest, and nothing is added to it."""
    assert read("codex", PUBLISHED)["build"] == f"FROM mirror.example/node-bun-codex@{DIGEST}\n"
    assert "there is no digest" not in files("sandbox", PUBLISHED)["deploy/sandbox/codex/REPORT.md"].text
    assert "there is no digest" in files("sandbox")["deploy/sandbox/codex/REPORT.md"].text
