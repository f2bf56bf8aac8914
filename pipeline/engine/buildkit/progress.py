"""Read what `buildctl --progress=rawjson` prints, and turn it into step events.

Each line is a `client.SolveStatus` of moby/buildkit as JSON: vertexes with their times and errors, log lines base64.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.engine.api import StepEvent, StepStatus

LOG_LINES_KEPT = 20
_LINE_LIMIT = 4096


@dataclass(slots=True)
class Vertex:
    """What is known of one vertex so far; `state` is the digest of the state it stands for, if it stands for one."""

    digest: str
    state: str
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
    """The state of a solve as its lines come in; `feed` is called once per line."""

    vertices: dict[str, Vertex] = field(default_factory=dict)
    logs: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=LOG_LINES_KEPT)))
    other: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES_KEPT))
    _partial: dict[str, bytes] = field(default_factory=dict)

    def feed(self, line: str) -> Iterator[StepEvent]:
        """Take one line of standard error and yield what is new; a line that is no status is kept as plain words."""
        if not line.startswith("{"):
            if line.strip():
                self.other.append(line.rstrip()[:_LINE_LIMIT])
            return
        try:
            status = json.loads(line)
        except ValueError:
            self.other.append(line.rstrip()[:_LINE_LIMIT])
            return
        for entry in status.get("vertexes") or ():
            yield from self._vertex(entry)
        for entry in status.get("logs") or ():
            yield from self._log(entry)

    def failed(self) -> Vertex | None:
        """Return the vertex that failed first, leaving out those that were only cancelled because of it."""
        broken = [vertex for vertex in self.vertices.values() if vertex.error]
        real = [vertex for vertex in broken if "context canceled" not in vertex.error]
        return min(real, key=lambda vertex: vertex.completed or datetime.max, default=None) if real else None

    def _vertex(self, entry: dict[str, object]) -> Iterator[StepEvent]:
        digest = str(entry["digest"])
        old = self.vertices.get(digest)
        new = Vertex(
            digest,
            old.state if old and old.state else _group(entry),
            str(entry.get("name", "")),
            _time(entry.get("started")),
            _time(entry.get("completed")),
            bool(entry.get("cached")) or bool(old and old.cached),
            str(entry.get("error", "")),
        )
        self.vertices[digest] = new
        if new.completed and not (old and old.completed):
            status = StepStatus.FAILED if new.error else StepStatus.CACHED if new.cached else StepStatus.DONE
            yield StepEvent(digest, new.name, status, new.seconds)
        elif new.started and not (old and old.started):
            yield StepEvent(digest, new.name, StepStatus.STARTED)

    def _log(self, entry: dict[str, object]) -> Iterator[StepEvent]:
        digest = str(entry["vertex"])
        data = self._partial.pop(digest, b"") + base64.b64decode(str(entry.get("data", "")))
        *lines, rest = data.split(b"\n")
        if len(rest) >= _LINE_LIMIT:
            lines, rest = [*lines, rest], b""
        if rest:
            self._partial[digest] = rest
        name = self.vertices[digest].name if digest in self.vertices else ""
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")[:_LINE_LIMIT]
            self.logs[digest].append(text)
            yield StepEvent(digest, name, StepStatus.LOG, log=text)


def _group(entry: dict[str, object]) -> str:
    group = entry.get("progressGroup")
    return str(group.get("id", "")) if isinstance(group, dict) else ""


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
