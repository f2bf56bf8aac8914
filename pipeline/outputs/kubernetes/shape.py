"""What of an object is settled when it is installed: plain values for Kustomize, expressions for Helm.

Objects are made by the same functions for both, so that a chart installs what the base does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.catalog.record import Catalog
from pipeline.outputs.references import reference
from pipeline.resolve.stack_plan import ServicePlan

SIZES: Mapping[str, str] = {"config": "1Gi", "state": "4Gi", "cache": "2Gi", "workspace": "8Gi"}
"""How large a volume is asked for, by its purpose."""


class Shape(Protocol):
    """What is settled at installation."""

    def image(self, service: ServicePlan) -> str:
        """Return the image."""

    def pull(self) -> dict[str, Any]:
        """Return what a pod says of fetching images from a registry."""

    def resources(self, service: ServicePlan) -> Any:
        """Return what the container asks for and may use."""

    def replicas(self, service: ServicePlan) -> Any:
        """Return how many pods there are."""

    def storage(self, service: ServicePlan | None, volume: str, purpose: str) -> dict[str, Any]:
        """Return size and class of a volume, the stack's workspace where there is no service."""

    def secret(self, stack: str) -> str:
        """Return the name of the Secret that holds the stack's secrets."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Everything as the stack has it: for Kustomize, whose users patch what they want otherwise."""

    catalog: Catalog

    def image(self, service: ServicePlan) -> str:
        """Return the image, by digest wherever there is one."""
        return reference(self.catalog, service.image).text

    def pull(self) -> dict[str, Any]:
        """Return nothing: what a cluster needs for that is its own matter."""
        return {}

    def resources(self, service: ServicePlan) -> dict[str, Any]:
        """Return what the stack allows, and what is asked for."""
        return resources(service)

    def replicas(self, service: ServicePlan) -> int:
        """Return one, or none for a service that is there on demand."""
        return replicas(service)

    def storage(self, service: ServicePlan | None, volume: str, purpose: str) -> dict[str, Any]:  # noqa: ARG002
        """Return the size, of the cluster's own class."""
        return {"resources": {"requests": {"storage": SIZES[purpose]}}}

    def secret(self, stack: str) -> str:
        """Return the stack's name."""
        return stack


def resources(service: ServicePlan) -> dict[str, Any]:
    """Return the limits of a service, and requests that let it start on a small cluster."""
    limits: dict[str, Any] = {"memory": binary(service.service.memory)}
    if service.service.cpus is not None:
        limits["cpu"] = f"{round(service.service.cpus * 1000)}m"
    asked = min(_mebibytes(service.service.memory), 512)
    return {"requests": {"cpu": "100m", "memory": f"{asked}Mi"}, "limits": limits}


def replicas(service: ServicePlan) -> int:
    """Return one, or none for a service of a profile."""
    return 0 if service.service.profile else 1


def binary(memory: str) -> str:
    """Return an amount of memory, `4g`, as Kubernetes spells it, `4Gi`."""
    return f"{memory[:-1]}{memory[-1].upper()}i"


def _mebibytes(memory: str) -> int:
    return int(memory[:-1]) * (1024 if memory.endswith("g") else 1)
