"""A descriptor of Docker's sandbox kit specification, version 3, for each agent, and what it cannot say.

The format is that of https://github.com/docker/sandbox-kit-spec, `docs/spec/SPEC-v3.md`. The kit is a workload: its
content is our image as it is, by digest; its frontend puts the descriptor beside it and changes nothing in it. Where a
secret belongs to a service the specification's proxy can speak for, it stays outside the sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.models.parts import Secret, Volume
from pipeline.outputs.agents import Chosen, chosen, hosts, ports, secrets, volumes
from pipeline.outputs.documents import yaml_text
from pipeline.outputs.generated import Generated, header
from pipeline.outputs.late import LATE_HOST, fetched
from pipeline.outputs.references import Reference, reference
from pipeline.outputs.services import SERVICES
from pipeline.outputs.shortfalls import Shortfall, shortfall_page
from pipeline.outputs.subject import Subject

FOLDER = "deploy/sandbox"
"""Where the files are, a folder for each agent."""
_SORT = "sandbox"
_TYPE = "com.docker.sandbox"
# A volume without a size has 512 MiB there, and a full one fails in the middle of a session.
_SIZES = {"config": "2g", "state": "4g", "cache": "1g", "workspace": "8g"}
_VERSION = re.compile(r"[0-9]+(\.[0-9A-Za-z-]+)*")


def sandbox_files(subject: Subject) -> tuple[Generated, ...]:
    """Return descriptor and report of each agent."""
    return tuple(file for one in chosen(subject) for file in _files(subject, one))


def descriptor(one: Chosen, image: Reference, version: str, late: Volume | None = None) -> dict[str, Any]:
    """Return the descriptor of the kit for an agent, whose locked version is `version`.

    `late` keeps what its image fetches at first run.
    """
    about = one.agent.model.metadata
    document: dict[str, Any] = {
        "schemaVersion": "3",
        "displayName": about.title or one.agent.name,
        "description": about.description,
        "sourceUrl": about.homepage,
        "version": version if _VERSION.fullmatch(version) else "",
        "licenses": [one.agent.model.spec.licence.name],
        "kind": "workload",
        "provides": [f"{one.agent.name}@{version}" if _VERSION.fullmatch(version) else ""],
        "capabilities": [*_capabilities(one, late)],
        "build": f"FROM {image.text}\n",
    }
    return {key: value for key, value in document.items() if value not in ("", [""], [])}


def shortfalls(one: Chosen, image: Reference) -> Iterator[Shortfall]:
    """Yield what is declared and the kit cannot say."""
    agent = one.agent.model.spec
    for secret in one.agent.model.spec.secrets:
        if not _injected(one, secret):
            yield Shortfall(
                f"secret `{secret.name}`",
                "Not in the kit: the proxy at the border does not know which requests carry it.",
                f"Give it to the sandbox as the variable `{secret.name}`; the agent then holds it itself.",
            )
    if agent.health:
        yield Shortfall(
            f"health check `{' '.join(agent.health.command)}`",
            "The descriptor has no place for one; it stays in the image's config.",
            "Run it in the sandbox where you want to know.",
        )
    for port in one.agent.model.spec.ports:
        yield Shortfall(
            f"port {port.port} ({port.name})",
            "Asked for; on which address of the host it is published is the runtime's choice.",
            "See what it published before you hand it to others.",
        )
    if not image.digest:
        yield Shortfall(
            f"image `{image.name}`",
            "Named by tag: it was not published, so there is no digest to name it by.",
            f"Publish it, `agc build {image.name} --output push:REGISTRY/NAMESPACE`, and generate anew.",
        )
    if one.user.name != "agent":
        yield Shortfall(
            f"user `{one.user.name}` ({one.user.uid})",
            f"`{_TYPE}/sbx@1` has the host honour the identity of the image; kits laid over it may assume `agent`.",
            "Take mixins that do not name the user's home folder.",
        )
    yield Shortfall(
        "headless runs",
        "No verbs (`agent-sessions@1`): definitions do not say how an agent is given a prompt.",
        "Give the arguments yourself; they follow the image's command.",
    )


def _files(subject: Subject, one: Chosen) -> Iterator[Generated]:
    name = one.agent.name
    image = reference(subject.catalog, one.parts.name)
    source = f"definitions/agents/{name}.yaml"
    comments = ("# syntax=docker/sandbox-kit:3", header(_SORT, source, "#"), f"# {image.comment}")
    lock = subject.project.locks.agents.get(name)
    late = fetched(subject.catalog, one.parts.name, one.user)
    document = descriptor(one, image, lock.version if lock else "", late)
    yield Generated(f"{FOLDER}/{name}/{name}.yaml", yaml_text(comments, document))
    about = f"What `{name}.yaml`, a descriptor of the sandbox kit specification v3, cannot hold to."
    title = f"{one.agent.model.metadata.title or name} as a sandbox kit"
    yield Generated(f"{FOLDER}/{name}/REPORT.md", shortfall_page(_SORT, source, title, about, shortfalls(one, image)))


def _capabilities(one: Chosen, late: Volume | None) -> Iterator[dict[str, Any]]:
    program = (one.agent,)
    # The host starts the agent and honours the identity that the image states: our user is not called `agent`.
    yield {"type": f"{_TYPE}/sbx@1"}
    kept = [*volumes(program), *([late] if late else [])]
    if allowed := [*hosts(program), *([LATE_HOST] if late else [])]:
        allow = [f"{item.host}:{item.port}" for item in allowed]
        yield {"type": f"{_TYPE}/network-policy@1", "config": {"runtime": {"allow": allow}}}
    for secret in secrets(program):
        if config := _injected(one, secret):
            optional = {} if secret.required else {"optional": True}
            text = secret.description
            yield {"type": f"{_TYPE}/credential@1", **optional, "description": text, "config": config}
    for volume in kept:
        described = {"description": volume.description} if volume.description else {}
        config = {"path": volume.path, "size": _SIZES[volume.purpose]}
        yield {"type": f"{_TYPE}/volume@1", **described, "config": config}
    for port in ports(program):
        yield {"type": f"{_TYPE}/port@1", "config": {"name": port.name, "container": port.port}}
    if paths := [volume.path for volume in kept]:
        yield {"type": f"{_TYPE}/lifecycle@1", "config": {"startup": [_owned(one, paths)]}}


def _owned(one: Chosen, paths: list[str]) -> dict[str, Any]:
    """Return the hook that gives fresh volumes, which may come up as root's, to the image's user."""
    owner = f"{one.user.uid}:{one.user.gid}"
    return {
        "command": ["chown", owner, *paths],
        "user": "0",
        "description": "Give the volumes to the user of the image",
    }


def _injected(one: Chosen, secret: Secret) -> dict[str, Any] | None:
    """Return how the proxy presents a secret, None where it cannot: no such service, or no host of it is reached."""
    service = SERVICES.get(secret.name)
    if service is None:
        return None
    reached = {item.host for item in one.agent.model.spec.egress}
    inject = [
        {"domain": host, "header": service.header, "format": service.form} for host in service.hosts if host in reached
    ]
    if not inject:
        return None
    return {
        "service": service.name,
        "phase": "runtime",
        "apiKey": {"name": secret.name, "proxyManaged": True, "inject": inject},
    }
