"""A proxy in front of a registry that misbehaves on demand, counts what passes, and may hand out short-lived tokens."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.engine.support import serving

_PIECE = 1 << 16
_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a call.

    `status` answers at once with that and `headers`. `cut_request` and `cut_answer` carry so many of its bytes and
    close. `seconds` is a delay before.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    cut_request: int | None = None
    cut_answer: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A call: its number from 1, method, path with query, login, and bytes of its body that came."""

    number: int
    method: str
    path: str
    authorization: str
    size: int


@dataclass
class Proxy:
    """The proxy; `fault` says what goes wrong with a call, by number, method and path."""

    upstream: str
    fault: Callable[[int, str, str], Fault | None] = lambda _number, _method, _path: None
    token_lasts: int = 0
    """How many calls a token is good for; without, no login is wanted."""
    credentials: str = ""
    """The Authorization header that the token service wants."""
    heard: list[Heard] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)
    address: str = ""
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def blob_bytes(self) -> int:
        """The bytes of blobs that came."""
        return sum(call.size for call in self.heard if "/blobs/uploads/" in call.path)

    def number(self) -> int:
        """Count a call."""
        with self._lock:
            self._count += 1
            return self._count

    @contextmanager
    def run(self) -> Iterator[Proxy]:
        """Serve until the end of the block."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    super().handle_one_request()
                    return
                self.close_connection = True

            def do_GET(self) -> None:
                proxy._answer(self)

            do_HEAD = do_PUT = do_POST = do_PATCH = do_GET  # noqa: N815  # the names http.server looks for

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.address = f"localhost:{server.server_port}"
            with serving(server):
                yield self

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        number = self.number()
        login = handler.headers.get("Authorization", "")
        length = int(handler.headers.get("Content-Length") or 0)
        if handler.path.startswith("/token"):
            self.heard.append(Heard(number, handler.command, handler.path, login, 0))
            self._token(handler, login)
            return
        fault = self.fault(number, handler.command, handler.path) or Fault()
        time.sleep(fault.seconds)
        if self.token_lasts and not self._may(login):
            handler.rfile.read(length)
            self.heard.append(Heard(number, handler.command, handler.path, login, 0))
            challenge = f'Bearer realm="http://{self.address}/token",service="tests"'
            _reply(handler, 401, (("WWW-Authenticate", challenge),))
            return
        if fault.status:
            handler.rfile.read(length)
            self.heard.append(Heard(number, handler.command, handler.path, login, 0))
            _reply(handler, fault.status, fault.headers)
            return
        self._forward(handler, number, login, length, fault)

    def _forward(self, handler: BaseHTTPRequestHandler, number: int, login: str, length: int, fault: Fault) -> None:
        parts = urlsplit(f"http://{self.upstream}")
        sent = length if fault.cut_request is None else min(fault.cut_request, length)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        with contextlib.closing(connection) as upstream:
            upstream.putrequest(handler.command, handler.path, skip_host=True, skip_accept_encoding=True)
            for name, value in handler.headers.items():
                if name.lower() not in {"connection", "authorization"}:
                    upstream.putheader(name, value)
            upstream.endheaders()
            left = sent
            while left:
                piece = handler.rfile.read(min(left, _PIECE))
                if not piece:
                    break
                upstream.send(piece)
                left -= len(piece)
            self.heard.append(Heard(number, handler.command, handler.path, login, sent - left))
            if fault.cut_request is not None:
                handler.close_connection = True
                return
            answer = upstream.getresponse()
            body = answer.read()
            handler.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    handler.send_header(name, value)
            told = answer.getheader("Content-Length") if handler.command == "HEAD" else str(len(body))
            handler.send_header("Content-Length", told or "0")
            handler.end_headers()
            if fault.cut_answer is not None:
                body = body[: fault.cut_answer]
                handler.close_connection = True
            handler.wfile.write(body)

    def _token(self, handler: BaseHTTPRequestHandler, login: str) -> None:
        if self.credentials and login != self.credentials:
            _reply(handler, 401)
            return
        with self._lock:
            token = f"t0ken{len(self.tokens)}"
            self.tokens[token] = self.token_lasts
        _reply(handler, 200, (("Content-Type", "application/json"),), f'{{"token":"{token}"}}'.encode())

    def _may(self, login: str) -> bool:
        token = login.removeprefix("Bearer ")
        with self._lock:
            if self.tokens.get(token, 0) <= 0:
                return False
            self.tokens[token] -= 1
            return True


def _reply(
    handler: BaseHTTPRequestHandler, status: int, headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
) -> None:
    handler.send_response(status)
    for name, value in headers:
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
