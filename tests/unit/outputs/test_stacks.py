"""Stacks as Compose files: what is fenced in, what is published, what is secret; and one form on every machine."""

from __future__ import annotations

import json
import os
import random
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalog.record import Catalog, ImageRecord
from pipeline.models.load import load_definitions
from pipeline.outputs.stacks import compose_files
from pipeline.outputs.stacks.documents import block, literal
from pipeline.outputs.subject import Subject
from pipeline.stages.project import load_project, shipped_folder
from pipeline.stages.stack_running import prepare

PROJECT = load_project(shipped_folder(), {})
SUBJECT = Subject(shipped_folder() / "templates", "1.2.3", own=True, project=PROJECT, catalog=Catalog())
STACKS = ("dual-agent", "gateway-headroom", "solo-claude")
DIGEST = "sha256:" + 64 * "a"


def files(subject: Subject = SUBJECT) -> dict[str, str]:
    """Return the text of every file by its path below the folder of stacks."""
    return {file.path.removeprefix("deploy/compose/"): file.text for file in compose_files(subject)}


def document(stack: str, subject: Subject = SUBJECT) -> Any:
    """Return the compose file of a stack."""
    return yaml.safe_load(files(subject)[f"{stack}/compose.yaml"])


def services(stack: str) -> Any:
    """Return the services of a stack."""
    return document(stack)["services"]


def with_stack(folder: Path, text: str) -> Subject:
    """Return a project that has one stack, with these services."""
    head = "apiVersion: agentcontainers/v1\nkind: Stack\nmetadata: {name: one, description: One.}\nspec:\n  services:\n"
    (folder / "definitions").mkdir(parents=True)
    (folder / "definitions" / "one.yaml").write_text(head + text)
    return replace(SUBJECT, project=load_project(folder, {}))


@pytest.fixture
def elsewhere() -> Iterator[None]:
    """Put the process into another time zone and locale for a while."""
    kept = dict(os.environ)
    os.environ.update(TZ="Pacific/Chatham", LC_ALL="tr_TR.UTF-8", LANG="tr_TR.UTF-8")
    time.tzset()
    yield
    os.environ.clear()
    os.environ.update(kept)
    time.tzset()


@pytest.mark.parametrize("stack", STACKS)
def test_files_of_a_stack(stack: str, golden: Callable[[str, str], None]) -> None:
    """All of them, as they are."""
    for path, text in files().items():
        if path.startswith(f"{stack}/"):
            golden(f"stacks/{path}", text)


def test_another_place_and_time_make_no_difference(elsewhere: None) -> None:
    """Neither the time zone nor the language is in them."""
    here = files()

    assert here == {
        path.removeprefix("deploy/compose/"): (shipped_folder() / path).read_text()
        for path in (f"deploy/compose/{name}" for name in here)
    }


@given(st.randoms(use_true_random=False))
@settings(max_examples=4, deadline=None)
def test_the_order_in_which_a_stack_is_written_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random
) -> None:
    """Services and their keys in any order give the same bytes."""
    folder = tmp_path_factory.mktemp("shuffled")
    (folder / "definitions").mkdir()
    for name in STACKS:
        text = (shipped_folder() / "definitions" / "stacks" / f"{name}.yaml").read_text()
        (folder / "definitions" / f"{name}.yml").write_text(
            yaml.safe_dump(_shuffled(yaml.safe_load(text), chance), sort_keys=False)
        )
    found = files(replace(SUBJECT, project=load_project(folder, {})))
    ours = {path: _without_source(text) for path, text in files().items()}

    assert {path: _without_source(text) for path, text in found.items()} == ours


def _shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: _shuffled(value[key], chance) for key in keys}
    return value


def _without_source(text: str) -> str:
    """Leave out the line that names the definition's file, which is another here."""
    return "\n".join(line for line in text.splitlines() if "agc generate --only compose" not in line)


@pytest.mark.parametrize("stack", STACKS)
def test_every_service_is_fenced_in(stack: str) -> None:
    """No capability, no new privilege, limits, and a health check, proxies too."""
    for name, service in services(stack).items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["mem_limit"], name
        assert service["pids_limit"] > 0, name
        assert service["healthcheck"]["test"], name
        assert "privileged" not in service, name
        assert not service.get("cap_add"), name


@pytest.mark.parametrize("stack", STACKS)
def test_only_proxies_reach_anything_outside(stack: str) -> None:
    """Every other network is internal."""
    found = document(stack)
    open_networks = {name for name, network in found["networks"].items() if not network.get("internal")}

    assert open_networks == {"outside"}
    for name, service in found["services"].items():
        if "outside" in service["networks"]:
            assert name.endswith("-egress") or name == "ingress"


@pytest.mark.parametrize("stack", STACKS)
def test_whoever_waits_waits_for_health(stack: str) -> None:
    """A container that has started need not work yet."""
    for service in services(stack).values():
        for condition in service.get("depends_on", {}).values():
            assert condition == {"condition": "service_healthy"}


@pytest.mark.parametrize("stack", STACKS)
def test_no_secret_is_a_variable(stack: str) -> None:
    """Each is a file, given to whom wants it and to nobody else."""
    found = document(stack)
    names = set(found["secrets"])

    for service in found["services"].values():
        assert not names & set(service.get("environment", {}))
        assert set(service.get("secrets", [])) <= names
    for name, secret in found["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}


@pytest.mark.parametrize("stack", STACKS)
def test_ports_are_the_hosts_own(stack: str) -> None:
    """Nobody else on its network reaches them."""
    ports = [port for service in services(stack).values() for port in service.get("ports", [])]

    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("stack", STACKS)
def test_every_variable_is_documented(stack: str) -> None:
    """With its meaning, and that it is not secret; secrets with theirs."""
    import re

    compose, example = files()[f"{stack}/compose.yaml"], files()[f"{stack}/.env.example"]
    for name in re.findall(r"(?<!\$)\$\{(\w+)", compose):
        assert f"\n#{name}=" in example, name
    for name in document(stack)["secrets"]:
        assert f"secrets/{name}: secret" in example


@pytest.mark.parametrize("stack", STACKS)
def test_every_volume_is_documented(stack: str) -> None:
    """By the name `docker volume ls` shows."""
    readme = files()[f"{stack}/README.md"]
    for name in document(stack)["volumes"]:
        assert f"`{stack}_{name}`" in readme


def test_agents_behind_headroom_have_no_way_of_their_own() -> None:
    """They are on the inner network alone, told where Headroom is, and wait for it."""
    found = services("gateway-headroom")

    for name in ("claude", "openclaw"):
        assert found[name]["networks"] == ["inside"]
        assert found[name]["depends_on"] == {"headroom": {"condition": "service_healthy"}}
        assert "HTTPS_PROXY" not in found[name].get("environment", {})
    assert found["claude"]["environment"]["ANTHROPIC_BASE_URL"] == "http://headroom:8787"
    placed = files()["gateway-headroom/config/openclaw/home/dev/.openclaw/openclaw.json"]
    assert json.loads(placed)["models"]["providers"]["anthropic"]["baseUrl"] == "http://headroom:8787"
    assert "claude-egress" not in found


def test_each_proxy_lists_the_hosts_of_its_service() -> None:
    """And those of no other."""
    claude = files()["dual-agent/config/claude-egress.conf"]
    openclaw = files()["dual-agent/config/openclaw-egress.conf"]

    assert "dstdomain -n platform.claude.com" in claude
    assert "platform.claude.com" not in openclaw
    assert "dstdomain -n api.openai.com" in openclaw
    for text in (claude, openclaw):
        allowed = [line for line in text.splitlines() if line.startswith("http_access")]
        assert allowed[-1] == "http_access deny all"


def test_a_host_with_a_star_means_names_below_it(tmp_path: Path) -> None:
    """Not the name itself, and not one that only ends like it; each port has a list of its own."""
    hosts = (
        "{host: '*.example.com', purpose: a, verified: 2026-11-21}",
        "{host: git.example.org, port: 22, purpose: b, verified: 2026-11-21}",
    )
    subject = with_stack(tmp_path, f"    a:\n      image: node-bun\n      egress: [{', '.join(hosts)}]\n")
    text = files(subject)["one/config/a-egress.conf"]

    assert r"acl hosts_443_below dstdom_regex -n ^.+\.example\.com$" in text
    assert "http_access allow hosts_443_below port_443" in text
    assert "acl hosts_22 dstdomain -n git.example.org" in text
    assert "http_access allow hosts_22 port_22" in text


def test_a_service_with_nothing_to_reach_has_no_proxy(tmp_path: Path) -> None:
    """Nor a network out."""
    found = document("one", with_stack(tmp_path, "    a:\n      image: node-bun\n"))

    assert set(found["services"]) == {"a"}
    assert found["networks"] == {"inside": {"internal": True}}


def test_a_published_image_is_named_by_digest() -> None:
    """With the tag beside it, and it is pulled; the others are those that were built here."""
    record = ImageRecord(
        digest=DIGEST, repositories=("ghcr.example/team/node-bun-claude",), tags=("2.1.329",), platforms={}
    )
    text = files(replace(SUBJECT, catalog=Catalog(images={"node-bun-claude": record})))["solo-claude/compose.yaml"]

    assert f"image: ghcr.example/team/node-bun-claude@{DIGEST}  # ghcr.example/team/node-bun-claude:2.1.329\n" in text
    found = yaml.safe_load(text)["services"]
    assert "pull_policy" not in found["claude"]
    assert found["claude-egress"]["pull_policy"] == "never"


def test_an_embedded_toolpack_is_started_all_the_same(tmp_path: Path) -> None:
    """The start script comes before what the image would start."""
    found = document("one", with_stack(tmp_path, "    a:\n      image: node-py-dotnet-openclaw-headroom\n"))
    entry = found["services"]["a"]["entrypoint"]

    assert entry[:3] == ["/usr/bin/tini", "--", "/run/agc/enter"]
    assert "headroom proxy --host 127.0.0.1 --port 8787" in entry
    assert 'exec "$$@"' in next(word for word in entry if "exec" in word and "shift" in word)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=30))
@settings(deadline=None)
def test_any_text_comes_back_from_yaml(text: str) -> None:
    """Whatever a definition says is what Compose reads."""
    assert yaml.safe_load(block({"key": [text]}, 4)) == {"key": [text]}
    assert literal(text).replace("$$", "$") == text


def test_what_must_be_there_is_made_and_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files for secrets, one of them random, kept from others by their folder; what a person wrote stays."""
    monkeypatch.delenv("WORKSPACE", raising=False)
    (stack,) = PROJECT.stacks("dual-agent")
    folder = tmp_path / "deploy" / "compose" / "dual-agent" / "secrets"
    folder.mkdir(parents=True)
    (folder / "ANTHROPIC_API_KEY").write_text("mine")

    prepare(tmp_path, stack)
    token = (folder / "OPENCLAW_GATEWAY_TOKEN").read_text()
    prepare(tmp_path, stack)

    assert (folder / "ANTHROPIC_API_KEY").read_text() == "mine"
    assert (folder / "OPENAI_API_KEY").read_text() == ""
    assert len(token.strip()) == 64
    assert (folder / "OPENCLAW_GATEWAY_TOKEN").read_text() == token
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (tmp_path / "workspace").is_dir()


def test_a_workspace_of_somebodys_own_is_left_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `.env` names one, none is made."""
    monkeypatch.delenv("WORKSPACE", raising=False)
    (stack,) = PROJECT.stacks("solo-claude")
    folder = tmp_path / "deploy" / "compose" / "solo-claude"
    folder.mkdir(parents=True)
    (folder / ".env").write_text("WORKSPACE=/somewhere\n")

    prepare(tmp_path, stack)

    assert not (tmp_path / "workspace").exists()


def test_stacks_are_definitions_like_others() -> None:
    """Loaded once, in order of name."""
    assert tuple(load_definitions([shipped_folder() / "definitions"], shipped_folder()).stacks) == STACKS
