"""Pages of stacks: the services of each, how they meet, and the files by which it is started.

Where definitions know no stacks, there are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.outputs.docs.markdown import code, codes, fenced, prose, section, table, text
from pipeline.outputs.docs.ready import ready_made
from pipeline.outputs.subject import Subject


def stacks_of(subject: Subject) -> Mapping[str, Any]:
    """Return the stacks of a project by name."""
    found: Mapping[str, Any] = getattr(subject.project.definitions, "stacks", {})
    return found


def stack_page(name: str, stack: Any, subject: Subject) -> Iterator[str]:
    """Yield the lines of the page of a stack."""
    about, services = stack.model.metadata, dict(sorted(stack.model.spec.services.items()))
    yield f"# {text(about.title or name)}"
    yield ""
    yield prose(about.description)
    yield ""
    rows = ((code(key), code(image_of(one)), _notes(one)) for key, one in services.items())
    yield from section("Services", table(("Service", "Image", "What to know"), rows))
    ports = (
        (code(f"{port.address}:{port.host}"), code(key), port.name)
        for key, one in services.items()
        for port in one.ports
    )
    yield from section("Ports on the host", table(("Address", "Service", "For"), ports))
    limits = (
        (code(key), one.memory, str(one.pids), f"{one.cpus:g}" if one.cpus else "") for key, one in services.items()
    )
    yield from section("Limits", table(("Service", "Memory", "Processes", "Processors"), limits))
    hosts = (
        (code(f"{host.host}:{host.port}"), code(key), prose(host.purpose), host.verified.isoformat())
        for key, one in services.items()
        for host in one.egress
    )
    yield from section("Hosts beside those of its images", table(("Host", "Service", "For", "Last verified"), hosts))
    compose = f"deploy/compose/{name}/compose.yaml"
    if compose in subject.files:
        yield from section("Run it", fenced("sh", [f"docker compose -f {compose} up --detach --wait"]))
    yield from section("Ready-made", ready_made((name,), subject))


def image_of(service: Any) -> str:
    """Return the name of the image of a service."""
    return str(service.image or f"{service.base}-{service.program}")


def _notes(service: Any) -> str:
    notes = []
    if service.via:
        notes.append(f"reaches models only through {code(service.via)}")
    if service.depends_on:
        notes.append(f"waits for {codes(service.depends_on)}")
    if service.profile:
        notes.append(f"only with the profile {code(service.profile)}")
    if service.workspace:
        notes.append("has the workspace")
    if not service.read_only:
        notes.append("may write to its root file system")
    return "; ".join(notes)
