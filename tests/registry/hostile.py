"""A registry over HTTP that answers one call with something else than it should, and a host that fishes for logins."""

from __future__ import annotations

import contextlib
import gzip
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from tests.engine.support import serving
from tests.unit.catalog.registry import MemoryRegistry

TOKEN = "c4n4ry-t0ken"  # noqa: S105  # what must never be shown


@dataclass
class Answer:
    """What is answered instead; `endless` goes on until the other side has enough, `raw` is not even HTTP."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    endless: bool = False
    raw: bytes = b""
    length: str = ""


@dataclass
class Hostile:
    """The registry; `twist` makes something of an answer at call number `at`, and at those after it with `stays`."""

    twist: Callable[[httpx.Response], Answer]
    at: int
    stays: bool
    credentials: str
    calls: int = 0
    memory: MemoryRegistry = field(default_factory=MemoryRegistry)
    address: str = ""

    @contextmanager
    def run(self) -> Iterator[Hostile]:
        """Serve until the end of the block."""
        hostile = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with contextlib.suppress(OSError):
                    hostile._answer(self, body)

            do_HEAD = do_PUT = do_POST = do_PATCH = do_GET  # noqa: N815  # the names http.server looks for

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.address = f"127.0.0.1:{server.server_port}"
            with serving(server):
                yield self

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.calls += 1
        number, login = self.calls, handler.headers.get("Authorization", "")
        request = httpx.Request(
            handler.command, f"http://{self.address}{handler.path}", headers=dict(handler.headers.items()), content=body
        )
        if handler.path.startswith("/token"):
            right = login == self.credentials
            answer = httpx.Response(200, json={"token": TOKEN}) if right else httpx.Response(401)
        elif login != f"Bearer {TOKEN}":
            challenge = f'Bearer realm="http://{self.address}/token",service="x"'
            answer = httpx.Response(401, headers={"WWW-Authenticate": challenge})
        else:
            answer = self.memory(request)
        if number == self.at or (self.stays and number > self.at):
            _send(handler, self.twist(answer))
        else:
            _send(handler, Answer(answer.status_code, dict(answer.headers.items()), answer.content))


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    if answer.raw:
        handler.wfile.write(answer.raw)
        handler.close_connection = True
        return
    handler.send_response(answer.status, "Odd")
    for name, value in answer.headers.items():
        if name.lower() not in {"content-length", "transfer-encoding"}:
            handler.send_header(name, value)
    told = answer.headers.get("content-length") if handler.command == "HEAD" else None
    if not answer.endless:
        handler.send_header("Content-Length", answer.length or told or str(len(answer.body)))
    handler.end_headers()
    if handler.command == "HEAD":
        return
    handler.wfile.write(answer.body)
    if answer.endless or answer.length:
        handler.close_connection = True
    while answer.endless:
        handler.wfile.write(b" " * (1 << 16))


@contextmanager
def fishing(caught: list[str]) -> Iterator[str]:
    """Yield the address of another host, which asks everybody for a login; every header it hears goes to `caught`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            caught.append(f"{self.command} {self.path}\n{self.headers}")
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="give"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_PUT = do_POST = do_PATCH = do_GET  # noqa: N815  # the names http.server looks for

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.2", 0), Handler) as server:
        server.daemon_threads = True
        with serving(server):
            yield f"127.0.0.2:{server.server_port}"


def twists(elsewhere: str, chance: random.Random) -> Mapping[str, Callable[[httpx.Response], Answer]]:
    """Return what may become of an answer; `elsewhere` is the host that fishes."""

    def as_was(answer: httpx.Response, **more: str) -> Answer:
        return Answer(answer.status_code, {**dict(answer.headers.items()), **more}, answer.content)

    def cut(answer: httpx.Response) -> Answer:
        body = answer.content[: chance.randrange(len(answer.content) + 1)]
        return Answer(answer.status_code, dict(answer.headers.items()), body)

    def altered(answer: httpx.Response) -> Answer:
        body = bytearray(answer.content or b"x")
        body[chance.randrange(len(body))] ^= 1 + chance.randrange(255)
        return Answer(answer.status_code, dict(answer.headers.items()), bytes(body))

    json = [b"[]", b"5", b"null", b'"x"', b'{"tags":5}', b'{"tags":[1]}', b'{"manifests":7}', b'{"token":[]}', b"{}"]
    logins = ["", "Digest x", "Bearer", "x" * 99]
    deep = b"[" * 100_000
    places = [
        f"http://{elsewhere}/v2/x", "https://nowhere.invalid/", "ftp://x/", "//", "http://", "", "\x7f",
        f"http://me:c4n4ry@{elsewhere}/", "http://[::1", "/v2/" + "a" * 9000, f"//{elsewhere}/v2/y?z=1",
    ]  # fmt: skip
    wrong = "sha256:" + "0" * 64
    return {
        "other JSON": lambda answer: Answer(200, dict(answer.headers.items()), chance.choice(json)),
        "deep JSON": lambda _: Answer(200, {"Content-Type": "application/json"}, deep),
        "cut JSON": cut,
        "altered": altered,
        "wrong digest": lambda answer: as_was(answer, **{"docker-content-digest": wrong}),
        "odd digest": lambda answer: as_was(answer, **{"docker-content-digest": "sha256:" + "é" * 3}),
        "endless": lambda _: Answer(chance.choice([200, 201, 404, 500]), endless=True),
        "bomb": lambda _: Answer(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(1 << 26))),
        "redirect": lambda _: Answer(chance.choice([301, 302, 307, 308]), {"Location": chance.choice(places)}),
        "upload elsewhere": lambda answer: as_was(answer, location=chance.choice(places)),
        "login elsewhere": lambda _: Answer(401, {"WWW-Authenticate": f'Bearer realm="http://{elsewhere}/token"'}),
        "login nowhere": lambda _: Answer(401, {"WWW-Authenticate": chance.choice(logins)}),
        "login again": lambda _: Answer(401, {"WWW-Authenticate": "Basic realm=x"}),
        "status": lambda _: Answer(chance.choice([100, 199, 204, 206, 300, 304, 402, 405, 418, 451, 599, 999])),
        "too long": lambda answer: Answer(200, {}, answer.content, length="99999999999"),
        "odd length": lambda answer: Answer(200, {}, answer.content, length=chance.choice(["-1", "x", "1e9", ""])),
        "no HTTP": lambda _: Answer(raw=chance.choice([b" ", b"\x00" * 99, b"SSH-2.0-x\r\n", b"HTTP/1.1 \r\n\r\n"])),
        "headers": lambda _: Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * (4 << 20)),
        "retry": lambda _: Answer(429, {"Retry-After": chance.choice(["-5", "x", "9" * 400, "Mon", "1e999"])}),
        "link": lambda answer: as_was(answer, link=f"<{chance.choice(places)}>; rel=next"),
        "range": lambda answer: as_was(answer, range=chance.choice(["0-99999999999999", "5-1", "x", "bytes=0--1"])),
    }  # fmt: skip
