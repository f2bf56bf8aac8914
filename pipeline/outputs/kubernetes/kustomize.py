"""A Kustomize base for each stack, and beside it a variant whose policies know host names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.outputs.documents import yaml_text
from pipeline.outputs.generated import Generated, header
from pipeline.outputs.kubernetes.network import cilium_policies, outside
from pipeline.outputs.kubernetes.objects import made, stack_objects
from pipeline.outputs.kubernetes.pods import labels
from pipeline.outputs.kubernetes.report import shortfalls
from pipeline.outputs.kubernetes.shape import Plain
from pipeline.outputs.shortfalls import shortfall_page
from pipeline.outputs.subject import Subject
from pipeline.resolve.stack_plan import StackPlan

FOLDER = "deploy/kubernetes"
"""Where the files are, a folder for each stack."""
_SORT = "kubernetes"
_API = "kustomize.config.k8s.io/v1beta1"


def kubernetes_files(subject: Subject) -> tuple[Generated, ...]:
    """Return base, variant for Cilium and report of each stack."""
    return tuple(file for stack in subject.stacks() for file in _files(subject, stack))


def _files(subject: Subject, stack: StackPlan) -> Iterator[Generated]:
    folder, source = f"{FOLDER}/{stack.name}", f"definitions/stacks/{stack.name}.yaml"
    comments = (header(_SORT, source, "#"),)
    objects = {"namespace.yaml": (_namespace(stack),), **stack_objects(stack, Plain(subject.catalog))}
    for name, documents in objects.items():
        yield Generated(f"{folder}/base/{name}", yaml_text(comments, *documents))
    base = {"apiVersion": _API, "kind": "Kustomization", "namespace": stack.name, "resources": [*objects]}
    yield Generated(f"{folder}/base/kustomization.yaml", yaml_text(comments, base))
    page = shortfall_page(_SORT, source, _title(stack), _about(stack), shortfalls(stack, subject.catalog))
    yield Generated(f"{folder}/base/REPORT.md", page)
    if policies := tuple(cilium_policies(stack)):
        yield Generated(f"{folder}/cilium/hosts.yaml", yaml_text(comments, *policies))
        yield Generated(f"{folder}/cilium/kustomization.yaml", yaml_text(comments, _variant(stack)))


def _about(stack: StackPlan) -> str:
    text = "What of the stack Kubernetes is not told by the objects here, or does not hold to."
    if not stack.secrets:
        return text
    command = f"kubectl -n {stack.name} create secret generic {stack.name} --from-file=VARIABLE=FILE"
    return f"{text} Its secrets are read from the Secret of the stack's name, a key for each variable: `{command}`."


def _title(stack: StackPlan) -> str:
    return f"{stack.defined.model.metadata.title or stack.name} on Kubernetes"


def _namespace(stack: StackPlan) -> dict[str, Any]:
    """Return the stack's namespace, which refuses pods that ask for more than `restricted` allows."""
    modes = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return made("v1", "Namespace", stack.name, {**labels(stack), **modes})


def _variant(stack: StackPlan) -> dict[str, Any]:
    """Return the base without what lets services out of the cluster by address, and with what does by name."""
    gone = [
        {
            "patch": yaml_text(
                (),
                {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "NetworkPolicy",
                    "metadata": {"name": outside(service)},
                    "$patch": "delete",
                },
            )
        }
        for service in stack.services
        if service.egress
    ]
    return {
        "apiVersion": _API,
        "kind": "Kustomization",
        "namespace": stack.name,
        "resources": ["../base", "hosts.yaml"],
        "patches": gone,
    }
