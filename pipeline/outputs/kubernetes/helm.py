"""A Helm chart for each stack: the objects of the Kustomize base, with what differs from place to place as values.

Objects are data here as there; where a value belongs stands an expression, and the text around it is escaped, so that
no text of a definition is ever taken for one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.catalog.record import Catalog
from pipeline.outputs.documents import yaml_text
from pipeline.outputs.generated import Generated, header
from pipeline.outputs.kubernetes.network import cilium_policies, outside
from pipeline.outputs.kubernetes.objects import stack_objects
from pipeline.outputs.kubernetes.report import shortfalls
from pipeline.outputs.kubernetes.shape import SIZES, replicas, resources
from pipeline.outputs.kubernetes.values_schema import values_schema
from pipeline.outputs.references import Reference, reference
from pipeline.outputs.shortfalls import shortfall_page
from pipeline.outputs.subject import Subject
from pipeline.resolve.stack_plan import ServicePlan, StackPlan

FOLDER = "deploy/helm"
"""Where the charts are."""
_SORT = "helm"
# Whatever stands between these in a text of ours is an expression; neither is in any text that definitions allow.
_OPEN, _CLOSE = "\ue000", "\ue001"
_EXPRESSION = re.compile(f"['\"]?{_OPEN}(.*?){_CLOSE}['\"]?")
_HELPERS = """\
{{- define "stack.image" -}}
{{- $name := .image.repository -}}
{{- if .registry }}{{ $name = printf "%s/%s" .registry $name }}{{ end -}}
{{- if .image.digest }}{{ printf "%s@%s" $name .image.digest }}{{ else }}{{ printf "%s:%s" $name .image.tag }}{{ end -}}
{{- end -}}
"""


@dataclass(frozen=True, slots=True)
class Values:
    """What is settled at installation, as expressions over the chart's values."""

    def image(self, service: ServicePlan) -> str:
        """Return what puts registry, repository and tag or digest together."""
        value = f"{_of(service)}.image"
        return _expression(f'include "stack.image" (dict "image" {value} "registry" .Values.image.registry) | toJson')

    def pull(self) -> dict[str, Any]:
        """Return the names of the Secrets that open a registry."""
        return {"imagePullSecrets": _json(".Values.image.pullSecrets")}

    def resources(self, service: ServicePlan) -> str:
        """Return requests and limits."""
        return _json(f"{_of(service)}.resources")

    def replicas(self, service: ServicePlan) -> str:
        """Return how many pods there are."""
        return _json(f"{_of(service)}.replicas")

    def storage(self, service: ServicePlan | None, volume: str, purpose: str) -> dict[str, Any]:  # noqa: ARG002
        """Return size and class; where no class is given, the cluster's own is taken."""
        size = f'(index {_of(service)}.storage "{volume}")' if service else ".Values.workspace.size"
        return {
            "storageClassName": _json("(default nil .Values.storageClass)"),
            "resources": {"requests": {"storage": _json(size)}},
        }

    def secret(self, stack: str) -> str:  # noqa: ARG002
        """Return the name of the Secret."""
        return _json(".Values.secret")


def helm_files(subject: Subject) -> tuple[Generated, ...]:
    """Return the chart of each stack."""
    return tuple(file for stack in subject.stacks() for file in _files(subject, stack))


def default_values(stack: StackPlan, catalog: Catalog) -> dict[str, Any]:
    """Return what the chart installs where nothing else is asked for: what the Kustomize base does."""
    values: dict[str, Any] = {
        "image": {"registry": "", "pullSecrets": []},
        "secret": stack.name,
        "storageClass": "",
        "workspace": {"size": SIZES["workspace"]},
        "cilium": {"enabled": False},
        "services": {service.name: _service_values(service, catalog) for service in stack.services},
    }
    if not any(service.service.workspace for service in stack.services):
        del values["workspace"]
    return values


def _service_values(service: ServicePlan, catalog: Catalog) -> dict[str, Any]:
    image = reference(catalog, service.image)
    storage = {one.name: SIZES[one.volume.purpose] for one in service.volumes}
    return {
        "replicas": replicas(service),
        "image": {"repository": image.repository, "tag": image.tag, "digest": image.digest},
        "resources": resources(service),
        **({"storage": storage} if storage else {}),
    }


def _files(subject: Subject, stack: StackPlan) -> Iterator[Generated]:
    folder, source = f"{FOLDER}/{stack.name}", f"definitions/stacks/{stack.name}.yaml"
    comments = (header(_SORT, source, "#"),)
    values = default_values(stack, subject.catalog)
    chart = {
        "apiVersion": "v2",
        "name": stack.name,
        "description": stack.defined.model.metadata.description,
        "type": "application",
        "version": subject.version,
    }
    yield Generated(f"{folder}/Chart.yaml", yaml_text(comments, chart))
    yield Generated(f"{folder}/values.yaml", yaml_text((*comments, *_values_comments(stack, subject.catalog)), values))
    schema = json.dumps(values_schema(values, header(_SORT, source, "").strip()), indent=2) + "\n"
    yield Generated(f"{folder}/values.schema.json", schema)
    note = f"{{{{- /* {header(_SORT, source, '').strip()} */ -}}}}\n"
    yield Generated(f"{folder}/templates/_helpers.tpl", note + _HELPERS)
    lets_out = {outside(service) for service in stack.services if service.egress}
    for name, documents in stack_objects(stack, Values()).items():
        yield Generated(f"{folder}/templates/{name}", _template(comments, documents, lets_out))
    if policies := tuple(cilium_policies(stack)):
        text = _within("if .Values.cilium.enabled", _escaped(yaml_text((), *policies)))
        yield Generated(f"{folder}/templates/hosts.yaml", "".join(f"{line}\n" for line in comments) + text)
    yield Generated(f"{folder}/templates/NOTES.txt", note + _notes(stack))
    about = f"What of the stack the chart `{stack.name}` does not tell Kubernetes, or a cluster does not hold to."
    title = f"{stack.defined.model.metadata.title or stack.name} as a Helm chart"
    page = shortfall_page(_SORT, source, title, about, shortfalls(stack, subject.catalog))
    yield Generated(f"{folder}/REPORT.md", page)


def _values_comments(stack: StackPlan, catalog: Catalog) -> Iterator[str]:
    yield "# image.registry is put before each repository; secret is the Secret that holds the stack's secrets."
    yield "# With cilium.enabled, services reach the hosts they declare, by name, and no other."
    images: dict[str, Reference] = {one.image: reference(catalog, one.image) for one in stack.services}
    yield from (f"# {name}: {image.comment}" for name, image in images.items())


def _template(comments: Iterable[str], documents: Iterable[Mapping[str, Any]], lets_out: set[str]) -> str:
    """Return a template; what lets services out by address is left out where it is done by name."""
    texts = []
    for document in documents:
        text = _escaped(yaml_text((), document))
        by_address = document["kind"] == "NetworkPolicy" and document["metadata"]["name"] in lets_out
        texts.append(_within("if not .Values.cilium.enabled", text) if by_address else text)
    return "".join(f"{line}\n" for line in comments) + "---\n".join(texts)


def _within(condition: str, text: str) -> str:
    return f"{{{{- {condition} }}}}\n{text}{{{{- end }}}}\n"


def _escaped(text: str) -> str:
    """Return YAML with its expressions in place, and anything that only looks like one as text."""
    return _EXPRESSION.sub(r"{{ \1 }}", text.replace("{{", '{{ "{{" }}'))


def _of(service: ServicePlan) -> str:
    return f'(index .Values.services "{service.name}")'


def _json(value: str) -> str:
    return _expression(f"toJson {value}")


def _expression(text: str) -> str:
    return f"{_OPEN}{text}{_CLOSE}"


def _notes(stack: StackPlan) -> str:
    secrets = [secret.name for secret in stack.secrets]
    lines = [f"{stack.name} is in namespace {{{{ .Release.Namespace }}}}."]
    if secrets:
        lines += ["", f"It reads secrets from the Secret {{{{ .Values.secret }}}}: {', '.join(secrets)}."]
    lines += ["", "Have the namespace refuse what asks for more than it needs:", ""]
    lines += ["  kubectl label namespace {{ .Release.Namespace }} pod-security.kubernetes.io/enforce=restricted"]
    return "\n".join(lines) + "\n"
