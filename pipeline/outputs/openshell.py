"""A policy of NVIDIA OpenShell for each agent, and what it cannot enforce.

The format is that of OpenShell's `docs/reference/policy-schema.mdx`, version 1. Only the agent's own programs reach
the declared hosts, and only by inspected HTTP; what else runs in the sandbox reaches nothing. Programs are named by the
file that the kernel runs, so an agent that Node.js runs shares its right with whatever else that Node.js runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.compose.component import program_commands, toolchain_commands
from pipeline.compose.late import SHELF
from pipeline.compose.openshell import WORKSPACE, openshell_ready
from pipeline.models.parts import Egress
from pipeline.outputs.agents import Chosen, chosen, hosts
from pipeline.outputs.documents import yaml_text
from pipeline.outputs.generated import Generated, header
from pipeline.outputs.late import LATE_HOST, fetched
from pipeline.outputs.references import Reference, reference
from pipeline.outputs.shortfalls import Shortfall, shortfall_page
from pipeline.outputs.subject import Subject

FOLDER = "deploy/openshell"
"""Where the files are, a folder for each agent."""
_SORT = "openshell"
_READ_ONLY = ("/dev/urandom", "/etc", "/lib", "/opt", "/proc", "/usr", "/var/log")
_CURL = "/usr/bin/curl"
_READ_WRITE = ("/dev/null", "/tmp")  # noqa: S108 (in the container)


def openshell_files(subject: Subject) -> tuple[Generated, ...]:
    """Return policy and report of each agent."""
    definitions = subject.project.definitions
    suited = [base.name for base in definitions.bases.values() if openshell_ready(base, definitions.common_tools)]
    return tuple(file for one in chosen(subject, suited=suited) for file in _files(subject, one, set(suited)))


def policy(subject: Subject, one: Chosen) -> dict[str, Any]:
    """Return the policy for an agent in the image chosen for it."""
    name, late = one.agent.name, fetched(subject.catalog, one.parts.name, one.user) is not None
    reached = hosts((one.agent,))
    network = {}
    if reached:
        network[name.replace("-", "_")] = _allowed(name, reached, _binaries(subject, one, late=late))
    if late:
        network[f"{name.replace('-', '_')}_first_run"] = _allowed(f"{name}, first run", (LATE_HOST,), [_CURL])
    return {
        "version": 1,
        "filesystem_policy": {
            "include_workdir": True,
            "read_only": [*_READ_ONLY],
            "read_write": [*_READ_WRITE, one.user.home],
        },
        "landlock": {"compatibility": "best_effort"},
        "process": {"run_as_user": str(one.user.uid), "run_as_group": str(one.user.gid)},
        **({"network_policies": network} if network else {}),
    }


def shortfalls(one: Chosen, image: Reference, *, ready: bool, late: bool = False) -> Iterator[Shortfall]:
    """Yield what is declared and the policy cannot enforce."""
    spec = one.agent.model.spec
    if not ready:
        yield Shortfall(
            f"image `{image.name}`",
            f"Does not keep OpenShell's contract for images: iproute2, and `{WORKSPACE}` as workspace.",
            "Put the agent on a base that does, such as node-bun-openshell, in definitions/matrix.yaml.",
        )
    if not image.digest:
        yield Shortfall(
            f"image `{image.name}`",
            "Not published, so there is no digest to start a sandbox from.",
            f"Publish it, `agc build {image.name} --output push:REGISTRY/NAMESPACE`.",
        )
    if late:
        yield Shortfall(
            f"programs of `{one.agent.name}`",
            "Fetched at first run into a folder that anything in the sandbox may write to, and known by that folder.",
            "Where that is too little, start the sandbox from an image of your own registry, marked private.",
        )
    for secret in spec.secrets:
        yield Shortfall(
            f"secret `{secret.name}`",
            "A policy holds no credentials.",
            f"Create a provider that holds `{secret.name}`, and start the sandbox with it.",
        )
    yield Shortfall(
        f"command `{' '.join(spec.command)}`",
        "The supervisor takes the place of the image's command and of its init.",
        f"openshell sandbox create --from {image.text} --policy policy.yaml -- {' '.join(spec.command)}",
    )
    for volume in spec.volumes:
        yield Shortfall(
            f"volume `{volume.path}`",
            "Writable, and gone with the sandbox: a policy says nothing of volumes.",
            "Mount one by the driver's own configuration, where the gateway allows mounts.",
        )
    for port in spec.ports:
        yield Shortfall(
            f"port {port.port} ({port.name})",
            "Nothing comes in by policy.",
            f"openshell sandbox create --forward {port.port} …",
        )
    if spec.health:
        yield Shortfall("health check", "Not run by OpenShell.", "Run it in the sandbox where you want to know.")
    yield Shortfall(
        f"home folder `{one.user.home}`",
        "OpenShell gives what it starts the workspace as HOME.",
        "Agents whose folders are set by variables of the image, as most of ours are, keep to these.",
    )
    yield Shortfall("memory, processes, CPU", "Not part of a policy.", "Set them in the gateway's configuration.")


def _files(subject: Subject, one: Chosen, suited: set[str]) -> Iterator[Generated]:
    name = one.agent.name
    image = reference(subject.catalog, one.parts.name)
    source = f"definitions/agents/{name}.yaml"
    comments = (header(_SORT, source, "#"), f"# For the image {image.text}", f"# {image.comment}")
    yield Generated(f"{FOLDER}/{name}/policy.yaml", yaml_text(comments, policy(subject, one)))
    about = "What `policy.yaml`, a policy of OpenShell, cannot enforce."
    title = f"{one.agent.model.metadata.title or name} in OpenShell"
    late = fetched(subject.catalog, one.parts.name, one.user) is not None
    found = shortfalls(one, image, ready=one.parts.base.name in suited, late=late)
    yield Generated(f"{FOLDER}/{name}/REPORT.md", shortfall_page(_SORT, source, title, about, found))


def _allowed(name: str, reached: Iterable[Egress], binaries: Iterable[str]) -> dict[str, Any]:
    """Return what lets these programs reach these hosts."""
    endpoints = [
        {"host": item.host, "port": item.port, "protocol": "rest", "enforcement": "enforce", "access": "full"}
        for item in reached
    ]
    return {"name": name, "endpoints": endpoints, "binaries": [{"path": path} for path in binaries]}


def _binaries(subject: Subject, one: Chosen, *, late: bool) -> list[str]:
    """Return the files the kernel runs when the agent runs, and the folder of what it brings along.

    A script is run by a toolchain: the one whose capability the agent requires. What is fetched at first run lies
    below what OpenShell gives it as HOME.
    """
    commands = program_commands(f"agents/{one.agent.name}", one.agent)
    required = {requirement.partition(" ")[0] for requirement in one.agent.model.spec.requires}
    found = {f"{one.workspace}/{SHELF}/**" if late else f"/opt/agents/{one.agent.name}/**"}
    if any(file.endswith((".js", ".mjs", ".cjs")) for file in commands.values()):
        for toolchain in subject.project.definitions.toolchains.values():
            files = {path.rpartition("/")[2]: file for path, file in toolchain_commands(toolchain).items()}
            found |= {files[name] for name in required & toolchain.model.spec.provides.keys() if name in files}
    return sorted(found)
