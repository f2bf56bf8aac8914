"""Failures: what the daemon's words, seen for real, are turned into."""

from __future__ import annotations

import anyio
import pytest

from pipeline.engine.buildkit.failure import Probe, explain
from pipeline.engine.buildkit.lowering import Wiring, lower
from pipeline.engine.buildkit.progress import Progress, Vertex
from pipeline.errors import (
    AgcError,
    BrokenFetchError,
    BuildError,
    EngineError,
    FailedStep,
    IntegrityError,
    Location,
    OutputError,
    SourceGoneError,
)
from pipeline.graph import State
from pipeline.platform import AMD64
from tests.unit.graph.samples import ARCHIVE, ROOT

GOT, WANT = "sha256:" + "0d" * 32, "sha256:" + "0" * 64
URL = "https://example.org/tool-1.0.tgz"
PLACE = Location("definitions/agents/claude.yaml", 12, 3)
STEP = ROOT.run("make").named("make it", PLACE)
SOURCE = ARCHIVE.named("the tool", PLACE)


def answers(answer: int | str) -> Probe:
    """Return a probe that knows one public URL and its answer."""

    async def probe(url: str) -> int | str:
        assert url == URL
        return answer

    return probe


def explained(state: State, error: str, *, probe: Probe | None = None) -> AgcError:
    """Return what the failure of `state` with the daemon's word `error` is told as."""
    progress = Progress()
    progress.vertices["v"] = Vertex("v", state.digest, state.name, error=error)
    progress.logs["v"].extend(["one", "two"])
    return told(progress, probe=probe, state=state)


def told(progress: Progress, *, probe: Probe | None = None, state: State = STEP) -> AgcError:
    """Return what the solve that went as `progress` says is told as."""

    async def run() -> AgcError:
        lowered = lower(state, AMD64, Wiring())
        return await explain(progress, lowered, "unix:///b", probe=probe or answers(200), destinations=("/out/dir",))

    return anyio.run(run)


@pytest.mark.parametrize(
    "words",
    [
        'Get "http://deb.example/x.deb": EOF',
        "unexpected EOF",
        "read tcp 10.0.0.1:1->10.0.0.2:80: read: connection reset by peer",
        "invalid response status 503",
        "invalid response status 429",
        "net/http: TLS handshake timeout",
    ],
)
def test_a_fetch_that_broke_off_is_told_apart(words: str) -> None:
    """It is worth another try; a step that says the same is not, nor a server that is not there."""
    assert type(explained(SOURCE, words)) is BrokenFetchError
    assert type(explained(STEP, words)) is BuildError
    assert type(explained(SOURCE, "dial tcp: lookup deb.example: no such host")) is BuildError


def test_a_failing_step_brings_exit_code_last_lines_and_place() -> None:
    """All that a person needs to begin."""
    error = explained(STEP, 'process "make" did not complete successfully: exit code: 2')

    assert isinstance(error, BuildError)
    assert error.step == FailedStep("make it", 2, ("one", "two"))
    assert error.location == PLACE
    assert error.message == "make it: exit code 2"


@pytest.mark.parametrize(
    "words",
    [f"digest mismatch {GOT}: {WANT}", f"digest mismatch for {URL}: {GOT} (expected: {WANT})"],
    ids=["since 0.30", "before"],
)
@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (200, IntegrityError, f"{URL} is not what was locked: got {GOT}, locked {WANT}"),
        (206, IntegrityError, f"got {GOT}, locked {WANT}"),
        (404, SourceGoneError, f"{URL} is gone"),
        (410, SourceGoneError, f"{URL} is gone"),
        (403, BuildError, f"{URL} could not be fetched: HTTP status 403"),
        (503, BuildError, f"{URL} could not be fetched: HTTP status 503"),
        ("connection refused", BuildError, f"{URL} could not be fetched: connection refused"),
    ],
)
def test_a_mismatch_is_tampering_only_where_the_file_is_there(
    words: str, answer: int | str, kind: type[AgcError], says: str
) -> None:
    """The daemon hashes error pages like files, so the server is asked what it says of the public URL."""
    error = explained(SOURCE, words, probe=answers(answer))

    assert type(error) is kind
    assert says in error.message
    assert error.location == PLACE


def test_an_unpinned_file_that_is_not_there_is_gone() -> None:
    """Here the daemon names the status itself."""
    error = explained(SOURCE, "invalid response status 404")

    assert isinstance(error, SourceGoneError)
    assert error.url == URL


def test_a_step_that_prints_a_mismatch_is_a_failing_step() -> None:
    """Words of a process are not words of the daemon."""
    error = explained(STEP, f"digest mismatch {GOT}: {WANT}: exit code: 1")

    assert type(error) is BuildError


@pytest.mark.parametrize("words", ["dial tcp: lookup x: no such host", "connect: connection refused"])
def test_a_network_that_does_not_answer_points_to_the_doctor(words: str) -> None:
    """The remedy is about proxies and mirrors, not about the definition."""
    error = explained(SOURCE, words)

    assert isinstance(error, BuildError)
    assert "agc doctor" in error.remedy


def test_a_full_disk_of_the_engine_is_an_engine_error() -> None:
    """Whoever owns the engine must act, and `prune` may help."""
    error = explained(STEP, "failed to mount: write /var/lib/buildkit/x: no space left on device")

    assert isinstance(error, EngineError)
    assert "prune" in error.remedy


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("failed to send write: write /out/dir/ingest/x/data: no space left on device", OutputError),
        ("failed to compute blob: write /var/lib/buildkit/x: no space left on device", EngineError),
        ("failed to push host/x:y: 401 Unauthorized", OutputError),
    ],
    ids=["the folder is full", "the engine is full", "refused"],
)
def test_an_export_that_fails_is_told_by_whose_disk_it_is(words: str, kind: type[AgcError]) -> None:
    """An export stands for no state; the path tells whose disk is full."""
    progress = Progress()
    progress.vertices["e"] = Vertex("e", None, "exporting to oci image format", error=words)

    assert type(told(progress)) is kind


@pytest.mark.parametrize(
    "words",
    [
        "error: listing workers for Build: failed to list workers: Unavailable: connection error: no such file",
        "error: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
    ],
    ids=["never there", "lost"],
)
def test_a_daemon_that_is_not_there_is_an_engine_error_with_its_address(words: str) -> None:
    """Before a build and in the middle of one."""
    progress = Progress()
    list(progress.feed(words.encode()))
    error = told(progress)

    assert isinstance(error, EngineError)
    assert "unix:///b" in error.message


def test_a_failure_without_a_word_is_still_reported() -> None:
    """The program that carries the solve may be killed from outside."""
    error = told(Progress())

    assert isinstance(error, OutputError)
    assert "no reason" in error.message
