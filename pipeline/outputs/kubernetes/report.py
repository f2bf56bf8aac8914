"""What of a stack Kubernetes cannot be told, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.catalog.record import Catalog
from pipeline.outputs.kubernetes.network import outside
from pipeline.outputs.references import reference
from pipeline.outputs.shortfalls import Shortfall
from pipeline.resolve.stack_plan import ServicePlan, StackPlan


def shortfalls(stack: StackPlan, catalog: Catalog) -> Iterator[Shortfall]:
    """Yield what is declared and a cluster is not told, service by service, and then what is true of all."""
    for service in stack.services:
        yield from _of_service(service, catalog)
    if any(service.service.workspace for service in stack.services):
        yield Shortfall(
            f"workspace `{stack.workspace}`",
            "A volume of the cluster, empty at first; the project's folder is on no node.",
            "Clone into it, or copy: kubectl cp.",
        )
    yield Shortfall(
        "DNS",
        "Asked of the pods `k8s-app=kube-dns` in kube-system, for any name, which lets small amounts of data leave.",
        "Where DNS runs elsewhere, patch the policy `dns`; limit names in the cluster's DNS, or by Cilium's rules.",
    )
    yield Shortfall(
        "volumes belong to the user",
        "`fsGroup` has the kubelet give them to the user's group, where the storage driver takes part.",
        "Choose a storage class whose driver supports fsGroup; host paths and some network storage do not.",
    )
    yield Shortfall(
        "NetworkPolicy",
        "Held to by the network plugin alone; without one that does, everything is allowed and nothing says so.",
        "Use a plugin that enforces them, such as Calico or Cilium.",
    )


def _of_service(service: ServicePlan, catalog: Catalog) -> Iterator[Shortfall]:
    if service.egress:
        hosts = ", ".join(f"`{one.host}:{one.port}`" for one in service.egress)
        ports = ", ".join(str(port) for port in sorted({one.port for one in service.egress}))
        yield Shortfall(
            f"{service.name} reaches {hosts}",
            f"NetworkPolicy `{outside(service)}` allows every address outside the cluster on port {ports}:"
            " plain NetworkPolicy knows no host names.",
            "Where Cilium is the network plugin, install `../cilium`, or the chart with `cilium.enabled=true`.",
        )
    yield Shortfall(
        f"{service.name}: {service.service.pids} processes",
        "A pod cannot say it.",
        "Set `podPidsLimit` in the kubelet's configuration.",
    )
    for item in service.published:
        yield Shortfall(
            f"{service.name}: port {item.port.port} on the host's {item.published.address}:{item.published.host}",
            "A Service inside the cluster, which pods of the stack alone reach.",
            f"kubectl port-forward service/{service.name} {item.published.host}:{item.port.port}",
        )
    if service.service.profile:
        yield Shortfall(
            f"{service.name}: profile `{service.service.profile}`",
            "There, with no pods.",
            f"kubectl scale --replicas=1 {'statefulset' if service.volumes else 'deployment'}/{service.name}",
        )
    if not reference(catalog, service.image).digest:
        yield Shortfall(
            f"image `{service.image}`",
            "Named by tag and without a registry: it was not published, so there is no digest to name it by.",
            f"Publish it, `agc build {service.image} --output push:REGISTRY/NAMESPACE`, then `agc generate`.",
        )
