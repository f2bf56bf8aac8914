"""Progress: lines of buildctl in, step events and the failed vertex out, in bounded memory and without secrets."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.digest import digest_bytes
from pipeline.engine.api import StepEvent, StepStatus
from pipeline.engine.buildkit.carry import Lines
from pipeline.engine.buildkit.progress import LINE_LIMIT, LOG_LINES_KEPT, Progress

STATE = digest_bytes(b"state")


def vertex(digest: str = "sha256:a", **more: Any) -> bytes:
    """Return a line about one vertex."""
    return json.dumps({"vertexes": [{"digest": digest, "name": f"step {digest[-1]}", **more}]}).encode()


def log(data: bytes, digest: str = "sha256:a", stream: int = 1) -> bytes:
    """Return a line with output of a vertex."""
    entry = {"vertex": digest, "stream": stream, "data": base64.b64encode(data).decode()}
    return json.dumps({"logs": [entry]}).encode()


def at(second: float) -> str:
    """Return a time as the daemon writes it, with nanoseconds."""
    return f"2026-01-01T00:00:{second:012.9f}Z"


def feed(progress: Progress, *lines: bytes) -> list[StepEvent]:
    """Return all events of the lines."""
    return [event for line in lines for event in progress.feed(line)]


def test_a_step_starts_speaks_and_ends() -> None:
    """Each piece of news is told once, with the seconds at the end."""
    progress = Progress()
    events = feed(
        progress,
        vertex(),
        vertex(started=at(1)),
        vertex(started=at(1)),
        log(b"hello\r\nwor"),
        log(b"ld\n"),
        vertex(started=at(1), completed=at(3.5)),
        vertex(started=at(1), completed=at(3.5)),
    )

    assert [(event.status, event.log, event.seconds) for event in events] == [
        (StepStatus.STARTED, "", 0.0),
        (StepStatus.LOG, "hello", 0.0),
        (StepStatus.LOG, "world", 0.0),
        (StepStatus.DONE, "", 2.5),
    ]
    assert {event.name for event in events} == {"step a"}


def test_the_last_line_of_a_step_counts_without_a_line_feed() -> None:
    """A program that dies in the middle of a line is heard."""
    progress = Progress()

    assert feed(progress, log(b"Killed")) == []
    assert [event.log for event in progress.finish()] == ["Killed"]
    assert list(progress.logs["sha256:a"]) == ["Killed"]


def test_the_streams_of_a_step_are_not_mixed_within_a_line() -> None:
    """Whichever comes first."""
    progress = Progress(masked=(b"canary",))
    events = feed(progress, log(b"fatal: ", stream=2), log(b"one\ncan"), log(b"no key\n", stream=2), log(b"ary\ntw"))

    assert [event.log for event in events] == ["one", "fatal: no key", "***"]
    assert [event.log for event in progress.finish()] == ["tw"]


def test_a_cached_step_says_so_and_stays_so() -> None:
    """The daemon does not repeat the word in every later status."""
    progress = Progress()
    group = {"id": STATE}
    events = feed(
        progress,
        vertex(started=at(1), cached=True, progressGroup=group),
        vertex(started=at(1), completed=at(1), progressGroup=None),
    )

    assert events[-1].status is StepStatus.CACHED
    assert progress.cached() == {STATE: True}


def test_only_steps_that_were_answered_count_as_built_or_cached() -> None:
    """A step that never ended, or failed, is neither."""
    progress = Progress()
    other = digest_bytes(b"other")
    feed(
        progress,
        vertex("sha256:a", started=at(1), completed=at(2), progressGroup={"id": STATE}),
        vertex("sha256:b", started=at(1), progressGroup={"id": other}),
        vertex("sha256:c", started=at(1), completed=at(2), error="exit code: 1", progressGroup={"id": other}),
    )

    assert progress.cached() == {STATE: False}


def test_the_first_real_failure_is_the_cause() -> None:
    """Steps cancelled because another failed are no cause, whenever they ended."""
    progress = Progress()
    events = feed(
        progress,
        vertex("sha256:a", started=at(1), completed=at(2), error="context canceled"),
        vertex("sha256:b", started=at(1), completed=at(4), error="late"),
        vertex("sha256:c", started=at(1), completed=at(3), error="cause"),
        vertex("sha256:d", error="never timed"),
    )
    failed = progress.failed()

    assert failed is not None
    assert failed.error == "cause"
    assert [event.status for event in events].count(StepStatus.FAILED) == 3


def test_words_that_are_no_status_are_kept_as_words() -> None:
    """Warnings, half a line of JSON, JSON of something else and bytes that are no text do no harm."""
    progress = Progress()

    assert feed(progress, b"error: no such host\n", b'{"vertexes": [', b"", b"{\xff}", b"  ") == []
    assert list(progress.other) == ["error: no such host", '{"vertexes": [', "{\ufffd}"]


def test_memory_is_bounded_whatever_a_step_prints() -> None:
    """The last lines are kept, each cut; a line that never ends does not grow."""
    progress = Progress()
    feed(progress, *(log(b"x" * 60_000) for _ in range(200)))
    feed(progress, *(log(b"\n%d\n" % number) for number in range(1000)))
    kept = progress.logs["sha256:a"]

    assert len(kept) == LOG_LINES_KEPT
    assert kept[-1] == "999"
    feed(progress, *(log(b"y" * 60_000) for _ in range(200)))
    assert [len(event.log) for event in progress.finish()] == [LINE_LIMIT]


@given(st.integers(0, LINE_LIMIT + 40), st.integers(1, 9))
def test_a_secret_is_masked_wherever_it_lies(before: int, piece: int) -> None:
    """At the cut of a long line, across the pieces it came in, in errors and in plain words: never a part of it."""
    secret = b"hunter2-hunter2"
    progress = Progress(masked=(secret,))
    data = b"x" * before + secret + b"y\n"
    pieces = [data[:before], *(data[start : start + piece] for start in range(before, len(data), piece))]
    feed(progress, *map(log, pieces), vertex(error=f"echo {secret.decode()}"), b"warning: " + secret)
    failed = progress.failed()
    shown = [*progress.logs["sha256:a"], *progress.other, failed.error if failed else ""]

    assert len(shown) == 3
    assert not any("hunter" in text for text in shown)


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_lines_are_the_same_however_they_are_cut_into_pieces(pieces: list[bytes]) -> None:
    """A line may come in any number of pieces, and a piece may hold any number of lines."""
    lines = Lines()
    got = [line for piece in pieces for line in lines.feed(piece)]

    assert [*got, *lines.rest()] == b"".join(pieces).split(b"\n")


def test_a_line_beyond_all_measure_is_dropped_and_the_next_one_read() -> None:
    """What the daemon would never send is not held in memory."""
    lines = Lines(longest=10)

    assert lines.feed(b"x" * 6) == []
    assert lines.feed(b"x" * 6) == []
    assert lines.feed(b"x" * 6 + b"\nnext\n") == [b"next"]


def test_a_shared_cache_out_of_order_is_no_reason_of_a_failure() -> None:
    """BuildKit goes on without it; what failed is what came after."""
    progress = Progress()
    lost = {"name": "importing cache manifest from registry.example/cache:x", "completed": at(1), "error": "refused"}
    feed(progress, vertex(**lost), vertex("sha256:b", started=at(1), completed=at(2), error="exit code: 1"))

    failed = progress.failed()

    assert failed is not None
    assert failed.error == "exit code: 1"
