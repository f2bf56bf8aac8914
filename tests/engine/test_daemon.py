"""The embedded daemon, for real: each test starts from a folder of its own cache, with the programs already there."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import psutil
import pytest

from pipeline.engine.buildkit import daemon
from pipeline.engine.buildkit.client import BuildKit
from pipeline.engine.buildkit.daemon_config import socket_path
from pipeline.engine.buildkit.locate import Kind, Located, connect
from pipeline.engine.buildkit.process import listener
from pipeline.engine.buildkit.programs import Programs, cached_programs, obtain_programs
from pipeline.errors import EngineError
from pipeline.settings import Settings, load_settings

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("runc") is None, reason="the embedded daemon needs root and runc"
    ),
]

_ENSURE = """
import sys, anyio
from pathlib import Path
from pipeline.engine.buildkit import daemon
from pipeline.engine.buildkit.programs import cached_programs
from pipeline.settings import Settings
settings = Settings.model_validate({"cache": sys.argv[1]})
programs = cached_programs(settings)
assert programs
anyio.run(daemon.ensure, settings, programs, print)
"""


def _quiet(_line: str) -> None:
    """Take news and tell nobody."""


def _settings(cache: Path, **more: object) -> Settings:
    return Settings.model_validate({"cache": cache, **more})


def _ensure(settings: Settings) -> int:
    """Ensure a daemon and return the pid that listens."""
    programs = cached_programs(settings)
    assert programs is not None
    address = anyio.run(daemon.ensure, settings, programs, _quiet)
    pid = listener(Path(address.removeprefix("unix://")))
    assert pid is not None
    return pid


def _lives(pid: int) -> bool:
    """Tell whether a process runs: one that only waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _socket(settings: Settings) -> Path:
    return socket_path(settings.cache / "engine" / "run", os.geteuid())


@pytest.fixture(scope="module")
def programs() -> Programs:
    """Return the pinned programs of the default cache, made first where they are not there."""
    return anyio.run(obtain_programs, load_settings(Path("/nonexistent"), os.environ), print)


@pytest.fixture(scope="module")
def cache(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a cache that holds the programs and nothing else; its daemon is ended with the module."""
    cache = tmp_path_factory.mktemp("cache")
    settings = _settings(cache)
    folder = cache / "engine" / programs.version / "bin"
    folder.mkdir(parents=True)
    for program in (programs.buildctl, programs.buildkitd):
        shutil.copy2(program, folder / program.name)
    yield cache
    anyio.run(daemon.stop, settings)
    shutil.rmtree(cache)


@pytest.fixture
def settings(cache: Path) -> Settings:
    """Return plain settings on the module's cache, with no daemon running at first."""
    settings = _settings(cache)
    anyio.run(daemon.stop, settings)
    return settings


def test_a_started_daemon_answers_buildctl(settings: Settings) -> None:
    """What `ensure` returns is an address that the pinned client gets an answer from."""
    _ensure(settings)
    programs = cached_programs(settings)
    assert programs is not None

    done = subprocess.run(
        [programs.buildctl, f"--addr=unix://{_socket(settings)}", "debug", "info"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert programs.version in done.stdout


def test_a_warm_daemon_is_used_again(settings: Settings) -> None:
    """A second `ensure` with the same settings finds the same process."""
    assert _ensure(settings) == _ensure(settings)


def test_connecting_to_a_warm_daemon_starts_no_process(settings: Settings) -> None:
    """The path of a build with nothing to do costs a connect, not a process."""
    _ensure(settings)
    started: list[str] = []
    watching = True

    def watch(event: str, _arguments: tuple[object, ...]) -> None:
        if watching and event in {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"}:
            started.append(event)

    sys.addaudithook(watch)
    located = anyio.run(connect, settings, _quiet)
    watching = False

    assert (located.kind, started) == (Kind.EMBEDDED, [])


def test_the_daemon_has_no_parent_and_no_terminal(settings: Settings) -> None:
    """It outlives whoever started it: in a session of its own, and nobody's child."""
    process = psutil.Process(_ensure(settings))

    assert process.ppid() != os.getpid()
    assert os.getsid(process.pid) != os.getsid(0)
    assert process.cwd() == "/"


def test_the_daemon_keeps_no_foreign_environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token in the shell that happened to start the daemon is not in the daemon."""
    monkeypatch.setenv("SOME_TOKEN", "secret")

    environment = psutil.Process(_ensure(settings)).environ()

    assert "SOME_TOKEN" not in environment


def test_status_tells_what_runs(settings: Settings) -> None:
    """Status names pid, version, address and the size of the state."""
    pid = _ensure(settings)

    status = daemon.status(settings)

    assert status is not None
    assert (status.pid, status.running, status.address) == (pid, True, f"unix://{_socket(settings)}")
    assert status.root == settings.cache / "buildkit"
    assert status.disk_bytes > 0


def test_stop_ends_the_process_and_leaves_nothing(settings: Settings) -> None:
    """After `stop` there is no process, no socket and no status; a second one has nothing to do."""
    pid = _ensure(settings)

    assert anyio.run(daemon.stop, settings) is True

    assert not _lives(pid)
    assert not _socket(settings).exists()
    assert daemon.status(settings) is None
    assert anyio.run(daemon.stop, settings) is False


def test_a_stale_socket_file_is_no_daemon(settings: Settings) -> None:
    """A socket that nobody listens on is replaced by a daemon's."""
    path = _socket(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))

    assert _lives(_ensure(settings))


def test_a_killed_daemon_is_started_anew(settings: Settings) -> None:
    """`kill -9` leaves socket and record behind, and neither is believed."""
    killed = _ensure(settings)
    before = daemon.status(settings)
    assert before is not None
    address = Path(before.address.removeprefix("unix://"))
    os.kill(killed, signal.SIGKILL)
    # A last thread of it may still answer for a moment after the process counts as dead.
    while _lives(killed) or listener(address) is not None:
        time.sleep(0.01)
    status = daemon.status(settings)

    assert status is not None
    assert not status.running
    assert _ensure(settings) != killed


def test_a_lost_record_costs_a_restart_only(settings: Settings) -> None:
    """Without the record nobody knows the daemon's settings: it is found by its socket and replaced."""
    unknown = _ensure(settings)
    (settings.cache / "engine" / "run" / "buildkitd.json").write_text("{")

    assert _ensure(settings) != unknown
    assert not _lives(unknown)


def test_a_recycled_pid_is_left_alone(settings: Settings) -> None:
    """A record whose pid now belongs to another process ends no process."""
    pid = _ensure(settings)
    record = settings.cache / "engine" / "run" / "buildkitd.json"
    text = record.read_text()
    anyio.run(daemon.stop, settings)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        record.write_text(text.replace(f'"pid":{pid}', f'"pid":{stranger.pid}'))

        anyio.run(daemon.stop, settings)

        assert stranger.poll() is None
        stranger.kill()


def test_two_at_once_start_one_daemon(settings: Settings) -> None:
    """Of two processes that both find no daemon one starts it and the other takes it."""
    command = [sys.executable, "-c", _ENSURE, str(settings.cache)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    for process in both:
        process.communicate(timeout=60)

    assert [process.returncode for process in both] == [0, 0]
    daemons = [process.pid for process in psutil.process_iter() if _serves(process, settings.cache)]
    assert daemons == [_ensure(settings)]


def _serves(process: psutil.Process, cache: Path) -> bool:
    try:
        return process.name() == "buildkitd" and f"--root={cache / 'buildkit'}" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def test_changed_settings_restart_the_daemon(settings: Settings) -> None:
    """Proxies are environment of the daemon, so other proxies need another process."""
    before = _ensure(settings)
    proxied = _settings(settings.cache, proxy={"http": "http://proxy.example:3128"})

    after = _ensure(proxied)

    assert after != before
    assert psutil.Process(after).environ()["HTTP_PROXY"] == "http://proxy.example:3128"


def test_a_mirror_and_a_cache_limit_are_accepted_by_the_daemon(settings: Settings) -> None:
    """The daemon starts with a buildkitd.toml that has all we ever write."""
    mirrors = {"docker.io": "http://mirror.example:5000/hub", "https://registry.npmjs.org/": "https://npm.example/"}
    configured = _settings(settings.cache, mirrors=mirrors, engine={"cache-gigabytes": 3})

    assert _lives(_ensure(configured))


def test_a_daemon_that_cannot_start_shows_its_last_words(settings: Settings) -> None:
    """Two daemons cannot share a state folder, and the second one's words are in the error."""
    _ensure(settings)
    moved = _settings(settings.cache.parent / "moved-cache")
    programs = cached_programs(settings)
    assert programs is not None
    moved.cache.mkdir()
    (moved.cache / "buildkit").symlink_to(settings.cache / "buildkit")

    with pytest.raises(EngineError, match="another instance running"):
        anyio.run(daemon.ensure, moved, programs, _quiet)

    assert daemon.status(moved) is None
    shutil.rmtree(moved.cache)


def test_a_long_cache_path_gets_a_short_socket(settings: Settings, tmp_path: Path) -> None:
    """A path that no socket can have is no hindrance: the socket lies in a private folder of /tmp."""
    long = _settings(tmp_path / ("long" * 30))
    long.cache.mkdir()
    programs = cached_programs(settings)
    assert programs is not None

    address = anyio.run(daemon.ensure, long, programs, _quiet)
    folder = Path(address.removeprefix("unix://")).parent
    mode = folder.stat().st_mode & 0o777
    anyio.run(daemon.stop, long)
    folder.rmdir()

    assert folder.name.startswith("agc-")
    assert mode == 0o700


def _located(settings: Settings) -> Located:
    return anyio.run(connect, settings, _quiet)


def test_prune_returns_the_bytes_it_freed(settings: Settings, tmp_path: Path) -> None:
    """A daemon that has just built something has something to prune, and nothing left after that."""
    engine = _located(settings).engine
    dockerfile = tmp_path / "Dockerfile"
    (tmp_path / "payload").write_bytes(os.urandom(200_000))
    dockerfile.write_text("FROM scratch\nCOPY payload /payload\n")
    subprocess.run(
        [
            engine.buildctl,
            f"--addr={engine.address}",
            "build",
            "--frontend=dockerfile.v0",
            f"--local=context={tmp_path}",
            f"--local=dockerfile={tmp_path}",
        ],
        check=True,
        capture_output=True,
    )

    listed = anyio.run(daemon.prunable, engine)
    freed = anyio.run(_prune, engine)

    assert freed >= max(200_000, sum(record.size for record in listed))
    assert anyio.run(_prune, engine) == 0
    assert anyio.run(daemon.prunable, engine) == ()


async def _prune(engine: BuildKit) -> int:
    return await daemon.prune(engine, everything=True)


def test_a_configured_daemon_is_used(settings: Settings) -> None:
    """BUILDKIT_HOST wins over everything that could be found."""
    _ensure(settings)
    host = f"unix://{_socket(settings)}"
    configured = _settings(settings.cache, engine={"host": host})

    located = _located(configured)

    assert (located.kind, located.engine.address) == (Kind.CONFIGURED, host)


@pytest.mark.parametrize(
    "host",
    ["unix:///nonexistent/buildkitd.sock", "tcp://127.0.0.1:1", "localhost:1234"],
    ids=["no such socket", "nothing listens", "no scheme"],
)
def test_a_configured_daemon_that_does_not_answer_is_an_error(settings: Settings, host: str) -> None:
    """There is no silent way from a configured daemon to another one."""
    _ensure(settings)

    with pytest.raises(EngineError, match=host) as caught:
        _located(_settings(settings.cache, engine={"host": host}))

    assert "BUILDKIT_HOST" in caught.value.remedy


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Serve a release archive on loopback; yield its URL and SHA-256."""
    folder = tmp_path / "served"
    folder.mkdir()
    file = folder / "buildkit.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for name in ("buildctl", "buildkitd", "buildkit-runc"):
            member = tarfile.TarInfo(f"bin/{name}")
            member.size = len(name)
            tar.addfile(member, io.BytesIO(name.encode()))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{file.name}", hashlib.sha256(file.read_bytes()).hexdigest()
        server.shutdown()
        thread.join()


def test_programs_come_from_a_configured_archive(archive: tuple[str, str], tmp_path: Path) -> None:
    """Client and daemon are taken out of the archive, and nothing else of it stays."""
    url, checksum = archive
    settings = _settings(tmp_path / "cache", engine={"archive": url, "archive-sha256": checksum})

    programs = anyio.run(obtain_programs, settings, _quiet)

    assert programs.buildkitd.read_text() == "buildkitd"
    assert os.access(programs.buildctl, os.X_OK)
    assert sorted(path.name for path in (settings.cache / "engine").rglob("*") if path.is_file()) == [
        "buildctl",
        "buildkitd",
        "programs.lock",
    ]


def test_an_archive_with_another_checksum_is_refused(archive: tuple[str, str], tmp_path: Path) -> None:
    """Nothing of an archive is kept that is not the one written down."""
    url, checksum = archive
    settings = _settings(tmp_path / "cache", engine={"archive": url, "archive-sha256": "0" * 64})

    with pytest.raises(EngineError, match=checksum):
        anyio.run(obtain_programs, settings, _quiet)

    assert cached_programs(settings) is None


def test_an_archive_that_is_gone_is_an_error_with_its_url(archive: tuple[str, str], tmp_path: Path) -> None:
    """The URL that failed is in the message."""
    url, checksum = archive
    settings = _settings(tmp_path / "cache", engine={"archive": f"{url}.gone", "archive-sha256": checksum})

    with pytest.raises(EngineError, match="404"):
        anyio.run(obtain_programs, settings, _quiet)
