"""A Kubernetes API server with a store of its own, on loopback: all of admission and validation, and no node."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.engine.support import end, free_port, wait_for
from tests.tools import go_build

VERSION = "1.36.3"
_ETCD = "3.6.16"
_CILIUM = "1.20.2"
_TOKEN = "let-me-in"  # noqa: S105  # of a server that lives as long as the tests
# Its module names these by places in its own repository.
_STAGED = (
    *("api", "apiextensions-apiserver", "apimachinery", "apiserver", "cli-runtime", "client-go", "cloud-provider"),
    *("cluster-bootstrap", "code-generator", "component-base", "component-helpers", "controller-manager", "cri-api"),
    *("cri-client", "cri-streaming", "csi-translation-lib", "dynamic-resource-allocation", "endpointslice"),
    *("externaljwt", "kms", "kube-aggregator", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl"),
    *("kubelet", "metrics", "mount-utils", "pod-security-admission", "sample-apiserver", "streaming"),
)


@dataclass(slots=True)
class Api:
    """A client of the server that may do everything; `kinds` are those it has met: path and plural of each."""

    client: httpx.Client
    kinds: dict[tuple[str, str], tuple[str, str, bool]] = field(default_factory=dict)

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Return an answer, whatever it is."""
        return self.client.request(method, path, **options)

    def apply(self, item: Mapping[str, Any], namespace: str) -> httpx.Response:
        """Apply an object on the server's side; a field that it does not know is an error."""
        group, plural, spaced = self._kind(item["apiVersion"], item["kind"])
        place = f"{group}/namespaces/{namespace}/{plural}" if spaced else f"{group}/{plural}"
        return self.ask(
            "PATCH",
            f"{place}/{item['metadata']['name']}",
            params={"fieldManager": "tests", "fieldValidation": "Strict", "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(item),
        )

    def try_pod(self, workload: Mapping[str, Any], namespace: str, **security: Any) -> httpx.Response:
        """Ask for a pod as a workload would make it, with `security` on top of its containers' own; none is made."""
        template = copy.deepcopy(workload["spec"]["template"])
        for container in template["spec"]["containers"]:
            container.setdefault("securityContext", {}).update(security)
        claims = workload["spec"].get("volumeClaimTemplates", [])
        template["spec"].setdefault("volumes", []).extend(
            {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
            for claim in claims
        )
        metadata = {**template["metadata"], "name": f"{workload['metadata']['name']}-0"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        options = {"dryRun": "All", "fieldValidation": "Strict"}
        return self.ask("POST", f"/api/v1/namespaces/{namespace}/pods", params=options, json=pod)

    def _kind(self, version: str, kind: str) -> tuple[str, str, bool]:
        if (version, kind) not in self.kinds:
            group = f"/apis/{version}" if "/" in version else f"/api/{version}"
            for one in self.ask("GET", group).raise_for_status().json()["resources"]:
                if "/" not in one["name"]:
                    self.kinds[version, one["kind"]] = (group, one["name"], one["namespaced"])
        return self.kinds[version, kind]


def cilium_definition() -> dict[str, Any]:
    """Return the definition of CiliumNetworkPolicy as Cilium installs it; skips where it cannot be had."""
    command = ["go", "mod", "download", "-json", f"github.com/cilium/cilium@v{_CILIUM}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"Cilium's module cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    folder = Path(json.loads(done.stdout)["Dir"], "pkg/k8s/apis/cilium.io/client/crds/v2")
    found: dict[str, Any] = yaml.safe_load((folder / "ciliumnetworkpolicies.yaml").read_text(encoding="utf-8"))
    return found


@contextmanager
def kubernetes_api(folder: Path) -> Iterator[Api]:
    """Start the server, and its store, with everything below `folder`; skips where they cannot be had."""
    server, store = _server(), _store()
    peer, listen, port = free_port(), free_port(), free_port()
    (folder / "tokens.csv").write_text(f'{_TOKEN},admin,admin,"system:masters"\n')
    (folder / "accounts.pem").write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    etcd = {
        "data-dir": folder / "store",
        "listen-client-urls": f"http://127.0.0.1:{listen}",
        "advertise-client-urls": f"http://127.0.0.1:{listen}",
        "listen-peer-urls": f"http://127.0.0.1:{peer}",
        "initial-advertise-peer-urls": f"http://127.0.0.1:{peer}",
        "initial-cluster": f"default=http://127.0.0.1:{peer}",
    }
    apiserver = {
        "etcd-servers": f"http://127.0.0.1:{listen}",
        "allow-privileged": "true",  # as on any cluster, where namespaces decide
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": port,
        "cert-dir": folder / "certificates",
        "token-auth-file": folder / "tokens.csv",
        "authorization-mode": "RBAC",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": folder / "accounts.pem",
        "service-account-signing-key-file": folder / "accounts.pem",
        "service-cluster-ip-range": "10.0.0.0/24",
        "endpoint-reconciler-type": "none",
    }
    with _running(store, etcd, folder / "etcd.log"), _running(server, apiserver, folder / "server.log") as process:
        certificate = folder / "certificates" / "apiserver.crt"
        wait_for("the server's certificate", lambda: process.poll() is not None or certificate.exists())
        trust = ssl.create_default_context(cafile=str(certificate))
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        address = f"https://127.0.0.1:{port}"
        with httpx.Client(base_url=address, headers=headers, verify=trust, timeout=60, trust_env=False) as client:
            wait_for("the server", lambda: process.poll() is not None or _is_ready(client), 120)
            assert process.poll() is None, (folder / "server.log").read_text()[-2000:]
            yield Api(client)


def _is_ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return client.get("/readyz").status_code == 200
    return False


@contextmanager
def _running(program: Path, options: Mapping[str, Any], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        command = [str(program), *(f"--{name}={value}" for name, value in options.items())]
        process = subprocess.Popen(command, stdout=file, stderr=file)
        try:
            yield process
        finally:
            end(process)


def _server() -> Path:
    minor = VERSION.partition(".")[2]
    staged = "\n".join(f"replace k8s.io/{name} => k8s.io/{name} v0.{minor}" for name in _STAGED)
    module = f"module example.com/made\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v{VERSION}\n\n{staged}\n"
    return go_build("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", module, asked_for="AGC_TEST_TOOLS")


def _store() -> Path:
    if found := shutil.which("etcd"):
        return Path(found)
    name = "go.etcd.io/etcd/server/v3"
    module = f"module example.com/made\n\ngo 1.26.0\n\nrequire {name} v{_ETCD}\n"
    return go_build("etcd", name, module, asked_for="AGC_TEST_TOOLS")
