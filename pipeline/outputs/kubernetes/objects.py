"""The objects of a stack, by the file they are written to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from pipeline.outputs.kubernetes.network import network_policies
from pipeline.outputs.kubernetes.pods import file_names, labels, pod_spec
from pipeline.outputs.kubernetes.shape import Shape
from pipeline.resolve.stack_plan import ServicePlan, StackPlan

Object: TypeAlias = dict[str, Any]


def stack_objects(stack: StackPlan, shape: Shape) -> Mapping[str, tuple[Object, ...]]:
    """Return the objects of a stack by file name, without a namespace, which is whoever installs them's to choose."""
    files: dict[str, tuple[Object, ...]] = {}
    if any(service.service.workspace for service in stack.services):
        claim = {"accessModes": ["ReadWriteOnce"], **shape.storage(None, "workspace", "workspace")}
        files["workspace.yaml"] = (made("v1", "PersistentVolumeClaim", "workspace", labels(stack), spec=claim),)
    for service in stack.services:
        files[f"{service.name}.yaml"] = tuple(_service_objects(stack, service, shape))
    files["network.yaml"] = tuple(network_policies(stack))
    return files


def made(version: str, kind: str, name: str, own: Mapping[str, str], **content: Any) -> Object:
    """Return an object of the API."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": dict(own)}, **content}


def _service_objects(stack: StackPlan, service: ServicePlan, shape: Shape) -> Iterator[Object]:
    own = labels(stack, service)
    if service.files:
        data = {name: service.files[path] for name, path in file_names(service).items()}
        yield made("v1", "ConfigMap", f"{service.name}-files", own, data=data)
    if service.ports or service.volumes:
        yield made("v1", "Service", service.name, own, spec=_service_spec(service, own))
    pod = {"metadata": {"labels": own}, "spec": pod_spec(stack, service, shape)}
    common = {"replicas": shape.replicas(service), "selector": {"matchLabels": own}}
    if not service.volumes:
        # Two of them would write to one workspace.
        spec = {**common, "strategy": {"type": "Recreate"}, "template": pod}
        yield made("apps/v1", "Deployment", service.name, own, spec=spec)
        return
    claims = [_claim(service, one.name, one.volume.purpose, shape) for one in service.volumes]
    spec = {**common, "serviceName": service.name, "template": pod, "volumeClaimTemplates": claims}
    yield made("apps/v1", "StatefulSet", service.name, own, spec=spec)


def _service_spec(service: ServicePlan, own: Mapping[str, str]) -> dict[str, Any]:
    """Return how others in the cluster reach it; one that listens on nothing has the name alone."""
    ports = [{"name": port.name, "port": port.port, "targetPort": port.name} for port in service.ports]
    return {"selector": dict(own), **({"ports": ports} if ports else {"clusterIP": "None"})}


def _claim(service: ServicePlan, name: str, purpose: str, shape: Shape) -> dict[str, Any]:
    storage = shape.storage(service, name, purpose)
    return {"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"], **storage}}
