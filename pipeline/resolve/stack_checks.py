"""What can be wrong with a stack whose form is right: everything, each with its place and what to do."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping

from pipeline.errors import DefinitionError, Location
from pipeline.models.choices import suggest
from pipeline.models.defined import Defined
from pipeline.models.kinds import Stack
from pipeline.models.stacks import Service
from pipeline.resolve.matrix import Parts

# What is spelled like the name of a secret, whether or not an image declares it.
_SECRET = re.compile(r"(^|_)(API_?KEY|TOKEN|PASSWORD|PASSWD|SECRET|PRIVATE_KEY|CREDENTIALS?)$", re.IGNORECASE)
_OWN_NAMES = re.compile(r"^ingress$|-egress$")


def check_stack(stack: Defined[Stack], images: Mapping[str, Parts]) -> Iterator[DefinitionError]:
    """Yield everything that is wrong; `images` are those of the services whose image is known."""
    services = stack.model.spec.services
    for name, service in services.items():
        yield from _name(stack, name)
        yield from _dependencies(stack, name, service)
        if parts := images.get(name):
            yield from _ports(stack, name, service, parts)
            yield from _secrets(stack, name, service, parts)
            yield from _volumes(stack, name, service, parts)
        yield from _via(stack, name, service, images)
    yield from _host_ports(stack)
    yield from _cycles(stack)


def _at(stack: Defined[Stack], name: str, *path: str | int) -> Location:
    return stack.at("spec", "services", name, *path)


def _name(stack: Defined[Stack], name: str) -> Iterator[DefinitionError]:
    if _OWN_NAMES.search(name):
        text = f"no service can be called `{name}`: names of this form are those of the proxies beside services"
        yield DefinitionError(text, location=_at(stack, name), remedy="rename it")


def _dependencies(stack: Defined[Stack], name: str, service: Service) -> Iterator[DefinitionError]:
    services = stack.model.spec.services
    others = {*services} - {name}
    asked: list[tuple[str, tuple[str | int, ...]]] = [
        (other, ("dependsOn", index)) for index, other in enumerate(service.depends_on)
    ]
    if service.via:
        asked.append((service.via, ("via",)))
    for other, path in asked:
        place = _at(stack, name, *path)
        if other not in others:
            what = "itself" if other == name else f"`{other}`, which is no service of this stack"
            remedy = suggest(other, others) if others else "take it out"
            yield DefinitionError(f"service {name} depends on {what}", location=place, remedy=remedy)
        elif services[other].profile not in {None, service.profile}:
            text = f"service {name} depends on `{other}`, which is there only with profile `{services[other].profile}`"
            yield DefinitionError(text, location=place, remedy="give both one profile, or `dependsOn` up")


def _ports(stack: Defined[Stack], name: str, service: Service, parts: Parts) -> Iterator[DefinitionError]:
    ports = [port.name for port in parts.programs[-1].model.spec.ports] if parts.programs else []
    for index, item in enumerate(service.ports):
        if item.name not in ports:
            text = f"image {parts.name} has no port named `{item.name}`"
            remedy = suggest(item.name, ports) if ports else "take it out: the image listens on none"
            yield DefinitionError(text, location=_at(stack, name, "ports", index, "name"), remedy=remedy)


def _host_ports(stack: Defined[Stack]) -> Iterator[DefinitionError]:
    """Yield ports of the host that two services take, whatever profile they are in."""
    seen: list[tuple[int, str, Location]] = []
    for name, service in stack.model.spec.services.items():
        for index, item in enumerate(service.ports):
            place = _at(stack, name, "ports", index, "host")
            for port, address, first in seen:
                if port == item.host and _overlap(address, item.address):
                    text = f"port {item.host} of the host is taken already, in {first}"
                    yield DefinitionError(text, location=place, remedy="choose another `host`")
                    break
            seen.append((item.host, item.address, place))


def _overlap(one: str, other: str) -> bool:
    return one == other or any(ipaddress.ip_address(address).is_unspecified for address in (one, other))


def _secrets(stack: Defined[Stack], name: str, service: Service, parts: Parts) -> Iterator[DefinitionError]:
    declared = {secret.name for program in parts.programs for secret in program.model.spec.secrets}
    for key in service.env:
        if key in declared or _SECRET.search(key):
            text = f"`{key}` is a secret, and would stand here in plain text"
            remedy = (
                f"take it out: it is read from the file secrets/{key}"
                if key in declared
                else f"declare it under `secrets` of what {parts.name} runs, and take it out here"
            )
            yield DefinitionError(text, location=_at(stack, name, "env", key), remedy=remedy)
    for index, key in enumerate(service.without_secrets):
        if key not in declared:
            text = f"image {parts.name} declares no secret `{key}`"
            place = _at(stack, name, "withoutSecrets", index)
            yield DefinitionError(text, location=place, remedy=suggest(key, declared))


def _volumes(stack: Defined[Stack], name: str, service: Service, parts: Parts) -> Iterator[DefinitionError]:
    """Yield volumes that lie on or in each other, or in the workspace."""
    taken = [("the workspace", parts.base.model.spec.workspace)] if service.workspace else []
    for program in parts.programs:
        for index, volume in enumerate(program.model.spec.volumes):
            for what, path in taken:
                if _nested(path, volume.path):
                    text = (
                        f"service {name}: volume {volume.path} ({program.at('spec', 'volumes', index)}) and"
                        f" {what} {path} lie in the same place"
                    )
                    yield DefinitionError(text, location=_at(stack, name), remedy="keep one of them")
            taken.append(("volume", volume.path))


def _nested(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _via(stack: Defined[Stack], name: str, service: Service, images: Mapping[str, Parts]) -> Iterator[DefinitionError]:
    parts, via = images.get(name), images.get(service.via or "")
    place = _at(stack, name, "via")
    if via and service.via != name and (via.agent or not via.toolpack or not via.toolpack.model.spec.ports):
        text = f"service {name} cannot reach models through `{service.via}`: it is no toolpack that listens on a port"
        yield DefinitionError(text, location=place, remedy="name a service whose image is a toolpack's")
    if parts and service.via:
        if parts.agent is None:
            text = f"service {name} is no agent, so nothing leads it to `{service.via}`"
            yield DefinitionError(text, location=place, remedy="take `via` out")
        elif parts.agent.model.spec.model_endpoint is None:
            text = f"agent {parts.agent.name} cannot be led to `{service.via}`: it does not say how"
            remedy = f"say it under `spec.modelEndpoint` in {parts.agent.at('spec').file}, or take `via` out"
            yield DefinitionError(text, location=place, remedy=remedy)


def _cycles(stack: Defined[Stack]) -> Iterator[DefinitionError]:
    """Yield each ring of services that wait for each other, once."""
    waits = {
        name: [*service.depends_on, *([service.via] if service.via else [])]
        for name, service in stack.model.spec.services.items()
    }
    done: set[str] = set()
    for start in sorted(waits):
        ring = _ring(start, waits)
        if ring and not done & set(ring):
            done |= set(ring)
            text = f"services wait for each other: {' → '.join((*ring, ring[0]))}"
            yield DefinitionError(text, location=_at(stack, ring[0], "dependsOn"), remedy="take one `dependsOn` out")


def _ring(start: str, waits: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Return the services on a way from `start` back to it; a service that waits for itself is told elsewhere."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    while ways:
        way = ways.pop(0)
        for other in waits.get(way[-1], ()):
            if other == start and len(way) > 1:
                return way
            if other not in seen:
                seen.add(other)
                ways.append((*way, other))
    return ()
