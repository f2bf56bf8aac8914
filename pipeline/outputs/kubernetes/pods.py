"""The pod of a service: restricted Pod Security, a root file system nobody writes to, and what its image declares.

The field names are those of the Kubernetes API, `core/v1`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from pipeline.models.parts import HealthCheck
from pipeline.outputs.kubernetes.shape import Shape
from pipeline.resolve.stack_plan import ServicePlan, StackPlan

_FILES = "/run/agc/files"
_PROBED_EVERY = 5
"""Seconds between two looks at a container that is starting."""


def labels(stack: StackPlan, service: ServicePlan | None = None) -> dict[str, str]:
    """Return the labels of what belongs to a service, or to the stack: what selectors go by."""
    own = {"app.kubernetes.io/name": service.name} if service else {}
    return {**own, "app.kubernetes.io/part-of": stack.name}


def pod_spec(stack: StackPlan, service: ServicePlan, shape: Shape) -> dict[str, Any]:
    """Return the pod of a service."""
    user = service.user
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **shape.pull(),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user.uid,
            "runAsGroup": user.gid,
            "fsGroup": user.gid,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": _beside_the_workspace(stack) if service.service.workspace and _shared(stack) else None,
        "initContainers": [*_first(stack, service, shape)],
        "containers": [_container(stack, service, shape)],
        "volumes": [*_volumes(service)],
    }
    return {key: value for key, value in spec.items() if value not in (None, [])}


def file_names(service: ServicePlan) -> dict[str, str]:
    """Return the files that are put in place, each under the name it has in the ConfigMap."""
    return {f"file-{at}": path for at, path in enumerate(service.files)}


def _shared(stack: StackPlan) -> bool:
    return sum(service.service.workspace for service in stack.services) > 1


def _beside_the_workspace(stack: StackPlan) -> dict[str, Any]:
    """Keep those that share the workspace on one node: most volumes are attached to one at a time."""
    names = [service.name for service in stack.services if service.service.workspace]
    expression = {"key": "app.kubernetes.io/name", "operator": "In", "values": names}
    selector = {"matchLabels": labels(stack), "matchExpressions": [expression]}
    term = {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _container(stack: StackPlan, service: ServicePlan, shape: Shape) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": service.name,
        "image": shape.image(service),
        "args": [*service.command],
        **({"stdin": True, "tty": True} if _is_talked_to(service) else {}),
        "env": [*_environment(stack, service, shape)],
        "ports": [{"name": port.name, "containerPort": port.port} for port in service.ports],
        **(_probes(service, service.health) if service.health else {}),
        "resources": shape.resources(service),
        "securityContext": _confined(service),
        "volumeMounts": [*_mounts(service)],
    }
    return {key: value for key, value in container.items() if value != []}


def _is_talked_to(service: ServicePlan) -> bool:
    """Tell whether a person attaches to it: an agent's own command, where it serves nobody else."""
    agent = service.parts.agent
    return agent is not None and service.command == agent.model.spec.command and not service.ports


def _environment(stack: StackPlan, service: ServicePlan, shape: Shape) -> Iterator[dict[str, Any]]:
    for name, value in service.env.items():
        # What a `$(NAME)` of Kubernetes would be is text in a stack.
        yield {"name": name, "value": value.replace("$(", "$$(")}
    for secret in service.secrets:
        key = {"name": shape.secret(stack.name), "key": secret.name, "optional": not secret.required}
        yield {"name": secret.name, "valueFrom": {"secretKeyRef": key}}


def _probes(service: ServicePlan, health: HealthCheck) -> dict[str, Any]:
    """Return Docker's health check as probes: what may fail at first is the startup's, then one for each question."""
    check = {"exec": {"command": [*health.command]}, "timeoutSeconds": health.timeout}
    running = {**check, "periodSeconds": health.interval, "failureThreshold": health.retries}
    attempts = -(-health.start_period // _PROBED_EVERY) + health.retries
    return {
        "startupProbe": {**check, "periodSeconds": _PROBED_EVERY, "failureThreshold": attempts},
        "livenessProbe": running,
        **({"readinessProbe": running} if service.ports else {}),
    }


def _confined(service: ServicePlan) -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": service.service.read_only,
        "capabilities": {"drop": ["ALL"]},
    }


def _first(stack: StackPlan, service: ServicePlan, shape: Shape) -> Iterator[dict[str, Any]]:
    """Yield what runs before the container, in the same image and as confined."""
    home = PurePosixPath(service.user.home)
    below = [PurePosixPath(one.volume.path) for one in service.volumes]
    nested = sorted({str(path) for path in below if path.is_relative_to(home) and path.parent != home})
    if nested and service.service.read_only:
        # Whoever mounts a volume makes the folders above it, as root; these are there before, and the user's.
        script = f"mkdir -p {shlex.join(nested)}"
        mounts: list[dict[str, Any]] = [{"name": "home", "mountPath": service.user.home}]
        yield _helper("home", script, mounts, service, shape)
    if service.files:
        script = "\n".join(
            f"test -e {shlex.quote(path)} ||"
            f" {{ mkdir -p {shlex.quote(str(PurePosixPath(path).parent))} && cp {_FILES}/{name} {shlex.quote(path)}; }}"
            for name, path in file_names(service).items()
        )
        own: dict[str, Any] = {"name": "files", "mountPath": _FILES, "readOnly": True}
        mounts = [*_mounts(service), own]
        yield _helper("files", script, mounts, service, shape)
    ports = {one.name: one.ports[0].port for one in stack.services if one.ports}
    for name in (name for name in service.waits_for if name in ports):
        script = f"until bash -c '</dev/tcp/{name}/{ports[name]}' 2>/dev/null; do sleep 1; done"
        yield _helper(f"wait-for-{name}", script, [], service, shape)


def _helper(name: str, script: str, mounts: list[dict[str, Any]], service: ServicePlan, shape: Shape) -> dict[str, Any]:
    container = {
        "name": name,
        "image": shape.image(service),
        "command": ["sh", "-ec", script],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": _confined(service),
    }
    return {**container, "volumeMounts": mounts} if mounts else container


def _mounts(service: ServicePlan) -> Iterator[dict[str, Any]]:
    """Yield where volumes are in the container, what lies further out first."""
    if service.service.read_only:
        yield {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 (in the container)
        yield {"name": "home", "mountPath": service.user.home}
    for one in service.volumes:
        yield {"name": one.name, "mountPath": one.volume.path}
    if service.service.workspace:
        yield {"name": "workspace", "mountPath": service.workspace}


def _volumes(service: ServicePlan) -> Iterator[dict[str, Any]]:
    """Yield the volumes that are no claims of the pod's own."""
    if service.service.read_only:
        yield {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}
        yield {"name": "home", "emptyDir": {"sizeLimit": "2Gi"}}
    if service.service.workspace:
        yield {"name": "workspace", "persistentVolumeClaim": {"claimName": "workspace"}}
    if service.files:
        items = [{"key": name, "path": name} for name in file_names(service)]
        yield {"name": "files", "configMap": {"name": f"{service.name}-files", "items": items}}
