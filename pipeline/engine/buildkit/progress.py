"""Read what `buildctl --progress=rawjson` prints, and turn it into step events.

Each line is a `client.SolveStatus` of moby/buildkit as JSON: vertexes with their times and errors, log lines base64.

Rules kept here: memory is bounded whatever a step prints (the last lines of each step, each cut to a length), and a
secret that a step prints is masked before anybody sees the line.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.digest import Digest
from pipeline.engine.api import StepEvent, StepStatus

LOG_LINES_KEPT = 20
LINE_LIMIT = 4096
MASK = b"***"
_SHARED = ("importing cache manifest from ", "exporting cache to ")
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Vertex:
    """What is known of one vertex so far; `state` is the digest of the state it stands for, if it stands for one."""

    digest: str
    state: Digest | None
    name: str
    started: datetime | None = None
    completed: datetime | None = None
    cached: bool = False
    error: str = ""

    @property
    def seconds(self) -> float:
        """Wall time of the vertex, 0 while it runs."""
        if self.started is None or self.completed is None:
            return 0.0
        return (self.completed - self.started).total_seconds()


@dataclass(slots=True)
class Progress:
    """The state of a solve as its lines come in; `feed` is called once per line. `masked` are bytes never to show."""

    masked: tuple[bytes, ...] = ()
    vertices: dict[str, Vertex] = field(default_factory=dict)
    logs: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=LOG_LINES_KEPT)))
    other: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES_KEPT))
    _partial: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def feed(self, line: bytes) -> Iterator[StepEvent]:
        """Take one line of standard error and yield what is new; a line that is no status is kept as plain words."""
        try:
            status = json.loads(line) if line.startswith(b"{") else None
        except ValueError:
            status = None
        if isinstance(status, dict):
            for entry in status.get("vertexes") or ():
                yield from self._vertex(entry)
            for entry in status.get("logs") or ():
                yield from self._log(entry)
        elif line.strip():
            self.other.append(self._shown(line))

    def finish(self) -> Iterator[StepEvent]:
        """Yield the last lines of steps that ended without a line feed."""
        for digest, stream in tuple(self._partial):
            yield self._line(digest, self._partial.pop((digest, stream)))

    def failed(self) -> Vertex | None:
        """Return the vertex that failed first, leaving out those that were only cancelled because of it.

        A shared cache that is out of order fails no solve, so it is never the reason.
        """
        broken = [vertex for vertex in self.vertices.values() if vertex.error and not vertex.name.startswith(_SHARED)]
        real = [vertex for vertex in broken if "context canceled" not in vertex.error]
        return min(real, key=lambda vertex: vertex.completed or _LAST, default=None)

    def exporting(self) -> bool:
        """Tell whether an export is under way: its vertex stands for no state."""
        return any(vertex.started and not vertex.completed for vertex in self.vertices.values() if vertex.state is None)

    def export_failed(self) -> bool:
        """Tell whether it was an export that failed first."""
        vertex = self.failed()
        return vertex is not None and vertex.state is None

    def cached(self) -> dict[Digest, bool]:
        """Return for every state that was answered whether its result was there before."""
        done = (vertex for vertex in self.vertices.values() if vertex.completed and not vertex.error)
        return {vertex.state: vertex.cached for vertex in done if vertex.state}

    def _vertex(self, entry: dict[str, Any]) -> Iterator[StepEvent]:
        old = self.vertices.get(entry["digest"])
        new = Vertex(
            digest=entry["digest"],
            state=(old and old.state) or _group(entry),
            name=entry.get("name", ""),
            started=_time(entry.get("started")),
            completed=_time(entry.get("completed")),
            cached=bool(entry.get("cached") or (old and old.cached)),
            error=self._shown(entry.get("error", "").encode()),
        )
        self.vertices[new.digest] = new
        if new.completed and not (old and old.completed):
            status = StepStatus.FAILED if new.error else StepStatus.CACHED if new.cached else StepStatus.DONE
            yield StepEvent(new.digest, new.name, status, new.seconds)
        elif new.started and not (old and old.started):
            yield StepEvent(new.digest, new.name, StepStatus.STARTED)

    def _log(self, entry: dict[str, Any]) -> Iterator[StepEvent]:
        # What a step writes to two streams comes in any order: a line of one is not continued by the other.
        digest, stream = entry["vertex"], entry.get("stream", 0)
        data = self._partial.pop((digest, stream), b"") + base64.b64decode(entry.get("data") or "")
        *lines, rest = data.split(b"\n")
        if rest:
            # What lies beyond is cut anyway; room for one secret more, so that none is kept in part.
            self._partial[digest, stream] = rest[: LINE_LIMIT + max(map(len, self.masked), default=0)]
        for line in lines:
            yield self._line(digest, line)

    def _line(self, digest: str, line: bytes) -> StepEvent:
        text = self._shown(line)
        self.logs[digest].append(text)
        name = self.vertices[digest].name if digest in self.vertices else ""
        return StepEvent(digest, name, StepStatus.LOG, log=text)

    def _shown(self, line: bytes) -> str:
        for secret in self.masked:
            line = line.replace(secret, MASK)
        return line.rstrip(b"\r\n")[:LINE_LIMIT].decode(errors="replace")


def _group(entry: dict[str, Any]) -> Digest | None:
    group = entry.get("progressGroup") or {}
    return Digest(group["id"]) if group.get("id") else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
