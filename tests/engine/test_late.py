"""What fetches a program at first run, run by a real shell: fetched once, checked, and never half there."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import signal
import subprocess
import tarfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.compose.late import late_archives, late_layer
from pipeline.digest import digest_bytes, hex_of
from pipeline.graph import walk
from pipeline.graph.ops import Files, Write
from pipeline.platform import AMD64
from pipeline.resolve.pins import ArchivePin, PackagesLock
from tests.engine.support import shelf, wait_for
from tests.unit.compose.samples import definitions, of_npm, plan

pytestmark = [pytest.mark.engine, pytest.mark.timeout(60)]

PROGRAM = b'#!/bin/sh\necho "claude says $*"\n'


def package(program: bytes = PROGRAM) -> bytes:
    """Return an archive as npm packs one, whose program is not executable, as some are published."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("package/claude")
        entry.size, entry.mode = len(program), 0o644
        archive.addfile(entry, io.BytesIO(program))
    return gzip.compress(buffer.getvalue(), mtime=0)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """The scripts of an image, below a folder that stands for its root."""

    root: Path
    pin: ArchivePin
    home: Path

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the agent's command."""
        command = str(self.root / "opt/agents/claude/bin/claude")
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.home), **environment}
        return subprocess.Popen(
            [command, *arguments], env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the agent's command to its end."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess([], process.returncode, out, err)

    def left(self) -> list[str]:
        """Return what lies where programs are kept."""
        return sorted(path.name for path in (self.home / ".cache/agc-late").iterdir())


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    """Return the scripts that fetch an archive of ours."""
    data, made, found = package(), plan(), definitions()
    pin = of_npm(made.programs[0][1].packages[0])
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    archive = pin.archives["linux/amd64"].model_copy(
        update={"integrity": integrity, "sha256": digest_bytes(data), "size": len(data)}
    )
    newer = pin.model_copy(update={"archives": {"linux/amd64": archive}})
    lock: PackagesLock = made.programs[0][1].model_copy(update={"packages": (newer,)})
    user = made.base.model.spec.user
    layer = late_layer("agents/claude", found.agents["claude"], lock, AMD64, user)
    root = tmp_path / "root"
    for state in walk(layer.state):
        for action in state.op.actions if isinstance(state.op, Files) else ():
            if isinstance(action, Write):
                file = root / action.path.removeprefix("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(action.data.replace(b"/opt/", f"{root}/opt/".encode()))
                file.chmod(action.mode)
    (tmp_path / "home").mkdir()
    return Fetcher(root, archive, tmp_path / "home")


def test_it_is_fetched_once_and_then_run(fetcher: Fetcher) -> None:
    """From where it is published; the second run asks nobody."""
    asked: list[str] = []

    def answer(path: str) -> bytes | None:
        asked.append(path)
        return package() if path == fetcher.pin.path else None

    with shelf(answer) as address:
        first = fetcher("hello", "two words", AGC_LATE_REGISTRY=address)
        second = fetcher("again", AGC_LATE_REGISTRY=address)

    assert (first.returncode, first.stdout) == (0, "claude says hello two words\n"), first.stderr
    assert "fetching version 2.1.330, once" in first.stderr
    assert (second.stdout, second.stderr) == ("claude says again\n", "")
    assert asked == [fetcher.pin.path]


def test_a_copy_at_hand_is_taken_without_a_network(fetcher: Fetcher, tmp_path: Path) -> None:
    """By its SHA-256, as smoke tests have it."""
    (tmp_path / hex_of(fetcher.pin.sha256)).write_bytes(package())

    run = fetcher("offline", AGC_LATE_ARCHIVES=str(tmp_path), AGC_LATE_REGISTRY="http://127.0.0.1:1/")

    assert run.stdout == "claude says offline\n", run.stderr


@pytest.mark.parametrize(
    "sent", [package(b"#!/bin/sh\necho evil\n"), package()[:-1], b""], ids=["other", "cut", "empty"]
)
def test_anything_else_is_not_run(fetcher: Fetcher, sent: bytes) -> None:
    """It is said, nothing is left, and the right one is taken the next time."""
    with shelf(lambda _: sent) as address:
        run = fetcher("x", AGC_LATE_REGISTRY=address)
    left = fetcher.left()
    with shelf(lambda _: package()) as address:
        again = fetcher("x", AGC_LATE_REGISTRY=address)

    assert (run.returncode, run.stdout) == (69, "")
    assert "is not what this image was tested with" in run.stderr
    assert [name for name in left if not name.endswith(".lock")] == []
    assert again.stdout == "claude says x\n"


def test_a_registry_that_does_not_have_it_is_told(fetcher: Fetcher) -> None:
    """With what to look at."""
    with shelf(lambda _: None) as address:
        run = fetcher("x", AGC_LATE_REGISTRY=address)

    assert run.returncode == 69
    assert "could not be fetched; check network and proxy" in run.stderr


def test_several_that_start_at_once_fetch_once(fetcher: Fetcher) -> None:
    """The others wait for the first."""
    asked: list[str] = []

    def slow(path: str) -> bytes:
        asked.append(path)
        time.sleep(0.5)
        return package()

    with shelf(slow) as address:
        started = [fetcher.start(str(number), AGC_LATE_REGISTRY=address) for number in range(4)]
        said = sorted(process.communicate(timeout=30)[0] for process in started)

    assert said == [f"claude says {number}\n" for number in range(4)]
    assert len(asked) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_one_that_is_ended_while_it_fetches_leaves_nothing_in_the_way(fetcher: Fetcher, number: signal.Signals) -> None:
    """The next run fetches it whole."""
    asked: list[str] = []

    def stuck(path: str) -> bytes:
        asked.append(path)
        time.sleep(2.0)
        return package()

    with shelf(stuck) as address:
        process = fetcher.start("x", AGC_LATE_REGISTRY=address)
        wait_for("the fetch", lambda: asked)
        started = time.monotonic()
        process.send_signal(number)
        process.wait(30)
        assert time.monotonic() - started < 0.8
    process.communicate(timeout=30)
    with shelf(lambda _: package()) as address:
        again = fetcher("y", AGC_LATE_REGISTRY=address)

    assert again.stdout == "claude says y\n", again.stderr
    assert len(fetcher.left()) == 2  # what was fetched, and its lock


def test_a_folder_that_cannot_be_written_is_told(fetcher: Fetcher) -> None:
    """A read-only home is common; the message names both ways round."""
    (fetcher.home / ".cache").write_text("in the way")

    run = fetcher("x")

    assert run.returncode == 69
    assert "mount a volume there, or set AGC_LATE_HOME" in run.stderr


def test_smoke_tests_of_such_an_image_have_the_archive_at_hand() -> None:
    """By the name that the script looks for."""
    made = replace(plan(), late=True)
    ((name, folder),), (mount,) = late_archives(made)
    archive = of_npm(made.programs[0][1].packages[0]).archives["linux/amd64"]

    assert (name, folder, mount.target) == ("AGC_LATE_ARCHIVES", "/run/agc-late", "/run/agc-late")
    assert isinstance(mount.source.op, Files)
    assert [getattr(action, "path", "") for action in mount.source.op.actions] == [f"/{hex_of(archive.sha256)}"]
