"""Stacks on Kubernetes: pods are restricted, secrets are references, and nobody reaches what is not said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from pipeline.outputs.documents import yaml_text
from pipeline.outputs.kubernetes.helm import Values, default_values
from pipeline.outputs.kubernetes.network import cilium_policies, network_policies, outside, reached
from pipeline.outputs.kubernetes.objects import stack_objects
from pipeline.outputs.kubernetes.shape import Plain, binary
from pipeline.outputs.subject import Subject
from pipeline.resolve.stack_plan import ServicePlan, StackPlan
from tests.unit.outputs.subjects import DIGEST, PROJECT, PUBLISHED, SUBJECT, files

Object = dict[str, Any]
STACKS = {stack.name: stack for stack in PROJECT.stacks()}
PAIRS = [(stack, service) for stack in STACKS.values() for service in stack.services]


def objects(stack: str, folder: str = "base", subject: Subject = SUBJECT) -> list[Object]:
    """Return the objects of a stack, without those of Kustomize."""
    found = files("kubernetes", subject)
    texts = [
        file.text
        for path, file in found.items()
        if path.startswith(f"deploy/kubernetes/{stack}/{folder}/") and path.endswith(".yaml")
    ]
    documents = [document for text in texts for document in yaml.safe_load_all(text)]
    return [document for document in documents if document["kind"] != "Kustomization"]


def pods(stack: str) -> Iterator[Object]:
    """Yield the pod specs of a stack."""
    for one in objects(stack):
        if one["kind"] in {"Deployment", "StatefulSet"}:
            yield one["spec"]["template"]["spec"]


def named(found: list[Object], kind: str, name: str) -> Object:
    """Return the object of a kind and name."""
    (one,) = [one for one in found if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return one


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


@pytest.mark.parametrize("stack", STACKS)
def test_pods_are_restricted(stack: str) -> None:
    """What Pod Security's `restricted` asks for, and no token of the cluster; the namespace refuses anything else."""
    labels = named(objects(stack), "Namespace", stack)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods(stack):
        context = pod["securityContext"]
        assert pod["automountServiceAccountToken"] is False
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume]
        for container in containers(pod):
            confined = container["securityContext"]
            assert confined["allowPrivilegeEscalation"] is False
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in confined
            assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize(("stack", "service"), PAIRS, ids=lambda one: one.name)
def test_only_what_is_mounted_can_be_written(stack: StackPlan, service: ServicePlan) -> None:
    """Volumes are claims, the home folder and /tmp go with the pod."""
    (workload,) = [
        one
        for one in objects(stack.name)
        if one["metadata"]["name"] == service.name and one["kind"] in {"Deployment", "StatefulSet"}
    ]
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", ())}
    there = claims | {volume["name"] for volume in pod["volumes"]}

    assert container["securityContext"]["readOnlyRootFilesystem"] is service.service.read_only
    assert {one.volume.path for one in service.volumes} <= mounts.keys()
    assert {mounts[one.volume.path] for one in service.volumes} == claims
    assert set(mounts.values()) <= there
    assert [name for name in mounts.values() if len(name) > 63] == []


@pytest.mark.parametrize("stack", STACKS)
def test_secrets_are_references(stack: str) -> None:
    """A key of the stack's Secret for each variable, and no object that holds one."""
    wanted = {secret.name: secret.required for secret in STACKS[stack].secrets}
    found: dict[str, bool] = {}
    for pod in pods(stack):
        for container in containers(pod):
            for variable in container.get("env", ()):
                if "valueFrom" in variable:
                    reference = variable["valueFrom"]["secretKeyRef"]
                    assert (reference["name"], reference["key"]) == (stack, variable["name"])
                    found[variable["name"]] = found.get(variable["name"], False) or not reference["optional"]
                else:
                    assert variable["name"] not in wanted

    assert found == wanted
    assert "Secret" not in {one["kind"] for one in objects(stack)}


@pytest.mark.parametrize(("stack", "service"), PAIRS, ids=lambda one: one.name)
def test_health_checks_become_probes(stack: StackPlan, service: ServicePlan) -> None:
    """The same command; what may fail at first is the startup's."""
    (container,) = [c for pod in pods(stack.name) for c in pod["containers"] if c["name"] == service.name]
    health = service.health
    assert health is not None

    liveness = container["livenessProbe"]
    assert liveness["exec"]["command"] == list(health.command)
    assert (liveness["periodSeconds"], liveness["failureThreshold"]) == (health.interval, health.retries)
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= health.start_period
    assert ("readinessProbe" in container) == bool(service.ports)


@pytest.mark.parametrize("stack", STACKS.values(), ids=list(STACKS))
def test_nothing_is_allowed_that_is_not_said(stack: StackPlan) -> None:
    """Everything is denied at first; the internet is for services with hosts, and private networks are for none."""
    policies = {one["metadata"]["name"]: one["spec"] for one in network_policies(stack)}
    deny = policies["default-deny"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & deny.keys()
    assert {outside(service) for service in stack.services if service.egress} == {
        name for name in policies if name.endswith("-internet")
    }
    for service in stack.services:
        if service.egress:
            (rule,) = policies[outside(service)]["egress"]
            assert [port["port"] for port in rule["ports"]] == sorted({one.port for one in service.egress})
            assert "10.0.0.0/8" in rule["to"][0]["ipBlock"]["except"]
            assert "169.254.0.0/16" in rule["to"][0]["ipBlock"]["except"]


def test_what_goes_via_another_reaches_that_alone() -> None:
    """And what serves it lets those in that go through it, and calls none of them."""
    stack = STACKS["gateway-headroom"]
    services = {service.name: service for service in stack.services}
    policies = {one["metadata"]["name"]: one["spec"] for one in network_policies(stack)}

    assert [one.name for one in reached(stack, services["openclaw"])] == ["headroom"]
    assert reached(stack, services["headroom"]) == ()
    assert "openclaw-internet" not in policies
    assert "headroom-stack" not in policies
    (rule,) = policies["headroom"]["ingress"]
    allowed = [peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in rule["from"]]
    assert allowed == ["claude", "openclaw"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8787}]
    assert "openclaw" not in policies


@pytest.mark.parametrize("stack", STACKS.values(), ids=list(STACKS))
def test_for_cilium_the_hosts_are_named(stack: StackPlan) -> None:
    """Each with its port, and what let services out by address is taken away: what allows more would win."""
    policies = {one["metadata"]["name"]: one["spec"] for one in cilium_policies(stack)}
    text = files("kubernetes")[f"deploy/kubernetes/{stack.name}/cilium/kustomization.yaml"].text
    deleted = {yaml.safe_load(one["patch"])["metadata"]["name"] for one in yaml.safe_load(text)["patches"]}

    assert deleted == {outside(service) for service in stack.services if service.egress}
    for service in stack.services:
        if service.egress:
            (_, *rules) = policies[f"{service.name}-hosts"]["egress"]
            found = {
                (next(iter(name.values())), int(port["port"]))
                for rule in rules
                for name in rule["toFQDNs"]
                for to in rule["toPorts"]
                for port in to["ports"]
            }
            assert found == {(one.host, one.port) for one in service.egress}


@pytest.mark.parametrize("stack", STACKS.values(), ids=list(STACKS))
def test_the_report_has_what_is_not_said(stack: StackPlan) -> None:
    """Hosts, processes, ports of the host, profiles, images without a digest."""
    report = files("kubernetes")[f"deploy/kubernetes/{stack.name}/base/REPORT.md"].text
    words = [f"`{one.host}:{one.port}`" for service in stack.services for one in service.egress]
    words += [f"{service.service.pids} processes" for service in stack.services]
    words += [f"port-forward service/{service.name}" for service in stack.services if service.published]
    words += [f"profile `{service.service.profile}`" for service in stack.services if service.service.profile]
    words += [f"image `{service.image}`" for service in stack.services]

    assert [word for word in words if word not in report] == []


def test_published_images_are_named_by_digest() -> None:
    """In the base; in the chart, where values are put together, apart."""
    (pod, *_) = [one for one in objects("solo-claude", subject=PUBLISHED) if one["kind"] == "StatefulSet"]
    values = default_values(STACKS["solo-claude"], PUBLISHED.catalog)

    image = pod["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"mirror.example/node-bun-claude@{DIGEST}"
    assert values["services"]["claude"]["image"] == {
        "repository": "mirror.example/node-bun-claude",
        "tag": "latest",
        "digest": DIGEST,
    }


@pytest.mark.parametrize("name", ["openclaw.yaml", "network.yaml"])
def test_the_text_is_as_it_was(name: str, golden: Callable[[str, str], None]) -> None:
    """Of the stack with the most in it, for Kustomize and for Helm."""
    for sort, folder in (("kubernetes", "base"), ("helm", "templates")):
        text = files(sort, PUBLISHED)[f"deploy/{sort}/gateway-headroom/{folder}/{name}"].text
        golden(f"outputs/{sort}-gateway-headroom-{name}", text)


def test_a_text_that_looks_like_an_expression_stays_text() -> None:
    """In a chart, braces of a definition are escaped; the chart's own are not."""
    templates = [file.text for path, file in files("helm").items() if "/templates/" in path and path.endswith(".yaml")]
    expressions = {match for text in templates for match in re.findall(r"\{\{-? (\w+)", text)}

    assert expressions <= {"toJson", "include", "if", "end"}


def test_chart_and_base_are_made_of_the_same_objects() -> None:
    """File by file, kind by kind, name by name; helm itself is held to it elsewhere."""
    for stack in STACKS.values():
        base, chart = stack_objects(stack, Plain(SUBJECT.catalog)), stack_objects(stack, Values())
        assert _heads(base) == _heads(chart)
        assert yaml_text((), *base["network.yaml"]) == yaml_text((), *chart["network.yaml"])


def _heads(found: Mapping[str, tuple[Object, ...]]) -> list[tuple[str, str, str]]:
    return [(name, one["kind"], one["metadata"]["name"]) for name, several in found.items() for one in several]


@pytest.mark.parametrize(("text", "wanted"), [("512m", "512Mi"), ("4g", "4Gi")])
def test_memory_is_binary(text: str, wanted: str) -> None:
    """Docker's letters mean powers of 1024, those of Kubernetes of 1000."""
    assert binary(text) == wanted
