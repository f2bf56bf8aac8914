"""devcontainer.json: an image by digest that an editor opens as it is, with nothing of a secret but its name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.outputs.subject import Subject
from tests.unit.outputs.subjects import DIGEST, PROJECT, PUBLISHED, SUBJECT, files

AGENTS = [item.name for item in PROJECT.combinations if item.parts.agent and not item.reason]
# What the format knows of a container made from an image, each with the kind of its value.
KNOWN = {
    **dict.fromkeys(("name", "image", "remoteUser", "workspaceFolder", "workspaceMount", "postStartCommand"), str),
    **dict.fromkeys(("updateRemoteUserUID", "overrideCommand", "init"), bool),
    **dict.fromkeys(("runArgs", "securityOpt", "mounts", "forwardPorts"), list),
    **dict.fromkeys(("containerEnv", "secrets", "portsAttributes"), dict),
}
# And of one made from a Compose file.
KNOWN_OF_STACKS = {
    **dict.fromkeys(("name", "dockerComposeFile", "service", "remoteUser", "workspaceFolder"), str),
    **dict.fromkeys(("overrideCommand", "updateRemoteUserUID"), bool),
    **dict.fromkeys(("initializeCommand", "runServices"), list),
    "shutdownAction": str,
    "secrets": dict,
}


def read(image: str, subject: Subject = SUBJECT) -> dict[str, Any]:
    """Return the document for an image, without its comments."""
    text = files("devcontainers", subject)[f"deploy/devcontainers/{image}/devcontainer.json"].text
    found: dict[str, Any] = json.loads(re.sub("(?m)^//.*$", "", text))
    return found


def test_every_image_with_an_agent_has_one() -> None:
    """Bases and sidecars have none: nobody works in them."""
    paths = [path for path in files("devcontainers") if path.endswith("devcontainer.json")]

    assert {f"deploy/devcontainers/{name}/devcontainer.json" for name in AGENTS} <= set(paths)
    assert "deploy/devcontainers/node-bun/devcontainer.json" not in paths
    assert "deploy/devcontainers/headroom/devcontainer.json" not in paths


@pytest.mark.parametrize("image", AGENTS)
def test_it_says_what_the_format_knows_and_nothing_else(image: str) -> None:
    """An unknown key is passed over by some editors, and refused by others."""
    document = read(image)

    assert [key for key, value in document.items() if type(value) is not KNOWN.get(key)] == []


@pytest.mark.parametrize("image", ["node-bun-claude", "node-py-dotnet-openclaw-headroom"])
def test_the_text_is_as_it_was(image: str, golden: Callable[[str, str], None]) -> None:
    """An agent alone, and one with ports and a program beside it."""
    text = files("devcontainers", PUBLISHED)[f"deploy/devcontainers/{image}/devcontainer.json"].text

    golden(f"outputs/devcontainer-{image}.json", text)


def test_a_published_image_is_named_by_digest() -> None:
    """One that was not is what a build loads into Docker."""
    assert read("node-bun-claude", PUBLISHED)["image"] == f"mirror.example/node-bun-claude@{DIGEST}"
    assert read("node-bun-claude")["image"] == "node-bun-claude:latest"


@pytest.mark.parametrize("image", AGENTS)
def test_every_volume_is_mounted_and_is_of_this_container_alone(image: str) -> None:
    """What an agent remembers of one project is not for another."""
    (parts,) = [item.parts for item in PROJECT.combinations if item.name == image]
    declared = {volume.path for program in parts.programs for volume in program.model.spec.volumes}
    mounts = read(image).get("mounts", [])

    assert {mount["target"] for mount in mounts} == declared
    assert all(mount["source"].endswith("-${devcontainerId}") for mount in mounts)
    assert len({mount["source"] for mount in mounts}) == len(mounts)


@pytest.mark.parametrize("image", AGENTS)
def test_secrets_have_a_description_and_no_value(image: str) -> None:
    """Each that a program of the image wants."""
    (parts,) = [item.parts for item in PROJECT.combinations if item.name == image]
    wanted = {secret.name for program in parts.programs for secret in program.model.spec.secrets}
    secrets = read(image)["secrets"]

    assert secrets.keys() == wanted
    assert {key for secret in secrets.values() for key in secret} == {"description", "documentationUrl"}


def test_the_container_has_no_right_it_does_not_need() -> None:
    """No capability, no new privileges, a limit of processes."""
    document = read("node-bun-codex")

    assert document["runArgs"] == ["--cap-drop=ALL", "--pids-limit=4096"]
    assert document["securityOpt"] == ["no-new-privileges"]
    assert "privileged" not in document


def test_what_is_embedded_is_started() -> None:
    """Its entry point is not run there, and the agent looks for it."""
    command = read("node-py-dotnet-openclaw-headroom")["postStartCommand"]

    assert "headroom proxy --host 127.0.0.1 --port 8787" in command
    assert command.endswith("&")
    assert "postStartCommand" not in read("node-bun-openclaw")


@pytest.mark.parametrize(
    ("stack", "service", "others"),
    [
        ("solo-claude", "claude", ["claude"]),
        ("dual-agent", "claude", ["claude", "openclaw"]),
        ("gateway-headroom", "openclaw", ["headroom", "openclaw"]),
    ],
)
def test_a_stack_is_opened_in_the_service_people_work_in(stack: str, service: str, others: list[str]) -> None:
    """As the stack starts it: its command, its user, its workspace; a profile's service is not started."""
    document = read(f"stacks/{stack}")

    assert (document["service"], document["runServices"]) == (service, others)
    assert document["dockerComposeFile"] == f"../../../compose/{stack}/compose.yaml"
    assert (document["overrideCommand"], document["updateRemoteUserUID"]) == (False, False)
    assert (document["remoteUser"], document["workspaceFolder"]) == ("dev", "/workspace")
    assert document["initializeCommand"] == ["sh", f"${{localWorkspaceFolder}}/deploy/compose/{stack}/prepare"]
    assert [key for key, value in document.items() if type(value) is not KNOWN_OF_STACKS.get(key)] == []


@pytest.mark.parametrize("stack", ["solo-claude", "dual-agent", "gateway-headroom"])
def test_a_stack_asks_for_the_secrets_it_gives_to_a_service(stack: str) -> None:
    """And for none that it leaves out."""
    (plan,) = PROJECT.stacks(stack)

    assert read(f"stacks/{stack}")["secrets"].keys() == {secret.name for secret in plan.secrets}
