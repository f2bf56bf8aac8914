"""What is generated, given to Kubernetes itself: every field is known, and no pod asks for more than it may have.

The API server takes Go five minutes on two cores, so it is made where AGC_TEST_TOOLS=1 says so; then it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.ci.kubernetes_api import Api, cilium_definition, kubernetes_api
from tests.ci.test_kubernetes_tools import STACKS, base, chart
from tests.engine.support import wait_for

pytestmark = [
    pytest.mark.timeout(5400),
    pytest.mark.skipif(not STACKS, reason="needs a checkout, with its generated files"),
]

WORKLOADS = {"StatefulSet", "Deployment"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Start the server, one for all tests: each stack has its own namespace."""
    with kubernetes_api(tmp_path_factory.mktemp("kubernetes")) as api:
        yield api


def objects(text: str) -> list[dict[str, Any]]:
    """Return the objects in what a program prints."""
    return [one for one in yaml.safe_load_all(text) if one]


def installed(api: Api, namespace: str, items: list[dict[str, Any]]) -> list[str]:
    """Apply objects as somebody installs them in a namespace, and return their versions.

    Nothing is refused, and nothing warned of.
    """
    said = {}
    answers = [api.apply(one, namespace) for one in items]
    for one, answer in zip(items, answers, strict=True):
        if answer.status_code not in {200, 201} or "Warning" in answer.headers:
            said[one["kind"], one["metadata"]["name"]] = (answer.text, answer.headers.get("Warning"))
    assert said == {}
    return [answer.json()["metadata"]["resourceVersion"] for answer in answers]


def with_account(api: Api, namespace: str) -> None:
    """Make what a cluster's controllers make in every namespace."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    assert api.apply(account, namespace).status_code in {200, 201}


@pytest.mark.parametrize("stack", STACKS)
def test_kubernetes_takes_every_object(api: Api, stack: str) -> None:
    """Strictly, and again and again: what is there is not changed."""
    items = objects(base(stack))
    installed(api, stack, items)

    assert installed(api, stack, items) == installed(api, stack, items)


@pytest.mark.parametrize("stack", STACKS)
def test_pods_are_admitted_where_only_restricted_ones_are(api: Api, stack: str) -> None:
    """In the namespace that is generated; anything more than that is refused there."""
    items = objects(base(stack))
    installed(api, stack, items)
    with_account(api, stack)
    workloads = [one for one in items if one["kind"] in WORKLOADS]
    assert workloads
    for one in workloads:
        admitted = api.try_pod(one, stack)

        assert admitted.status_code == 201, admitted.text
        assert "Warning" not in admitted.headers
        for more in (
            {"privileged": True, "allowPrivilegeEscalation": True},
            {"runAsNonRoot": False, "runAsUser": 0},
            {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}},
            {"seccompProfile": {"type": "Unconfined"}},
        ):
            refused = api.try_pod(one, stack, **more)

            assert refused.status_code == 403, (more, refused.text)
            assert 'violates PodSecurity "restricted:latest"' in refused.json()["message"]


@pytest.mark.parametrize("stack", STACKS)
def test_kubernetes_takes_what_the_chart_installs(api: Api, stack: str) -> None:
    """In a namespace of somebody's own."""
    namespace = f"{stack}-chart"
    labels = {"pod-security.kubernetes.io/warn": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}

    installed(api, namespace, [space])
    installed(api, namespace, objects(chart(stack)))


def test_cilium_takes_its_variant(api: Api) -> None:
    """By the definition that Cilium installs, which knows every field and refuses others."""
    definition = cilium_definition()
    assert api.apply(definition, "").status_code == 201  # warns of formats that only Cilium knows
    name = definition["metadata"]["name"]

    def established() -> bool:
        found = api.ask("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}").json()
        conditions = found.get("status", {}).get("conditions") or ()
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    wait_for(name, established)
    wait_for("its address", lambda: api.ask("GET", "/apis/cilium.io/v2").json().get("resources"))
    policies = []
    for stack in STACKS:
        items = objects(base(stack, "cilium"))
        installed(api, stack, items)
        policies += [one for one in items if one["kind"] == "CiliumNetworkPolicy"]

    assert policies
    policies[0]["spec"]["egress"][0]["toHosts"] = ["example.com"]
    refused = api.apply(policies[0], policies[0]["metadata"]["namespace"])
    assert not refused.is_success
    assert "toHosts: field not declared in schema" in refused.text
