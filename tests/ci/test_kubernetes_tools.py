"""The real helm, kustomize and kubeconform on what is generated: they take it, and chart and base install the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from tests.tools import go_tool, kubernetes_schemas

HOUSE = Path(__file__).parents[2]
STACKS = sorted(path.parent.name for path in HOUSE.glob("deploy/kubernetes/*/base"))
VERSIONS = ("1.30.0", "1.37.0")
HELM = ("helm", "helm.sh/helm/v3/cmd/helm@v3.22.0")
KUSTOMIZE = ("kustomize", "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1")
KUBECONFORM = ("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0")

pytestmark = pytest.mark.skipif(not STACKS, reason="needs a checkout, with its generated files")


def run(program: Path, *arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program, whatever it ends with."""
    return subprocess.run([program, *arguments], check=False, capture_output=True, text=True, input=text, timeout=300)


def output(program: Path, *arguments: str | Path) -> str:
    """Return what a program prints; it must be content."""
    done = run(program, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def chart(stack: str, *options: str) -> str:
    """Return what a chart installs."""
    return output(go_tool(*HELM), "template", stack, HOUSE / "deploy" / "helm" / stack, "--namespace", stack, *options)


def base(stack: str, folder: str = "base") -> str:
    """Return what a Kustomize folder installs."""
    return output(go_tool(*KUSTOMIZE), "build", HOUSE / "deploy" / "kubernetes" / stack / folder)


def objects(text: str) -> dict[tuple[str, str], Any]:
    """Return objects by kind and name, without what is only said of a namespace and without what says nothing."""
    found = {}
    for one in yaml.safe_load_all(text):
        if one and one["kind"] != "Namespace":
            one["metadata"].pop("namespace", None)
            found[one["kind"], one["metadata"]["name"]] = _without_empty(one)
    return found


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [])}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value


@pytest.mark.parametrize("stack", STACKS)
def test_helm_finds_no_fault(stack: str) -> None:
    """Warnings are faults."""
    done = run(go_tool(*HELM), "lint", "--strict", HOUSE / "deploy" / "helm" / stack)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("stack", STACKS)
def test_chart_and_base_install_the_same(stack: str) -> None:
    """Without values, every object with every field."""
    assert objects(chart(stack)) == objects(base(stack))


@pytest.mark.parametrize("stack", STACKS)
def test_chart_and_variant_for_cilium_install_the_same(stack: str) -> None:
    """Hosts by name, and nothing that lets services out by address."""
    of_chart = objects(chart(stack, "--set", "cilium.enabled=true"))

    assert of_chart == objects(base(stack, "cilium"))
    assert "CiliumNetworkPolicy" in {kind for kind, _ in of_chart}
    assert [name for kind, name in of_chart if kind == "NetworkPolicy" and name.endswith("-internet")] == []


def test_values_are_used() -> None:
    """Registry, digest, class, sizes, resources, replicas, pull secrets and the name of the Secret."""
    digest = "sha256:" + "1" * 64
    values = {
        "image.registry": "registry.example/team",
        "image.pullSecrets[0].name": "door",
        "services.claude.image.digest": digest,
        "services.claude.replicas": "0",
        "services.claude.resources.limits.memory": "8Gi",
        "services.claude.storage.claude-config": "3Gi",
        "storageClass": "fast",
        "workspace.size": "20Gi",
        "secret": "vault",
    }
    found = objects(chart("solo-claude", *(word for name in values for word in ("--set", f"{name}={values[name]}"))))
    workload = found["StatefulSet", "claude"]["spec"]
    pod = workload["template"]["spec"]
    (container,) = pod["containers"]

    assert container["image"] == f"registry.example/team/node-bun-claude@{digest}"
    assert (workload["replicas"], pod["imagePullSecrets"]) == (0, [{"name": "door"}])
    assert container["resources"]["limits"] == {"memory": "8Gi"}
    (claim,) = workload["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"] == {"storage": "3Gi"}
    assert found["PersistentVolumeClaim", "workspace"]["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    assert {one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "valueFrom" in one} == {"vault"}


def test_a_value_that_means_nothing_is_refused() -> None:
    """By the chart's schema, before anything is installed."""
    folder = HOUSE / "deploy" / "helm" / "solo-claude"
    for wrong in ("services.claude.image.digest=latest", "services.claud.replicas=1", "services.claude.replicas=-1"):
        done = run(go_tool(*HELM), "template", "x", folder, "--set", wrong)

        assert done.returncode != 0, wrong
        assert "values don't meet the specifications of the schema" in done.stderr


@pytest.mark.parametrize("stack", STACKS)
def test_kubeconform_finds_no_fault(stack: str) -> None:
    """Strictly, in all forms; of what Cilium defines itself there is no schema here."""
    folder = kubernetes_schemas(VERSIONS[-1])
    program = go_tool(*KUBECONFORM)
    location = f"{folder}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    for text in (base(stack), base(stack, "cilium"), chart(stack)):
        options = ["-strict", "-summary", "-skip", "CiliumNetworkPolicy", "-schema-location", location]
        done = run(program, *options, "-", text=text)

        assert done.returncode == 0, done.stdout + done.stderr
        assert "Invalid: 0, Errors: 0" in done.stdout


def faults(one: Mapping[str, Any], version: str, folder: Path) -> str:
    """Return what the API's own schema finds wrong with an object, nothing where it is content."""
    group = "-".join(part.partition(".")[0] for part in one["apiVersion"].split("/"))
    schema = kubernetes_schemas(version) / f"{one['kind'].lower()}-{group}.json"
    path = folder / "object.json"
    path.write_text(json.dumps(one))
    done = CliRunner().invoke(check_jsonschema, ["--schemafile", str(schema), str(path)])
    return "" if done.exit_code == 0 else done.output


def written() -> list[Any]:
    """Return all objects of all bases, as they lie there."""
    paths = sorted(HOUSE.glob("deploy/kubernetes/*/base/*.yaml"))
    found = [one for path in paths if path.name != "kustomization.yaml" for one in yaml.safe_load_all(path.read_text())]
    assert {one["kind"] for one in found} >= {"Namespace", "NetworkPolicy", "PersistentVolumeClaim", "StatefulSet"}
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_of_kubernetes_accept_every_object(version: str, tmp_path: Path) -> None:
    """Strictly: a field the API does not know is dropped there without a word. Needs no program but Python."""
    assert [words for one in written() if (words := faults(one, version, tmp_path))] == []


def test_the_schemas_would_notice(tmp_path: Path) -> None:
    """A check that takes anything is none."""
    pod = next(one for one in written() if one["kind"] == "StatefulSet")
    pod["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFileSystem"] = True

    assert "readOnlyRootFileSystem" in faults(pod, VERSIONS[-1], tmp_path)
