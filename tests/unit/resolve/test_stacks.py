"""Stacks: what is taken from images, and what a person gets to read who wrote one wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pipeline.errors import ErrorGroup, ExitCode
from pipeline.models.load import load_definitions
from pipeline.resolve.stack_plan import ServicePlan, StackPlan
from pipeline.stages.project import Project, load_project, shipped_folder

HEAD = """\
apiVersion: agentcontainers/v1
kind: Stack
metadata:
  name: one
spec:
  services:
"""
LONE = """\
apiVersion: agentcontainers/v1
kind: Agent
metadata:
  name: lone
spec:
  packages:
    - npm: lone
      binaries:
        lone: bin/lone
  command: [lone]
  volumes:
    - path: /home/dev/.lone
      purpose: state
    - path: /home/dev/.lone/cache
      purpose: cache
  licence:
    publish: baked
    name: MIT
"""


def project(folder: Path, services: str, head: str = HEAD) -> Project:
    """Return a project with one stack, on the definitions that ship."""
    (folder / "definitions").mkdir()
    (folder / "definitions" / "stack.yaml").write_text(head + services)
    (folder / "definitions" / "lone.yaml").write_text(LONE)
    return load_project(folder, {})


def plan(folder: Path, services: str, head: str = HEAD) -> StackPlan:
    """Return the plan of the stack."""
    (found,) = project(folder, services, head).stacks()
    return found


def service(found: StackPlan, name: str) -> ServicePlan:
    """Return a service of a stack."""
    return next(one for one in found.services if one.name == name)


BAD = yaml.safe_load(Path(__file__).with_name("bad_stacks.yaml").read_text(encoding="utf-8"))


def told(group: ErrorGroup) -> list[dict[str, str]]:
    """Return errors with their places in order; that of a shipped agent has its path and line struck out."""
    shipped = re.compile(re.escape(f"{shipped_folder()}/definitions/agents/") + r"([a-z]+\.yaml):\d+:\d+")
    errors = sorted(group.errors, key=lambda one: (one.location.line, one.location.column) if one.location else (0, 0))
    return [
        {
            "at": str(one.location).removeprefix("definitions/stack.yaml:"),
            "says": shipped.sub(r"\1", one.message),
            "try": one.remedy,
        }
        for one in errors
    ]


@pytest.mark.parametrize("name", BAD)
def test_bad_stacks_are_refused_with_place_and_remedy(name: str, tmp_path: Path) -> None:
    """Everything that is wrong, at once, and what to do about it."""
    with pytest.raises(ErrorGroup) as caught:
        plan(tmp_path, BAD[name]["services"])

    assert told(caught.value) == BAD[name]["errors"]
    assert caught.value.exit_code == ExitCode.DEFINITION


FORMS = {
    "a workspace above the project": ("  workspace: ../elsewhere\n", "must be a folder inside the project"),
    "a workspace anywhere on the host": ("  workspace: /etc\n", "must be a folder inside the project"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_workspace_outside_the_project_is_refused(name: str, tmp_path: Path) -> None:
    """What a stack of somebody else mounts is never more than the project it lies in."""
    text, expected = FORMS[name]
    with pytest.raises(ErrorGroup, match=expected) as caught:
        project(tmp_path, "    a:\n      image: node-bun-claude\n", HEAD.replace("  services", f"{text}  services"))

    assert str(caught.value).startswith("definitions/stack.yaml:6:3")


def test_a_workspace_that_leads_outside_the_project_is_refused(tmp_path: Path) -> None:
    """A link in a project somebody cloned is no way to mount the host; one that stays inside is."""
    (tmp_path / "project" / "inner").mkdir(parents=True)
    (tmp_path / "project" / "workspace").symlink_to("/etc")
    (tmp_path / "project" / "near").symlink_to("inner")
    services = "    a:\n      image: node-bun-claude\n"
    with pytest.raises(ErrorGroup) as caught:
        plan(tmp_path / "project", services, HEAD.replace("  services", "  workspace: workspace\n  services"))

    (error,) = caught.value.errors
    assert "is a link to a folder outside the project" in error.message
    assert str(error.location) == "definitions/stack.yaml:6:3"
    assert "WORKSPACE" in error.remedy
    (tmp_path / "project" / "definitions" / "stack.yaml").write_text(
        HEAD.replace("  services", "  workspace: near\n  services") + services
    )
    assert load_project(tmp_path / "project", {}).stacks()


def test_what_looks_like_a_credential_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """Whatever it is called, and the message does not have it."""
    with pytest.raises(ErrorGroup) as caught:
        project(tmp_path, "    a:\n      image: node-bun-claude\n      env: {NOTE: sk-ant-0123456789abcdef0123}\n")

    assert "looks like a credential" in str(caught.value)
    assert "0123456789abcdef" not in str(caught.value)


def test_image_or_program_and_base(tmp_path: Path) -> None:
    """One of the two ways, and the second whole."""
    with pytest.raises(ErrorGroup, match="either its `image`, or its `program` and the `base`"):
        project(tmp_path, "    a:\n      image: node-bun-claude\n      base: node-bun\n")


def test_program_and_base_are_the_image_of_that_name(tmp_path: Path) -> None:
    """Two spellings of one thing."""
    found = plan(tmp_path, "    a:\n      program: claude\n      base: python\n    b:\n      image: python-claude\n")

    assert service(found, "a").image == service(found, "b").image == "python-claude"


def test_an_image_says_what_its_service_has(tmp_path: Path) -> None:
    """Volumes, ports, secrets, hosts, health and user come from the agent and its base."""
    found = service(plan(tmp_path, "    claw:\n      image: node-bun-openclaw\n"), "claw")

    assert [(one.name, one.volume.path) for one in found.volumes] == [
        ("claw-state", "/home/dev/.openclaw"),
        ("claw-config", "/home/dev/.config/openclaw"),
    ]
    assert [port.port for port in found.ports] == [18789]
    assert [secret.name for secret in found.secrets] == [
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "OPENCLAW_GATEWAY_TOKEN",
    ]
    assert [host.host for host in found.egress] == ["api.anthropic.com", "api.openai.com"]
    assert found.health
    assert (found.health.interval, found.user.uid, found.workspace) == (15, 1000, "/workspace")
    assert found.command[:2] == ("openclaw", "gateway")


def test_models_only_through_a_sidecar(tmp_path: Path) -> None:
    """The agent is led there, waits for it, and may reach none of the hosts it would need otherwise."""
    host = "{host: pypi.org, purpose: packages, verified: 2026-11-21}"
    found = plan(
        tmp_path,
        f"    a:\n      image: node-bun-claude\n      via: h\n      egress: [{host}]\n    h:\n      image: headroom\n",
    )
    agent = service(found, "a")

    assert dict(agent.env) == {"ANTHROPIC_BASE_URL": "http://h:8787"}
    assert agent.waits_for == ("h",)
    assert [one.host for one in agent.egress] == ["pypi.org"]
    assert "api.anthropic.com" in [one.host for one in service(found, "h").egress]


def test_every_shipped_agent_can_be_led_to_a_sidecar(tmp_path: Path) -> None:
    """By variables or by files, and nothing of the template is left."""
    agents = sorted(load_definitions([shipped_folder() / "definitions"], tmp_path).agents)
    text = "".join(f"    {name}:\n      image: node-bun-{name}\n      via: h\n" for name in agents)
    found = plan(tmp_path, f"{text}    h:\n      image: headroom\n")

    for name in agents:
        words = [*service(found, name).env.values(), *service(found, name).files.values()]
        assert any("http://h:8787" in text for text in words), name
        assert not any("{url}" in text for text in words), name


def test_a_stack_has_each_secret_once_and_required_if_one_requires_it(tmp_path: Path) -> None:
    """Two services that want the same one share its file."""
    found = plan(tmp_path, "    a:\n      image: node-bun-claude\n    b:\n      image: node-bun-openclaw\n")

    assert [(secret.name, secret.required) for secret in found.secrets] == [
        ("ANTHROPIC_API_KEY", False),
        ("ANTHROPIC_AUTH_TOKEN", False),
        ("CLAUDE_CODE_OAUTH_TOKEN", False),
        ("OPENAI_API_KEY", False),
        ("OPENCLAW_GATEWAY_TOKEN", True),
    ]


def test_shipped_stacks_are_for_what_ships(tmp_path: Path) -> None:
    """A project has its own stacks and no others: shipped ones may not fit what it put in another's place."""
    (tmp_path / "definitions").mkdir()

    assert load_project(tmp_path, {}).stacks() == ()
    assert {stack.name for stack in load_project(shipped_folder(), {}).stacks()} >= {
        "solo-claude",
        "dual-agent",
        "gateway-headroom",
    }
