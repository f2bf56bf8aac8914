"""`agc` run as a person runs it, on a cache that belongs to the tests, and small servers on loopback around it."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import select
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import psutil
import pytest

from pipeline.engine.buildkit.programs import obtain_programs
from pipeline.errors import EngineError
from pipeline.settings import load_settings

CHECKOUT = Path(__file__).parents[2]
AGC = Path(sys.executable).parent / "agc"
IMAGE = "node-bun-claude"
NOWHERE = "tcp://127.0.0.1:1"
"""An address of an engine that does not answer."""

_OURS = ("AGC_", "BUILDKIT_HOST", "DOCKER_HOST", "CI", "PYTHONPATH", "NO_COLOR", "XDG_")
_SAMPLE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended; `peak` is the most memory that agc itself held, in bytes, `seconds` its own processor time."""

    code: int
    stdout: str
    stderr: str
    peak: int = 0
    seconds: float = 0.0

    @property
    def json(self) -> Any:
        """The object on the last line of standard output."""
        return json.loads(self.stdout.splitlines()[-1])

    @property
    def image(self) -> Any:
        """The only image of `agc build --json` or `agc plan --json`."""
        assert self.code == 0, self.stderr
        (image,) = self.json["images"]
        return image

    @property
    def error(self) -> Any:
        """The error of a run with `--json`."""
        assert self.code != 0, self.stdout
        return self.json["error"]


@dataclass(frozen=True, slots=True)
class Agc:
    """The installed program on one cache; `environment` is added to that of this process, None removes."""

    cache: Path
    environment: Mapping[str, str | None] = field(default_factory=dict)

    def __call__(self, *arguments: str | Path, project: Path = CHECKOUT, seconds: float = 600) -> Run:
        """Run it to its end."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = self.start(*arguments, project=project, stdout=out, stderr=err)
            try:
                peak, spent = _watch(process, seconds)
            except BaseException:
                process.kill()
                raise
            finally:
                process.wait()
            out.seek(0)
            err.seek(0)
            return Run(process.returncode, out.read(), err.read(), peak, spent)

    def start(self, *arguments: str | Path, project: Path = CHECKOUT, **options: Any) -> subprocess.Popen[str]:
        """Start it and return the process."""
        command = [str(AGC), "-C", str(project), *(str(argument) for argument in arguments)]
        return subprocess.Popen(command, env=self.variables(), text=True, cwd="/", **options)

    def variables(self) -> dict[str, str]:
        """Return the environment of a run."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        changed = {**kept, "AGC_CACHE": str(self.cache), **self.environment}
        return {name: value for name, value in changed.items() if value is not None}

    def given(self, **environment: str | None) -> Agc:
        """Return it with further variables."""
        return replace(self, environment={**self.environment, **environment})

    @property
    def daemon(self) -> psutil.Process:
        """The engine's process, started where there is none."""
        return self._daemon() or self._started_daemon()

    def _started_daemon(self) -> psutil.Process:
        run = self("engine", "start")
        daemon = self._daemon()
        assert daemon is not None, run.stderr
        return daemon

    def _daemon(self) -> psutil.Process | None:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == "buildkitd" and f"--root={self.cache}/buildkit" in process.cmdline():
                    return process
        return None

    def clients(self) -> list[int]:
        """Return the processes that speak to the engine for a run of ours."""
        ours = f"--addr=unix://{self.cache}"
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == "buildctl" and any(word.startswith(ours) for word in process.cmdline()):
                    found.append(process.pid)
        return found


def _watch(process: subprocess.Popen[str], seconds: float) -> tuple[int, float]:
    """Wait for the end; return the highest VmHWM seen and the processor time, both without those of its children."""
    folder, peak = Path(f"/proc/{process.pid}"), 0
    deadline = time.monotonic() + seconds
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            raise subprocess.TimeoutExpired(process.args, seconds)
        found = [line for line in (folder / "status").read_text().splitlines() if line.startswith("VmHWM")]
        peak = max([peak, *(int(line.split()[1]) * 1024 for line in found)])
        time.sleep(_SAMPLE_SECONDS)
    user, system = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
    return peak, (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class _Shared:
    """The one cache of a test session, made for the first who asks and removed after the last."""

    def __init__(self) -> None:
        self._users = 0
        self._stack = contextlib.ExitStack()
        self._agc: Agc | None = None

    @contextmanager
    def lend(self) -> Iterator[Agc]:
        """Lend it until the end of the block."""
        if self._agc is None:
            self._agc = self._stack.enter_context(new_cache(roots=True))
        self._users += 1
        try:
            yield self._agc
        finally:
            self._users -= 1
            if not self._users:
                self._agc = None
                self._stack.close()

    @functools.cached_property
    def first_build(self) -> tuple[Run, Path]:
        """The first build of the image in this cache, and where it lies."""
        assert self._agc is not None
        out = self._agc.cache.parent / "first"
        return self._agc("build", IMAGE, "--json", "-o", f"oci:{out}"), out


shared = _Shared()


@contextmanager
def new_cache(*, roots: bool = False) -> Iterator[Agc]:
    """Yield `agc` on a cache that holds the engine's programs, and with `roots` this machine's roots, to save time."""
    if os.geteuid() != 0 or shutil.which("runc") is None:
        pytest.skip("the embedded daemon needs root and runc")
    settings = load_settings(Path("/nonexistent"), os.environ)
    try:
        programs = anyio.run(obtain_programs, settings, print)
    except EngineError as error:
        pytest.skip(f"no engine: {error.message.splitlines()[0]}")
    # A short name: the socket's path is below it.
    with tempfile.TemporaryDirectory(prefix="agc-t-") as folder:
        agc = Agc(Path(folder, "cache"))
        binaries = agc.cache / "engine" / programs.version / "bin"
        binaries.mkdir(parents=True)
        for program in (programs.buildctl, programs.buildkitd):
            shutil.copy2(program, binaries / program.name)
        if roots and (settings.cache / "roots").is_dir():
            shutil.copytree(settings.cache / "roots", agc.cache / "roots", copy_function=_link)
        try:
            yield agc
        finally:
            agc("engine", "stop")
            _unmount_below(agc.cache)


def _unmount_below(folder: Path) -> None:
    """Unmount what a daemon that was killed left mounted."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True)


def _link(source: str, target: str) -> None:
    """Link a file, or copy it where the other folder is on another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def copy_checkout(target: Path) -> Path:
    """Clone the repository into `target`, with what is not committed yet of the files that make images."""
    git = ["git", "-c", "safe.directory=*"]
    if subprocess.run([*git, "clone", "--quiet", CHECKOUT, target], check=False).returncode != 0:
        pytest.skip("this is no git repository")
    command = [*git, "-C", str(CHECKOUT), "ls-files", "-z", "-m", "-o", "--exclude-standard"]
    listed = subprocess.run(
        [*command, "--", "pipeline", "definitions", "registry"], check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target / name)
    return target


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    """Write `files` below `folder` and return it."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def layers_of(image: Any) -> dict[str, str]:
    """Return the layers of the only platform of an image: component to digest."""
    (platform,) = image["platforms"]
    return {layer["component"]: layer["digest"] for layer in platform["layers"]}


def files_below(folder: Path) -> dict[str, tuple[int, int]]:
    """Return every file below `folder` with its inode and the time of its last change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def wait_for(what: str, condition: Any, seconds: float = 60) -> Any:
    """Wait until `condition()` is true, and return what it is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} seconds for {what}")


def interrupt(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> Run:
    """Send a signal, wait for the end, and return how it ended."""
    process.send_signal(number)
    return finish(process)


def finish(process: subprocess.Popen[str], seconds: float = 300) -> Run:
    """Wait for the end of a process that was started, and return how it ended."""
    stdout, stderr = process.communicate(timeout=seconds)
    return Run(process.returncode, stdout or "", stderr or "")


def end(daemon: subprocess.Popen[bytes]) -> None:
    """End a daemon and what it started."""
    children = psutil.Process(daemon.pid).children(recursive=True) if daemon.poll() is None else []
    daemon.terminate()
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
    for child in psutil.wait_procs(children, timeout=5)[1]:
        child.kill()


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Serve in a thread until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def shelf(answer: Callable[[str], bytes | None]) -> Iterator[str]:
    """Serve what `answer` has for a path (without the slash at its start) on loopback; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = answer(self.path.removeprefix("/"))
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET  # noqa: N815  # the name http.server looks for

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        yield f"http://127.0.0.1:{server.server_port}/"


@dataclass
class Mirror:
    """A server on loopback that stands for `upstream`; paths that contain a word of `gone` are answered with 404."""

    upstream: str
    gone: Sequence[str] = ()
    asked: list[str] = field(default_factory=list)
    address: str = ""

    @contextmanager
    def run(self) -> Iterator[Mirror]:
        """Serve until the end of the block."""
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                mirror._answer(self)

            do_HEAD = do_GET  # noqa: N815  # the name http.server looks for

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.address = f"http://127.0.0.1:{server.server_port}/"
            with serving(server):
                yield self

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        if any(word in handler.path for word in self.gone):
            handler.send_response(404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        names = ("Accept", "Range", "If-None-Match")
        forwarded = {name: value for name in names if (value := handler.headers.get(name))}
        fetch(handler, self.upstream + handler.path.removeprefix("/"), forwarded)


def fetch(handler: BaseHTTPRequestHandler, url: str, headers: Mapping[str, str]) -> None:
    """Ask `url` and hand its answer on, in pieces."""
    parts = urlsplit(url)
    with contextlib.closing(_connection(parts.scheme, parts.hostname or "", parts.port)) as upstream:
        upstream.request(handler.command, f"{parts.path}{f'?{parts.query}' if parts.query else ''}", headers=headers)
        answer = upstream.getresponse()
        handler.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() in {"content-type", "etag", "last-modified", "location", "content-encoding"}:
                handler.send_header(name, value)
        length = answer.getheader("Content-Length")
        if length is not None:
            handler.send_header("Content-Length", length)
        else:
            handler.close_connection = True
            handler.send_header("Connection", "close")
        handler.end_headers()
        if handler.command == "GET":
            shutil.copyfileobj(answer, handler.wfile, 1 << 20)


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=60)
    return http.client.HTTPSConnection(host, port, timeout=60, context=ssl.create_default_context())


@contextmanager
def forward_proxy(asked: list[str]) -> Iterator[str]:
    """Yield the address, without a scheme, of a proxy that tunnels and fetches; hosts are added to `asked`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(urlsplit(self.path).hostname or "")
            fetch(self, self.path, {})

        do_HEAD = do_GET  # noqa: N815  # the name http.server looks for

        def do_CONNECT(self) -> None:
            asked.append(self.path.partition(":")[0])
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), 60) as upstream:
                self.send_response(200)
                self.end_headers()
                _pump(self.connection, upstream)
            self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, serving(server):
        yield f"127.0.0.1:{server.server_port}"


def _pump(left: socket.socket, right: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    other = {left: right, right: left}
    with contextlib.suppress(OSError):
        while True:
            ready, _, _ = select.select([left, right], [], [], 60)
            for end in ready:
                if not (chunk := end.recv(1 << 18)):
                    return
                other[end].sendall(chunk)
            if not ready:
                return
