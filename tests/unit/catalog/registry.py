"""A registry in memory, for httpx.MockTransport: repositories, blobs, uploads, mounts, tags, and referrers by wish."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from pipeline.digest import digest_bytes

_PATH = re.compile(r"/v2/(?P<name>.+?)/(?P<kind>blobs/uploads|blobs|manifests|referrers|tags)/(?P<rest>.*)")
HOST = "registry.example"


@dataclass
class MemoryRegistry:
    """What a registry holds, by repository, and every request it heard; `before` may answer in its place."""

    has_referrers: bool = False
    has_mounts: bool = True
    before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
    asked: list[httpx.Request] = field(default_factory=list)
    blobs: dict[str, dict[str, bytes]] = field(default_factory=lambda: defaultdict(dict))
    manifests: dict[str, dict[str, tuple[str, bytes]]] = field(default_factory=lambda: defaultdict(dict))
    uploads: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append(request)
        if (answer := self.before(request)) is not None:
            return answer
        found = _PATH.fullmatch(request.url.path)
        if found is None:
            return httpx.Response(404)
        name, rest = found["name"], found["rest"]
        handlers = {
            "blobs": self._blob,
            "blobs/uploads": self._upload,
            "manifests": self._manifest,
            "referrers": self._referrers,
            "tags": self._tags,
        }
        answer = handlers[found["kind"]](request, name, rest)
        return httpx.Response(answer.status_code, headers=answer.headers) if request.method == "HEAD" else answer

    @property
    def sent(self) -> list[str]:
        """The blobs that were uploaded, by path of what finished each."""
        return [
            str(request.url.params["digest"])
            for request in self.asked
            if request.method == "PUT" and "/blobs/uploads/" in request.url.path
        ]

    def tags(self, name: str) -> dict[str, str]:
        """Return the tags of a repository, and what each names."""
        entries = self.manifests[name].items()
        return {tag: digest_bytes(data) for tag, (_, data) in entries if not tag.startswith("sha256:")}

    def _blob(self, _request: httpx.Request, name: str, digest: str) -> httpx.Response:
        data = self.blobs[name].get(digest)
        if data is None:
            return httpx.Response(404)
        return httpx.Response(200, content=data, headers={"Docker-Content-Digest": digest})

    def _upload(self, request: httpx.Request, name: str, key: str) -> httpx.Response:
        params = request.url.params
        if request.method == "POST":
            source, digest = params.get("from", ""), params.get("mount", "")
            if self.has_mounts and digest in self.blobs[source]:
                self.blobs[name][digest] = self.blobs[source][digest]
                return httpx.Response(201, headers={"Location": f"/v2/{name}/blobs/{digest}"})
            key = str(len(self.asked))  # no two alike
            self.uploads[key] = b""
        elif key not in self.uploads:
            return httpx.Response(404)
        if request.method in {"PATCH", "PUT"}:
            self.uploads[key] += request.content
        if request.method != "PUT":
            held = max(len(self.uploads[key]) - 1, 0)
            headers = {"Location": f"/v2/{name}/blobs/uploads/{key}", "Range": f"0-{held}"}
            return httpx.Response(204 if request.method == "GET" else 202, headers=headers)
        data = self.uploads.pop(key)
        if digest_bytes(data) != params["digest"]:
            return httpx.Response(400, json={"errors": [{"code": "DIGEST_INVALID"}]})
        self.blobs[name][params["digest"]] = data
        return httpx.Response(201, headers={"Docker-Content-Digest": params["digest"]})

    def _manifest(self, request: httpx.Request, name: str, reference: str) -> httpx.Response:
        known = self.manifests[name]
        if request.method == "PUT":
            digest = digest_bytes(request.content)
            if missing := self._missing(name, json.loads(request.content)):
                return httpx.Response(400, json={"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "detail": missing}]})
            known[reference] = known[digest] = (request.headers["Content-Type"], request.content)
            subject = json.loads(request.content).get("subject")
            more = {"OCI-Subject": subject["digest"]} if self.has_referrers and subject else {}
            return httpx.Response(201, headers={"Docker-Content-Digest": digest, **more})
        if reference not in known:
            return httpx.Response(404)
        media_type, data = known[reference]
        headers = {"Content-Type": media_type, "Docker-Content-Digest": digest_bytes(data)}
        return httpx.Response(200, content=data, headers=headers)

    def _missing(self, name: str, document: Any) -> list[str]:
        blobs = [*document.get("layers", ()), *([document["config"]] if "config" in document else [])]
        lacking = [blob["digest"] for blob in blobs if blob["digest"] not in self.blobs[name]]
        below = [entry["digest"] for entry in document.get("manifests", ())]
        return lacking + [digest for digest in below if digest not in self.manifests[name]]

    def _referrers(self, _request: httpx.Request, name: str, subject: str) -> httpx.Response:
        if not self.has_referrers:
            return httpx.Response(404)
        entries = []
        for reference, (media_type, data) in self.manifests[name].items():
            document = json.loads(data)
            if reference.startswith("sha256:") and document.get("subject", {}).get("digest") == subject:
                entries.append({"mediaType": media_type, "digest": reference, "size": len(data)})
        index = {"schemaVersion": 2, "manifests": entries}
        return httpx.Response(200, json=index, headers={"Content-Type": "application/vnd.oci.image.index.v1+json"})

    def _tags(self, _request: httpx.Request, name: str, _rest: str) -> httpx.Response:
        return httpx.Response(200, json={"name": name, "tags": list(self.tags(name)) or None})
