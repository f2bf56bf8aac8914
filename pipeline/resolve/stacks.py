"""Stacks to what is started: each service with all that its image declares, or everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.errors import AgcError, DefinitionError, ErrorGroup
from pipeline.models.choices import suggest
from pipeline.models.defined import Defined, Definitions
from pipeline.models.kinds import Stack
from pipeline.models.parts import Egress, HealthCheck, Secret, Volume
from pipeline.models.programs import ModelEndpoint
from pipeline.models.stacks import Service
from pipeline.resolve.lock import Locks
from pipeline.resolve.matrix import Parts
from pipeline.resolve.plan import parse_image_name
from pipeline.resolve.stack_checks import check_stack
from pipeline.resolve.stack_plan import NamedVolume, PublishedPort, ServicePlan, StackPlan


def plan_stacks(definitions: Definitions, locks: Locks, names: Iterable[str] = ()) -> tuple[StackPlan, ...]:
    """Return the stacks called `names`, all where none is given, in order of name.

    Raises ErrorGroup with everything that is wrong with them.
    """
    wanted = set(names) or set(definitions.stacks)
    errors: list[AgcError] = []
    plans: list[StackPlan] = []
    for name in sorted(wanted):
        found, problems = _plan(definitions.stacks[name], definitions, locks)
        errors.extend(problems)
        if found:
            plans.append(found)
    if errors:
        raise ErrorGroup(tuple(errors))
    return tuple(plans)


@dataclass(frozen=True, slots=True)
class _Scene:
    """A stack and the images of its services."""

    stack: Defined[Stack]
    images: Mapping[str, Parts]

    @property
    def services(self) -> Mapping[str, Service]:
        return self.stack.model.spec.services


def _plan(
    stack: Defined[Stack], definitions: Definitions, locks: Locks
) -> tuple[StackPlan | None, tuple[AgcError, ...]]:
    images: dict[str, Parts] = {}
    errors: list[AgcError] = []
    for name, service in stack.model.spec.services.items():
        try:
            images[name] = _image(stack, name, service, definitions, locks)
        except AgcError as error:
            errors.append(error)
    errors.extend(check_stack(stack, images))
    if errors:
        return None, tuple(errors)
    scene = _Scene(stack, MappingProxyType(images))
    return StackPlan(stack, tuple(_service(scene, name) for name in sorted(images))), ()


def _image(stack: Defined[Stack], name: str, service: Service, definitions: Definitions, locks: Locks) -> Parts:
    """Return what a service's image is made of; raises DefinitionError with the place in the stack."""
    if service.image:
        wanted, place = service.image, stack.at("spec", "services", name, "image")
    else:
        for what, asked, choices in (
            ("base", service.base or "", definitions.bases),
            ("program", service.program or "", definitions.agents),
        ):
            if asked not in choices:
                text = f"there is no {'agent' if what == 'program' else what} named `{asked}`"
                where = stack.at("spec", "services", name, what)
                raise DefinitionError(text, location=where, remedy=suggest(asked, choices))
        wanted, place = f"{service.base}-{service.program}", stack.at("spec", "services", name, "program")
    try:
        return parse_image_name(wanted, definitions, locks)
    except AgcError as error:
        because = f" ({error.location})" if error.location else ""
        text = f"service {name}: {error.message}{because}"
        raise DefinitionError(text, location=place, remedy=error.remedy) from error


def _service(scene: _Scene, name: str) -> ServicePlan:
    service, parts = scene.services[name], scene.images[name]
    specs = [program.model.spec for program in parts.programs]
    main = specs[-1] if specs else None
    base = parts.base.model.spec
    endpoint, url = _endpoint(scene, name)
    env = {key: value.replace("{url}", url) for key, value in endpoint.env.items()} if endpoint else {}
    files = {path: text.replace("{url}", url) for path, text in endpoint.files.items()} if endpoint else {}
    ports = {port.name: port for port in (main.ports if main else ())}
    own = [] if service.via else [host for spec in specs for host in spec.egress]
    return ServicePlan(
        name=name,
        service=service,
        parts=parts,
        command=service.command or (main.command if main else (base.user.shell,)),
        user=base.user,
        workspace=base.workspace,
        volumes=tuple(_named(name, [volume for spec in specs for volume in spec.volumes])),
        ports=tuple(ports.values()),
        published=tuple(PublishedPort(ports[item.name], item) for item in service.ports),
        secrets=_secrets(
            secret for spec in specs for secret in spec.secrets if secret.name not in service.without_secrets
        ),
        egress=_hosts([*own, *service.egress]),
        health=_health(main.health if main else None, service.check_every),
        waits_for=tuple(sorted({*service.depends_on, *([service.via] if service.via else [])})),
        env=MappingProxyType(dict(sorted({**env, **service.env}.items()))),
        files=MappingProxyType(dict(sorted(files.items()))),
    )


def _endpoint(scene: _Scene, name: str) -> tuple[ModelEndpoint | None, str]:
    """Return how a service is led to the one it reaches models through, and its address; it was checked."""
    via, agent = scene.services[name].via, scene.images[name].agent
    if via is None or agent is None:
        return None, ""
    (port, *_) = scene.images[via].programs[-1].model.spec.ports
    return agent.model.spec.model_endpoint, f"http://{via}:{port.port}"


def _named(service: str, volumes: list[Volume]) -> Iterator[NamedVolume]:
    """Yield volumes with a name that says whose and what for; where that is not enough, also where."""
    purposes = [volume.purpose for volume in volumes]
    for volume in volumes:
        words = [service, volume.purpose]
        if purposes.count(volume.purpose) > 1:
            words.append(volume.path.strip("/").replace("/", "-").replace(".", ""))
        yield NamedVolume("-".join(words), volume)


def _secrets(secrets: Iterable[Secret]) -> tuple[Secret, ...]:
    """Return each secret once, in order of name."""
    return tuple(sorted({secret.name: secret for secret in secrets}.values(), key=lambda secret: secret.name))


def _hosts(hosts: Iterable[Egress]) -> tuple[Egress, ...]:
    """Return each host and port once, in order."""
    found: dict[tuple[str, int], Egress] = {}
    for host in hosts:
        found.setdefault((host.host, host.port), host)
    return tuple(found[key] for key in sorted(found))


def _health(health: HealthCheck | None, every: int) -> HealthCheck | None:
    return health.model_copy(update={"interval": every}) if health else None
