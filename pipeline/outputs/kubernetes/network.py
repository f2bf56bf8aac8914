"""Who may speak to whom: plain NetworkPolicies, and those of Cilium, which know host names.

A NetworkPolicy knows addresses only. What a service may reach outside the cluster is therefore everything outside it,
on the declared ports; the variant for Cilium takes that away and allows the declared hosts by name. Services of a stack
reach each other on the ports they declare; one that reaches its models through another reaches nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.models.parts import Egress
from pipeline.outputs.kubernetes.pods import labels
from pipeline.resolve.stack_plan import ServicePlan, StackPlan

# What is nobody's on the internet: private, shared, link-local and loopback addresses (RFC 1918, 6598, 3927, 4193).
_PRIVATE_4 = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
_PRIVATE_6 = ("fc00::/7", "fe80::/10")
_DNS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
_DNS_PORTS = ({"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53})


def network_policies(stack: StackPlan) -> Iterator[dict[str, Any]]:
    """Yield the NetworkPolicies of a stack: nothing at first, then what is declared."""
    everyone = {"podSelector": {"matchLabels": labels(stack)}}
    yield _policy(stack, "default-deny", {**everyone, "policyTypes": ["Ingress", "Egress"]})
    names = {"egress": [{"to": [_DNS], "ports": [*_DNS_PORTS]}]}
    yield _policy(stack, "dns", {**everyone, "policyTypes": ["Egress"], **names})
    for service in stack.services:
        selected = {"podSelector": {"matchLabels": labels(stack, service)}}
        if peers := [_pods(stack, other) for other in stack.services if service in reached(stack, other)]:
            allowed = {"from": peers, "ports": _ports(port.port for port in service.ports)}
            yield _policy(stack, service.name, {**selected, "policyTypes": ["Ingress"], "ingress": [allowed]})
        if inside := [_towards(stack, other) for other in reached(stack, service)]:
            name = f"{service.name}-stack"
            yield _policy(stack, name, {**selected, "policyTypes": ["Egress"], "egress": inside})
        if service.egress:
            out = {"policyTypes": ["Egress"], "egress": [_internet(service.egress)]}
            yield _policy(stack, outside(service), {**selected, **out})


def outside(service: ServicePlan) -> str:
    """Return the name of the policy that lets a service out of the cluster."""
    return f"{service.name}-internet"


def reached(stack: StackPlan, service: ServicePlan) -> tuple[ServicePlan, ...]:
    """Return the services of the stack that `service` reaches.

    An agent reaches whatever listens, or, where it goes `via` one, that one alone. What serves agents calls none.
    """
    if service.parts.agent is None:
        return ()
    via = service.service.via
    others = (other for other in stack.services if other is not service and other.ports)
    return tuple(other for other in others if via is None or other.name == via)


def cilium_policies(stack: StackPlan) -> Iterator[dict[str, Any]]:
    """Yield a CiliumNetworkPolicy for each service that reaches hosts; `cilium.io/v2`.

    Cilium learns the addresses of names from the answers that pass its DNS proxy, so lookups go through it.
    """
    dns = {
        "toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s:k8s-app": "kube-dns"}}],
        "toPorts": [{"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": [{"matchPattern": "*"}]}}],
    }
    for service in stack.services:
        if not service.egress:
            continue
        selector = {"matchLabels": labels(stack, service)}
        ports = sorted({one.port for one in service.egress})
        allowed = [_hosts(port, [one.host for one in service.egress if one.port == port]) for port in ports]
        yield {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": f"{service.name}-hosts", "labels": labels(stack)},
            "spec": {"endpointSelector": selector, "egress": [dns, *allowed]},
        }


def _policy(stack: StackPlan, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "labels": labels(stack)},
        "spec": dict(spec),
    }


def _pods(stack: StackPlan, service: ServicePlan) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels(stack, service)}}


def _towards(stack: StackPlan, other: ServicePlan) -> dict[str, Any]:
    return {"to": [_pods(stack, other)], "ports": _ports(port.port for port in other.ports)}


def _ports(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": number} for number in sorted(set(numbers))]


def _internet(egress: tuple[Egress, ...]) -> dict[str, Any]:
    blocks = [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": [*_PRIVATE_4]}},
        {"ipBlock": {"cidr": "::/0", "except": [*_PRIVATE_6]}},
    ]
    return {"to": blocks, "ports": _ports(one.port for one in egress)}


def _hosts(port: int, hosts: list[str]) -> dict[str, Any]:
    names = [{"matchPattern" if "*" in host else "matchName": host} for host in sorted(set(hosts))]
    return {"toFQDNs": names, "toPorts": [{"ports": [{"port": str(port), "protocol": "TCP"}]}]}
