"""The files of every stack, below `deploy/compose/STACK/`."""

from __future__ import annotations

import posixpath
import shlex
from functools import partial
from types import MappingProxyType
from typing import Any

from pipeline.catalog.record import Catalog
from pipeline.outputs.generated import Generated, header
from pipeline.outputs.stacks.documents import block, image_of
from pipeline.outputs.stacks.proxies import fenced, gates, ingress_config, proxy_name, squid_config
from pipeline.outputs.stacks.services import agent_service, config_name, ingress_service, proxy_service, variable
from pipeline.outputs.subject import Subject
from pipeline.outputs.templates import render
from pipeline.resolve.stack_plan import ServicePlan, StackPlan
from pipeline.stages.stack_running import FOLDER

PROXY_IMAGE = "egress-proxy"
"""The image of the proxies beside services."""

PREPARE = "prepare"
"""The script that makes what must be there before a stack starts, for whoever has Docker Compose and no `agc`."""

_TEXTS = MappingProxyType(
    {
        "compose.yaml": "compose.yaml",
        ".env.example": "env.example",
        ".gitignore": "gitignore",
        "README.md": "README.md",
        "config/enter": "enter",
        PREPARE: "prepare",
        "secrets/README.md": "secrets.md",
        "secrets/.gitignore": "secrets.gitignore",
    }
)
"""Files of every stack, each with its template."""
_EXECUTABLE = frozenset({"config/enter", PREPARE})


def compose_files(subject: Subject) -> tuple[Generated, ...]:
    """Return the files of every stack of a project."""
    return tuple(file for stack in subject.stacks() for file in stack_files(subject, stack))


def stack_files(subject: Subject, stack: StackPlan) -> tuple[Generated, ...]:
    """Return the files of one stack."""
    folder = f"{FOLDER}/{stack.name}"
    source = stack.defined.at().file
    known = _values(subject.catalog, stack, folder) | {"header": partial(header, "compose", source)}
    files = [
        Generated(f"{folder}/{path}", render(subject.templates, f"compose/{template}.j2", **known), path in _EXECUTABLE)
        for path, template in _TEXTS.items()
    ]
    top = header("compose", source, "#")
    files += [
        Generated(f"{folder}/config/{proxy_name(service)}.conf", squid_config(service, top))
        for service in fenced(stack)
    ]
    if gates(stack):
        files.append(Generated(f"{folder}/config/ingress.cfg", ingress_config(stack, top)))
    for service in stack.services:
        for path, content in service.files.items():
            files.append(Generated(f"{folder}/{_placed(service, path)}", content))
    return tuple(files)


def _values(catalog: Catalog, stack: StackPlan, folder: str) -> dict[str, Any]:
    """Return what templates are given."""
    workspace = posixpath.relpath(stack.workspace, folder)
    proxies = [(one, proxy_name(one), block(proxy_service(one), 4)) for one in fenced(stack)]
    found = gates(stack)
    names = {one.image for one in stack.services} | ({PROXY_IMAGE} if proxies or found else set())
    return {
        "stack": stack,
        "about": stack.defined.model.metadata,
        "workspace": workspace,
        "quoted": shlex.quote(workspace),
        "shares": any(one.service.workspace for one in stack.services),
        "services": [
            (one, image_of(catalog, one.image), block(agent_service(stack, one, workspace), 4))
            for one in stack.services
        ],
        "proxy_image": image_of(catalog, PROXY_IMAGE),
        "proxies": proxies,
        "gates": [(gate, variable(gate.service.name, gate.item.published.name, "port")) for gate in found],
        "ingress": block(ingress_service(stack), 4) if found else "",
        "volumes": [(service, one) for service in stack.services for one in service.volumes],
        "files": [
            (one, path, _placed(one, path), config_name(one, path)) for one in stack.services for path in one.files
        ],
        "local": sorted(name for name in names if not image_of(catalog, name).published),
    }


def _placed(service: ServicePlan, path: str) -> str:
    """Return where a file that an agent is given lies, below the stack's folder."""
    return f"config/{service.name}{path}"
