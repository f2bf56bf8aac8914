"""Pages of stacks: the services of each, how they meet, what they reach and keep, and how they are started."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pipeline.outputs.docs.markdown import code, codes, prose, section, table, text
from pipeline.outputs.docs.ready import ready_made
from pipeline.outputs.docs.stack_running import run_it, tested
from pipeline.outputs.subject import Subject
from pipeline.resolve.stack_plan import ServicePlan, StackPlan


def stack_page(stack: StackPlan, subject: Subject) -> Iterator[str]:
    """Yield the lines of the page of a stack."""
    about, services = stack.defined.model.metadata, stack.services
    yield f"# {text(about.title or stack.name)}"
    yield ""
    yield prose(about.description)
    yield ""
    rows = (_service(one, subject) for one in services)
    yield from section("Services", table(("Service", "Image", "Version", "Runs", "What to know"), rows))
    yield from section("Run it", run_it(stack, subject))
    yield from section("Secrets", _secrets(stack))
    added = ((code(one.name), code(key), code(value)) for one in services for key, value in one.env.items())
    yield from section("Environment beside that of its images", table(("Service", "Variable", "Value"), added))
    kept = (
        (code(f"{stack.name}_{one.name}"), code(service.name), code(one.volume.path), prose(one.volume.description))
        for service in services
        for one in service.volumes
    )
    yield from section("Volumes", table(("Volume", "Service", "Folder", "What to know"), kept))
    ports = (
        (code(f"{item.published.address}:{item.published.host}"), code(one.name), item.port.name)
        for one in services
        for item in one.published
    )
    yield from section("Ports on the host", table(("Address", "Service", "For"), ports))
    hosts = (
        (code(f"{host.host}:{host.port}"), code(one.name), prose(host.purpose), host.verified.isoformat())
        for one in services
        for host in one.egress
    )
    yield from section("Hosts it reaches", table(("Host", "Service", "For", "Last verified"), hosts))
    yield from section("Limits", table(("Service", "Memory", "Processes", "Processors"), map(_limits, services)))
    yield from section("Health checks", table(("Service", "Runs", "Every"), _health(stack)))
    yield from section("Licences", table(("Service", "Program", "Licence", "Publishing"), _licences(stack)))
    yield from section("How it is tested", tested(stack, subject))
    yield from section("Ready-made", ready_made((stack.name,), subject))


def _service(service: ServicePlan, subject: Subject) -> tuple[str, ...]:
    parts, locks = service.parts, subject.project.locks
    page, lock = f"../bases/{parts.base.name}.md", None
    if parts.agent:
        page, lock = f"../agents/{parts.agent.name}.md", locks.agents.get(parts.agent.name)
    elif parts.toolpack:
        page, lock = f"../toolpacks/{parts.toolpack.name}.md", locks.toolpacks.get(parts.toolpack.name)
    version = code(lock.version) if lock else ""
    return (
        code(service.name),
        f"[{code(parts.name)}]({page})",
        version,
        code(shlex.join(service.command)),
        _notes(service),
    )


def _notes(plan: ServicePlan) -> str:
    service, notes = plan.service, []
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


def _secrets(stack: StackPlan) -> Iterator[str]:
    rows = (
        (
            code(secret.name),
            "yes" if secret.required else "no",
            prose(secret.description),
            codes(one.name for one in stack.services if secret.name in {own.name for own in one.secrets}),
        )
        for secret in stack.secrets
    )
    yield from table(("Variable", "Needed", "What it is", "Who gets it"), rows)


def _limits(service: ServicePlan) -> tuple[str, str, str, str]:
    one = service.service
    return code(service.name), one.memory, str(one.pids), f"{one.cpus:g}" if one.cpus else ""


def _health(stack: StackPlan) -> Iterator[tuple[str, str, str]]:
    for one in stack.services:
        if one.health:
            yield code(one.name), code(shlex.join(one.health.command)), f"{one.health.interval} s"


def _licences(stack: StackPlan) -> Iterator[tuple[str, str, str, str]]:
    for service in stack.services:
        for program in service.parts.programs:
            licence = program.model.spec.licence
            yield code(service.name), code(program.name), text(licence.name), licence.publish
