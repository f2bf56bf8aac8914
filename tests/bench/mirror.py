"""A mirror on loopback that keeps what it fetched, so that both sides get the same bytes at the same speed."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.engine.support import serving

_ASKED = ("Accept", "Accept-Encoding")
_KEPT = ("content-type", "content-encoding", "etag", "last-modified")


class _Server(ThreadingHTTPServer):
    """Takes hundreds of requests at once, and takes it well when somebody has heard enough."""

    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@dataclass(frozen=True, slots=True)
class Stored:
    """An answer that lies in a file."""

    body: Path
    headers: Mapping[str, str]


@dataclass
class CachingMirror:
    """Answers for the hosts in `routes` (path prefix to URL) with what it has in `folder`, fetched where missing.

    Archives never change and stay there for the next run; everything else is asked for once a run. It answers to
    absolute addresses too, so that it can be given to apt as a proxy.
    """

    routes: Mapping[str, str]
    folder: Path
    address: str = ""
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    @contextmanager
    def run(self) -> Iterator[CachingMirror]:
        """Serve until the end of the block."""
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        for name in ("run", "kept"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        with _Server(("127.0.0.1", 0), self._handler()) as server:
            self.address = f"http://127.0.0.1:{server.server_port}"
            with serving(server):
                yield self

    def obtain(self, path: str, headers: Mapping[str, str]) -> Stored:
        """Return the answer to a request; raises httpx.HTTPError where there is none."""
        lasting = path.endswith((".deb", ".tgz", ".whl")) or "/by-hash/" in path
        asked = {} if lasting else {name: headers[name] for name in _ASKED if name in headers}
        key = hashlib.sha256(json.dumps([path, asked], sort_keys=True).encode()).hexdigest()
        body = self.folder / ("kept" if lasting else "run") / key
        described = body.with_suffix(".json")
        with self._locks[key]:
            if not described.exists():
                self._fetch(path, asked, body, described)
        return Stored(body, json.loads(described.read_text()))

    def _fetch(self, path: str, headers: Mapping[str, str], body: Path, described: Path) -> None:
        prefix = max((prefix for prefix in self.routes if path.startswith(prefix)), key=len)
        url = self.routes[prefix] + path.removeprefix(prefix)
        with (
            httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=120) as answer,
            tempfile.NamedTemporaryFile(dir=body.parent, delete=False) as file,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_raw(1 << 20):
                file.write(chunk)
        Path(file.name).replace(body)
        kept = {name: value for name, value in answer.headers.items() if name in _KEPT}
        described.write_text(json.dumps(kept))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        obtain = self.obtain

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                try:
                    stored = obtain(parts.path + (f"?{parts.query}" if parts.query else ""), dict(self.headers))
                except httpx.HTTPStatusError as error:
                    _refuse(self, error.response.status_code)
                except httpx.HTTPError:
                    _refuse(self, 502)
                else:
                    _serve(self, stored)

            do_HEAD = do_GET  # noqa: N815  # the name http.server looks for

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        return Handler


def _refuse(handler: BaseHTTPRequestHandler, status: int) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _serve(handler: BaseHTTPRequestHandler, stored: Stored) -> None:
    etag = stored.headers.get("etag")
    if etag and handler.headers.get("If-None-Match") == etag:
        _refuse(handler, 304)
        return
    with stored.body.open("rb") as file:
        handler.send_response(200)
        for name, value in stored.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(stored.body.stat().st_size))
        handler.end_headers()
        if handler.command == "GET":
            handler.connection.sendfile(file)
