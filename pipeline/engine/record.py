"""An engine in memory: builds nothing, remembers what it was asked, and answers with plausible results.

For tests and dry runs. An image it exports has the true config and one small layer for each layer of the stack, each
made from the digest of its state: so equal states share blobs, and a change shows in the manifest digest.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pipeline.digest import Digest, hex_of
from pipeline.engine.api import (
    Export,
    FilesExport,
    ImageContent,
    LayoutExport,
    ProgressSink,
    SecretFile,
    Solved,
    StepEvent,
    StepStatus,
)
from pipeline.engine.layout import write_image
from pipeline.errors import AgcError
from pipeline.graph import State, walk
from pipeline.graph.ops import Merge
from pipeline.platform import Platform


@dataclass(frozen=True, slots=True)
class Request:
    """One solve that was asked for."""

    state: State
    platform: Platform
    exports: tuple[Export, ...] = ()
    layouts: tuple[tuple[Digest, Path], ...] = ()
    secrets: tuple[SecretFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solve comes to: `files` for its file exports, lines its last step prints, or the `error` it ends with."""

    files: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    log: tuple[str, ...] = ()
    seconds: float = 0.0
    error: AgcError | None = None


@dataclass(slots=True)
class Recorder:
    """The engine; `answer` decides what comes of a request, and `requests` is what there was, in order.

    A state that it solved before, for the same platform, is cached.
    """

    answer: Callable[[Request], Answer] = lambda _: Answer()
    requests: list[Request] = field(default_factory=list)
    _known: set[tuple[Platform, Digest]] = field(default_factory=set)

    async def solve(
        self,
        state: State,
        *,
        platform: Platform,
        layouts: Mapping[Digest, Path],
        secrets: Iterable[SecretFile] = (),
        exports: Iterable[Export] = (),
        on_progress: ProgressSink | None = None,
    ) -> Solved:
        """Record the request and answer it; see `Engine.solve`."""
        request = Request(state, platform, tuple(exports), tuple(layouts.items()), tuple(secrets))
        self.requests.append(request)
        answer = self.answer(request)
        states = tuple(walk(state))
        cached = {step.digest: (platform, step.digest) in self._known for step in states}
        for event in _events(states, cached, answer):
            if on_progress:
                on_progress(event)
        if answer.error is not None:
            raise answer.error
        self._known.update((platform, step.digest) for step in states)
        digests = [_export(export, request, answer) for export in request.exports]
        return Solved(next(filter(None, digests), None), MappingProxyType(cached), answer.seconds)


def _events(states: tuple[State, ...], cached: Mapping[Digest, bool], answer: Answer) -> Iterable[StepEvent]:
    for state in states:
        step, name = state.digest, state.name or type(state.op).__name__.lower()
        yield StepEvent(step, name, StepStatus.STARTED)
        if cached[step]:
            yield StepEvent(step, name, StepStatus.CACHED)
            continue
        last = state is states[-1]
        for line in answer.log if last else ():
            yield StepEvent(step, name, StepStatus.LOG, log=line)
        status = StepStatus.FAILED if last and answer.error else StepStatus.DONE
        yield StepEvent(step, name, status, answer.seconds if last else 0.0)


def _export(export: Export, request: Request, answer: Answer) -> Digest | None:
    """Write one export and return the digest of its image; archives are only recorded."""
    match export:
        case LayoutExport(directory, content):
            return _write_layout(directory, content, request.state)
        case FilesExport(directory):
            for name, data in answer.files.items():
                path = directory / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    return None


def _write_layout(directory: Path, content: ImageContent, state: State) -> Digest:
    layers = state.op.layers if isinstance(state.op, Merge) else (state,)
    config = json.loads(content.config)
    return write_image(directory, content.name, config, (_tar(layer.digest) for layer in layers))


def _tar(digest: Digest) -> bytes:
    """Return a tar of one file that is named by `digest`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(f"layers/{hex_of(digest)}"))
    return buffer.getvalue()
