"""devcontainer.json for each image with an agent and for each stack: an editor, or the devcontainers CLI, opens it.

The format is that of https://containers.dev/implementors/json_reference/. Nothing is built or installed when such a
container starts: everything is in the image, which is named by digest. Secrets are declared, never given a value.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable
from typing import Any

from pipeline.models.defined import Program
from pipeline.models.parts import Volume
from pipeline.outputs.documents import json_text
from pipeline.outputs.generated import Generated, header
from pipeline.outputs.late import fetched
from pipeline.outputs.references import reference
from pipeline.outputs.stacks.files import PREPARE
from pipeline.outputs.subject import Subject
from pipeline.resolve.matrix import Parts
from pipeline.resolve.stack_plan import ServicePlan, StackPlan
from pipeline.stages.stack_running import FOLDER as STACKS

FOLDER = "deploy/devcontainers"
"""Where the files are; each folder in it is what goes into a project as `.devcontainer`."""
_SORT = "devcontainers"
_PIDS = 4096


def devcontainer_files(subject: Subject) -> tuple[Generated, ...]:
    """Return the devcontainer.json of every image of the project with an agent, and of every stack that has one."""
    found = (item for item in subject.project.combinations if not item.reason and item.parts.agent)
    images = tuple(_file(subject, item.parts) for item in found)
    return images + tuple(_stack_file(stack) for stack in subject.stacks() if opened(stack))


def devcontainer(image: str, parts: Parts, late: Volume | None = None) -> dict[str, Any]:
    """Return the document for an image of these parts; `late` keeps what it fetches at first run.

    The command of the image is not run: a terminal is where people start the agent, and a program that ends must not
    take the editor's container along. What is embedded is started all the same, because the agent looks for it.
    """
    base = parts.base.model.spec
    ports = [port for program in parts.programs for port in program.model.spec.ports]
    volumes = [volume for program in parts.programs for volume in program.model.spec.volumes]
    volumes += [late] if late else []
    document: dict[str, Any] = {
        "name": parts.programs[-1].model.metadata.title or parts.name,
        "image": image,
        "remoteUser": base.user.name,
        "updateRemoteUserUID": True,
        "workspaceFolder": base.workspace,
        "workspaceMount": f"source=${{localWorkspaceFolder}},target={base.workspace},type=bind",
        "overrideCommand": True,
        "init": True,
        "runArgs": ["--cap-drop=ALL", f"--pids-limit={_PIDS}"],
        "securityOpt": ["no-new-privileges"],
        "mounts": [_mount(parts.name, volume) for volume in volumes],
        "containerEnv": {"DEVCONTAINER": "true"},
        "secrets": _secrets(reversed(parts.programs)),
        "forwardPorts": [port.port for port in ports],
        "portsAttributes": {str(port.port): {"label": port.name, "onAutoForward": "notify"} for port in ports},
    }
    if command := _beside(parts):
        document["postStartCommand"] = command
    return {key: value for key, value in document.items() if value not in ({}, [])}


def stack_devcontainer(stack: StackPlan, service: ServicePlan) -> dict[str, Any]:
    """Return the document for a stack, opened in one of its services, as the stack starts it.

    The user keeps the id it has: the services share a folder. What Compose wants to find on the host is made first.
    """
    programs = tuple(program for one in stack.services for program in reversed(one.parts.programs))
    wanted = {secret.name for secret in stack.secrets}
    return {
        "name": stack.defined.model.metadata.title or stack.name,
        "dockerComposeFile": f"{posixpath.relpath(STACKS, f'{FOLDER}/stacks/{stack.name}')}/{stack.name}/compose.yaml",
        "initializeCommand": ["sh", f"${{localWorkspaceFolder}}/{STACKS}/{stack.name}/{PREPARE}"],
        "service": service.name,
        "runServices": [one.name for one in stack.services if not one.service.profile],
        "shutdownAction": "stopCompose",
        "overrideCommand": False,
        "remoteUser": service.user.name,
        "updateRemoteUserUID": False,
        "workspaceFolder": service.workspace,
        "secrets": {name: about for name, about in _secrets(programs).items() if name in wanted},
    }


def _file(subject: Subject, parts: Parts) -> Generated:
    image = reference(subject.catalog, parts.name)
    sources = [f"definitions/agents/{parts.programs[-1].name}.yaml"]
    comments = (
        header(_SORT, " and ".join(sources), "//"),
        f"// {image.comment}",
    )
    late = fetched(subject.catalog, parts.name, parts.base.model.spec.user)
    text = json_text(comments, devcontainer(image.text, parts, late))
    return Generated(f"{FOLDER}/{parts.name}/devcontainer.json", text)


def _stack_file(stack: StackPlan) -> Generated:
    comments = (
        header(_SORT, f"definitions/stacks/{stack.name}.yaml", "//"),
        f"// Opened where it lies: devcontainer up --config {FOLDER}/stacks/{stack.name}/devcontainer.json",
    )
    text = json_text(comments, stack_devcontainer(stack, opened(stack)[0]))
    return Generated(f"{FOLDER}/stacks/{stack.name}/devcontainer.json", text)


def opened(stack: StackPlan) -> tuple[ServicePlan, ...]:
    """Return the services that work in the workspace, the one a person is most likely to want first."""
    agents = (one for one in stack.services if one.service.workspace and one.parts.agent)
    return tuple(sorted(agents, key=lambda one: (bool(one.service.profile), bool(one.ports), one.name)))


def _mount(image: str, volume: Volume) -> dict[str, str]:
    """Return a named volume of this container alone: what an agent remembers of one project is not for another."""
    where = volume.path.strip("/").replace("/", "-").replace(".", "")
    return {"type": "volume", "source": f"{image}-{where}-${{devcontainerId}}", "target": volume.path}


def _secrets(programs: Iterable[Program]) -> dict[str, dict[str, str]]:
    """Return each secret once, as the first of the programs describes it."""
    found: dict[str, dict[str, str]] = {}
    for program in programs:
        for secret in program.model.spec.secrets:
            about = {"description": secret.description}
            if program.model.metadata.homepage:
                about["documentationUrl"] = program.model.metadata.homepage
            found.setdefault(secret.name, about)
    return found


def _beside(parts: Parts) -> str:
    embedded = parts.toolpack.model.spec.embedded if parts.agent and parts.toolpack else None
    if embedded is None or parts.toolpack is None:
        return ""
    log = f"/tmp/{parts.toolpack.name}.log"  # noqa: S108 (in the container)
    return f"nohup setsid {shlex.join(embedded.command)} >{log} 2>&1 </dev/null &"
