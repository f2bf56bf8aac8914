"""Solving for real: results, failures told as what they are, and a daemon that survives all of it."""

from __future__ import annotations

import json
import os
import secrets as random
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import psutil
import pytest

from pipeline.digest import Digest, digest_bytes
from pipeline.engine.api import (
    Export,
    FilesExport,
    ImageContent,
    LayoutExport,
    SecretFile,
    Solved,
    StepEvent,
    StepStatus,
)
from pipeline.engine.buildkit import llb_pb2 as pb
from pipeline.engine.buildkit.client import BuildKit
from pipeline.engine.buildkit.lowering import Wiring, lower
from pipeline.engine.layout import adopt, read_manifest, staged
from pipeline.errors import (
    BuildError,
    EngineError,
    IntegrityError,
    Location,
    OutputError,
    SourceGoneError,
)
from pipeline.graph import Mkdir, Network, Owner, State, Symlink, Write, http, scratch, stack
from pipeline.platform import Platform
from tests.unit.graph.samples import SAMPLES

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

EPOCH = 1_767_225_600
CONFIG = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "config": {"User": "1000:1000", "Labels": {"a": 'b, "c"'}},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
).encode()
CONTENT = ImageContent("example.test/image:tag", CONFIG, EPOCH)
PLACE = Location("definitions/agents/x.yaml", 4, 2)


class Solve:
    """Solves with the session's engine, root and platform."""

    def __init__(self, engine: BuildKit, platform: Platform, layouts: Mapping[Digest, Path]) -> None:
        self.engine = engine
        self.platform = platform
        self.layouts = layouts
        self.events: list[StepEvent] = []

    async def wait(self, state: State, *exports: Export, secrets: tuple[SecretFile, ...] = ()) -> Solved:
        """Solve within a task."""
        return await self.engine.solve(
            state,
            platform=self.platform,
            layouts=self.layouts,
            secrets=secrets,
            exports=exports,
            on_progress=self.events.append,
        )

    def __call__(self, state: State, *exports: Export, secrets: tuple[SecretFile, ...] = ()) -> Solved:
        """Solve, and return when it is done."""
        return anyio.run(lambda: self.wait(state, *exports, secrets=secrets))


@pytest.fixture
def solve(engine: BuildKit, platform: Platform, layouts: Mapping[Digest, Path]) -> Solve:
    """Return a way to solve that keeps the events."""
    return Solve(engine, platform, layouts)


@pytest.fixture
def fresh() -> str:
    """Return a word that makes a step one that was never run before."""
    return random.token_hex(8)


def shell(root: State, script: str, fresh: str) -> State:
    """Return a step that runs `script` and was never run before."""
    return root.run("sh", "-c", script, env=[("FRESH", fresh)]).named("the step", PLACE)


@contextmanager
def served(answer: Callable[[str, str], tuple[int, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """Serve `answer(method, path)` on loopback; yield the URL and the requests as they come in."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            requests.append(f"{self.command} {self.path}")
            status, body = answer(self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = _answer  # noqa: N815  # the names http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
        server.shutdown()
        thread.join()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 8 MiB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can be mounted by root only")
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def buildctls() -> set[int]:
    """Return the processes of buildctl that this test run started."""
    return {child.pid for child in psutil.Process().children(recursive=True) if child.name() == "buildctl"}


def test_buildctl_reads_every_operation_we_write(engine: BuildKit) -> None:
    """The daemon's own tool decodes our bytes, each operation with the digest we gave it."""
    for name, state in SAMPLES.items():
        if state == scratch():
            continue
        lowered = lower(state, Platform("linux", "amd64"), Wiring())
        done = subprocess.run(
            [engine.buildctl, "debug", "dump-llb"], input=lowered.definition, capture_output=True, check=True
        )
        decoded = [json.loads(line) for line in done.stdout.splitlines()]

        ours = [digest_bytes(each) for each in getattr(pb.Definition.FromString(lowered.definition), "def")]
        assert [entry["Digest"] for entry in decoded] == ours, name


def test_digests_do_not_depend_on_the_hash_seed() -> None:
    """Two interpreters with other seeds compute the same digests and the same bytes."""
    script = (
        "from tests.unit.graph.samples import SAMPLES; from pipeline.platform import AMD64\n"
        "from pipeline.engine.buildkit.lowering import Wiring, lower; from pipeline.digest import digest_bytes\n"
        "for n, s in SAMPLES.items(): print(n, s.digest, n == 'scratch' or "
        "digest_bytes(lower(s, AMD64, Wiring(proxies={'no_proxy': 'b', 'http_proxy': 'a'})).definition))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            capture_output=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(outputs) == 1


def test_files_come_out_as_they_were_described(solve: Solve, root: State, tmp_path: Path) -> None:
    """Every file action, a step's output folder and an exclusion, seen on disk."""
    made = root.run("sh", "-c", "echo hi > /out/a; echo no > /out/b.pyc", output="/out")
    files = scratch().files(
        Mkdir("/etc", 0o700, Owner(7, 8), EPOCH),
        Write("/etc/motd", b"\x00\xff", 0o640, Owner(7, 8), EPOCH),
        Symlink("/etc/link", "motd", EPOCH),
    )
    solve(stack(files, made.layer("/", "/made", timestamp=EPOCH, exclude=("*.pyc",))), FilesExport(tmp_path))

    assert (tmp_path / "etc/motd").read_bytes() == b"\x00\xff"
    assert (tmp_path / "etc/motd").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "etc/motd").stat().st_mtime == EPOCH
    assert (tmp_path / "etc/link").readlink() == Path("motd")
    assert (tmp_path / "made/a").read_text() == "hi\n"
    assert not (tmp_path / "made/b.pyc").exists()


def test_a_sealed_step_reaches_nothing_and_an_open_one_the_host(solve: Solve, root: State, fresh: str) -> None:
    """Network is off unless it is asked for."""
    with served(lambda *_: (200, b"hello\n")) as (url, requests):
        port = url.rpartition(":")[2]
        ask = f"exec 3<>/dev/tcp/127.0.0.1/{port} && printf 'GET /x HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"
        with pytest.raises(BuildError):
            solve(root.run("bash", "-c", ask, env=[("FRESH", fresh)]))
        assert requests == []
        solve(root.run("bash", "-c", ask, env=[("FRESH", fresh)], network=Network.HOST))

    assert requests == ["GET /x"]


def test_an_image_has_the_same_digest_again_and_is_cached(solve: Solve, root: State, tmp_path: Path) -> None:
    """The metadata's digest is that of a manifest which lies in the layout with all it names."""
    state = stack(root, root.run("sh", "-c", "date > /date; echo 1 > /out/x", output="/out").layer(timestamp=EPOCH))
    solved = [solve(state, LayoutExport(tmp_path / folder, CONTENT)) for folder in "ab"]
    digest = solved[0].digest
    assert digest is not None
    manifest = read_manifest(tmp_path / "a", digest)

    assert solved[1].digest == digest
    assert solved[1].cached[state.digest] is True
    assert len(manifest.layers) == 2
    assert all(
        (tmp_path / "a/blobs/sha256" / layer.digest[7:]).stat().st_size == layer.size for layer in manifest.layers
    )


def test_a_failing_step_is_told_with_code_last_lines_and_place(solve: Solve, root: State, fresh: str) -> None:
    """Only the last lines, and the place in the definition that asked for the step."""
    with pytest.raises(BuildError) as caught:
        solve(shell(root, "seq 1000; printf last >&2; exit 7", fresh))
    error = caught.value

    assert error.location == PLACE
    assert error.step is not None
    assert error.step.exit_code == 7
    assert error.step.log[-2:] == ("1000", "last")
    assert len(error.step.log) == 20
    assert StepStatus.FAILED in {event.status for event in solve.events}


def test_a_huge_output_is_told_line_by_line_and_held_by_nobody(solve: Solve, root: State, fresh: str) -> None:
    """64 MiB of output, and a line of 8 MiB, cost a few MiB here."""
    script = "head -c 8388608 /dev/zero | tr '\\0' x; echo; yes 0123456789012345678901234567890 | head -c 67108864"
    count = 0

    def listen(event: StepEvent) -> None:
        nonlocal count
        count += len(event.log)

    async def run() -> None:
        await solve.engine.solve(
            shell(root, script, fresh), platform=solve.platform, layouts=solve.layouts, on_progress=listen
        )

    tracemalloc.start()
    anyio.run(run)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count > 0
    assert peak < 24 * 1024 * 1024


def test_a_secret_that_a_step_prints_is_nowhere_to_be_read(
    solve: Solve, root: State, fresh: str, tmp_path: Path
) -> None:
    """Neither in events nor in the error: the step is one that prints it and fails."""
    secret = tmp_path / "a, token"
    secret.write_text(f"hunter2-{fresh}\nsecond-{fresh}\n")
    step = root.run("sh", "-c", "set -x; cat /run/t; echo x$(head -1 /run/t)x; exit 1", secrets=[("token", "/run/t")])
    with pytest.raises(BuildError) as caught:
        solve(step.run("true", env=[("FRESH", fresh)]), secrets=(SecretFile("token", secret),))
    assert caught.value.step is not None
    shown = "\n".join([str(caught.value), *caught.value.step.log, *(event.log for event in solve.events)])

    assert "x***x" in shown
    assert fresh not in shown


def test_cancelling_a_step_ends_buildctl_and_leaves_the_daemon_usable(solve: Solve, root: State, fresh: str) -> None:
    """Ctrl-C in the middle of a long step: gone within seconds, and the next solve works."""

    async def run() -> float:
        with anyio.CancelScope() as scope:
            solve.events.clear()

            def stop(event: StepEvent) -> None:
                if event.log == "going":
                    scope.cancel()

            await solve.engine.solve(
                shell(root, "echo going; sleep 60", fresh),
                platform=solve.platform,
                layouts=solve.layouts,
                on_progress=stop,
            )
        assert scope.cancelled_caught
        return time.monotonic()

    before = buildctls()
    started = time.monotonic()
    assert anyio.run(run) - started < 20
    assert buildctls() <= before

    solve(shell(root, "true", fresh))
    assert solve.events[-1].status is StepStatus.DONE


def test_an_error_of_the_listener_is_that_error_and_ends_buildctl(solve: Solve, root: State, fresh: str) -> None:
    """What the caller raises comes out as it is, not in a group."""

    def refuse(event: StepEvent) -> None:
        raise LookupError(event.name)

    before = buildctls()
    with pytest.raises(LookupError):
        anyio.run(
            lambda: solve.engine.solve(
                shell(root, "sleep 60", fresh), platform=solve.platform, layouts=solve.layouts, on_progress=refuse
            )
        )
    assert buildctls() <= before


@pytest.mark.parametrize("address", ["unix:///nonexistent/b.sock", "tcp://127.0.0.1:1", "unix:///etc/passwd"])
def test_a_daemon_that_is_not_there_is_told_at_once(
    engine: BuildKit, platform: Platform, layouts: Mapping[Digest, Path], root: State, address: str
) -> None:
    """With its address, long before any timeout."""
    nowhere = BuildKit(address, engine.buildctl)
    started = time.monotonic()
    with pytest.raises(EngineError, match=address):
        anyio.run(lambda: nowhere.solve(root, platform=platform, layouts=layouts))

    assert time.monotonic() - started < 8


def test_a_client_that_is_not_there_is_an_engine_error(
    platform: Platform, layouts: Mapping[Digest, Path], root: State
) -> None:
    """The path is named, and the doctor."""
    with pytest.raises(EngineError, match="/nonexistent/buildctl: No such file"):
        anyio.run(
            lambda: BuildKit("unix:///x", Path("/nonexistent/buildctl")).solve(root, platform=platform, layouts=layouts)
        )


@pytest.mark.parametrize(
    ("head", "get", "kind"),
    [
        (404, 404, SourceGoneError),
        (410, 410, SourceGoneError),
        (405, 404, SourceGoneError),
        (200, 200, IntegrityError),
        (405, 200, IntegrityError),
        (503, 503, BuildError),
    ],
)
def test_a_pinned_file_that_does_not_match_is_gone_changed_or_out_of_reach(
    solve: Solve, fresh: str, head: int, get: int, kind: type[BuildError]
) -> None:
    """The daemon says the same of all three; the server, asked through the mirror, tells them apart."""
    pinned = digest_bytes(fresh.encode())
    public = f"https://public.example/{fresh}.tgz"
    state = http(public, pinned, "file.tgz").named("a file", PLACE)
    with served(lambda method, _: (head if method == "HEAD" else get, b"other bytes " + fresh.encode())) as (url, _):
        wiring = Wiring(mirrors=(("https://public.example/", f"{url}/"),))
        engine = BuildKit(solve.engine.address, solve.engine.buildctl, wiring)
        with pytest.raises(BuildError) as caught:
            anyio.run(lambda: engine.solve(state, platform=solve.platform, layouts={}))

    assert type(caught.value) is kind
    assert public in caught.value.message
    assert url not in caught.value.message
    assert caught.value.location == PLACE
    if kind is IntegrityError:
        got = digest_bytes(b"other bytes " + fresh.encode())
        assert got in caught.value.message
        assert pinned in caught.value.message


def test_an_unpinned_file_that_is_not_there_is_gone(solve: Solve, fresh: str) -> None:
    """As lock resolution meets it."""
    with served(lambda *_: (404, b"")) as (url, _), pytest.raises(SourceGoneError, match=fresh):
        solve(http(f"{url}/{fresh}", None, "x"))


def test_a_server_that_is_not_there_is_out_of_reach(solve: Solve, fresh: str) -> None:
    """The remedy is about the network."""
    with pytest.raises(BuildError, match="connection refused") as caught:
        solve(http(f"http://127.0.0.1:1/{fresh}", digest_bytes(fresh.encode()), "x"))

    assert "agc doctor" in caught.value.remedy


def test_a_full_disk_leaves_no_image_that_is_only_half_there(solve: Solve, root: State, small_disk: Path) -> None:
    """The layout names nothing, and the staged half of it is taken away."""
    layout = small_disk / "out"

    def build() -> None:
        with staged(layout) as staging:
            digest = solve(root, LayoutExport(staging, CONTENT)).digest
            assert digest is not None
            adopt(staging, layout, "x", {"linux/amd64": digest})

    with pytest.raises(OutputError, match="no space left on device") as caught:
        build()
    assert "free some space" in caught.value.remedy
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("attempt", range(2))
def test_a_full_disk_ends_an_export_of_files(solve: Solve, root: State, small_disk: Path, attempt: int) -> None:
    """Left alone, buildctl would wait for ever, now and then; it is ended."""
    started = time.monotonic()
    with pytest.raises(OutputError, match="no space left on device"):
        solve(root, FilesExport(small_disk))

    assert time.monotonic() - started < 30
