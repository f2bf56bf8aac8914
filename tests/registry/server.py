"""A real registry (Debian's docker-registry) on loopback, with TLS and a login by wish, ended with its test."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from tests.engine.support import end, free_port, wait_for

USER, PASSWORD = "pusher", "c4n4ry-r3gistry-p4ss"
_HTPASSWD = f"{USER}:$2b$04$feAmGGudHTRwAF1WxIwBDOJYo/HQElczjePKnia7DUsCr51cgbbDG\n"  # bcrypt of it
_CHANGES = ("PUT", "POST", "PATCH")
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFESTS = f"{_INDEX}, application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True, slots=True)
class Registry:
    """An image registry: its address, its access log, where it keeps its data, and the CA of its certificate."""

    address: str
    log: Path
    data: Path
    ca: Path | None = None

    @property
    def url(self) -> str:
        """The address with its scheme."""
        return f"{'https' if self.ca else 'http'}://{self.address}"

    def uploads(self) -> list[str]:
        """Return the requests so far that changed something, as the access log has them."""
        lines = self.log.read_text().splitlines()
        return [line for line in lines if any(f'"{method} /v2/' in line for method in _CHANGES)]

    def client(self) -> httpx.Client:
        """Return a client that trusts it, and is logged in where it wants that."""
        context = ssl.create_default_context(cafile=str(self.ca)) if self.ca else True
        auth = (USER, PASSWORD) if self.ca else None
        return httpx.Client(base_url=self.url, verify=context, auth=auth, trust_env=False)

    def tags(self, name: str) -> dict[str, str]:
        """Return the tags of a repository, and what each names."""
        with self.client() as client:
            answer = client.get(f"/v2/{name}/tags/list")
            names = (answer.json().get("tags") or []) if answer.is_success else []
            return {tag: self.digest(client, name, tag) for tag in sorted(names)}

    def named(self, name: str) -> list[str]:
        """Return the tags that name something. It lists one a moment before, and answers 404 to who asks for it."""
        folder = self.data / "docker/registry/v2/repositories" / name / "_manifests/tags"
        return sorted(path.parent.parent.name for path in folder.glob("*/current/link"))

    def digest(self, client: httpx.Client, name: str, reference: str) -> str:
        """Return the digest of a manifest."""
        answer = client.head(f"/v2/{name}/manifests/{reference}", headers={"Accept": _MANIFESTS})
        answer.raise_for_status()
        return str(answer.headers["Docker-Content-Digest"])

    def state(self, namespace: str = "") -> dict[str, Any]:
        """Return what users see of it, or of a namespace: every repository with its tags, manifests and blobs."""
        root = self.data / "docker/registry/v2/repositories"
        names = sorted(str(path.parent.relative_to(root)) for path in (root / namespace).rglob("_manifests"))
        found = {}
        for name in names:
            links = sorted(path.parent.name for path in (root / name / "_layers").rglob("link"))
            revisions = sorted(path.parent.name for path in (root / name / "_manifests/revisions").rglob("link"))
            found[name] = {"tags": self.tags(name), "blobs": links, "manifests": revisions}
        return found

    def check_whole(self, name: str, reference: str) -> None:
        """Read everything below a tag; raises where any of it is not there."""
        with self.client() as client:
            answer = client.get(f"/v2/{name}/manifests/{reference}", headers={"Accept": _MANIFESTS})
            answer.raise_for_status()
            document = answer.json()
            for entry in document.get("manifests", ()):
                self.check_whole(name, entry["digest"])
            for blob in [*document.get("layers", ()), *([document["config"]] if "config" in document else [])]:
                held = client.head(f"/v2/{name}/blobs/{blob['digest']}")
                held.raise_for_status()
                assert int(held.headers["Content-Length"]) == blob["size"]

    def put_index(self, name: str, tag: str, index: bytes) -> None:
        """Put an index whose manifests are there under a tag."""
        with self.client() as client:
            address = f"/v2/{name}/manifests/{tag}"
            client.put(address, content=index, headers={"Content-Type": _INDEX}).raise_for_status()


@contextmanager
def run_registry(*, secured: bool = False) -> Iterator[Registry]:
    """Start an empty registry; a secured one has TLS and wants USER and PASSWORD."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    with tempfile.TemporaryDirectory(prefix="agc-r-") as name, Path(name, "log").open("w") as log:
        folder, port = Path(name), free_port()
        # Docker's rule, which is ours, is that localhost and 127.0.0.1 go without TLS.
        host = "127.0.0.2" if secured else "127.0.0.1"
        http: dict[str, Any] = {"addr": f"{host}:{port}"}
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
            "http": http,
        }
        if secured:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(folder / "ca.pem"))
            issued = authority.issue_cert(host)
            issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
            http["tls"] = {"certificate": str(folder / "server.pem"), "key": str(folder / "server.pem")}
            (folder / "htpasswd").write_text(_HTPASSWD)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
        (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        server = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
        try:
            wait_for("the registry", lambda: "listening on" in (folder / "log").read_text())
            address = f"{host if secured else 'localhost'}:{port}"
            yield Registry(address, folder / "log", folder / "data", folder / "ca.pem" if secured else None)
        finally:
            end(server)
