"""Turn what buildctl and buildkitd say of a failure into our errors, with the place in the YAML that asked for it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from pipeline.engine.buildkit.lowering import Lowered
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
from pipeline.graph.ops import Http, Image

Probe: TypeAlias = Callable[[str], Awaitable[int | str]]
"""Asks a public URL; returns the HTTP status, or words where no answer came."""

_EXIT_CODE = re.compile(r"exit code: (\d+)")
# Newer and older spelling: `digest mismatch GOT: WANT` and `digest mismatch for URL: GOT (expected: WANT)`.
_MISMATCH = re.compile(
    r"digest mismatch (?:for \S+: )?(?P<got>sha256:[0-9a-f]{64}):? \(?(?:expected: )?(?P<want>sha256:[0-9a-f]{64})"
)
_GONE = re.compile(r"invalid response status (?:404|410)")
_GONE_STATUS = frozenset({404, 410})
_REFUSED = 400
_UNREACHABLE = re.compile(
    r"(connection refused|no such host|i/o timeout|no route to host|TLS handshake|network is unreachable"
    r"|server misbehaving|invalid response status 5\d\d|connection reset)"
)
# Not a server that is not there at all: that is told at once.
_BROKE_OFF = re.compile(
    r"(\bEOF\b|connection reset|broken pipe|i/o timeout|TLS handshake timeout|status (?:429|5\d\d))"
)
_ENGINE_LOST = re.compile(
    r"(failed to list workers|[Uu]navailable|error reading server preface|transport is closing"
    r"|context deadline exceeded)"
)
_NO_SPACE = re.compile(r"no space left on device")
_NETWORK_REMEDY = "check the network, proxy and mirrors: agc doctor"
_SPACE_REMEDY = "free some space, or choose another --output folder, and repeat: finished steps are kept"
_UPGRADE_REMEDY = "agc lock --upgrade NAME"


async def explain(
    progress: Progress, lowered: Lowered, address: str, *, probe: Probe, destinations: tuple[str, ...] = ()
) -> AgcError:
    """Return the error for a solve that failed; `destinations` are the paths its exports were written to."""
    vertex = progress.failed()
    words = vertex.error if vertex else " ".join(progress.other)
    if vertex and (state := lowered.states.get(vertex.state or "")):
        # A cause of its own is looked for only where the step is one of ours: all else is the export.
        mismatch = _MISMATCH.search(vertex.error)
        if mismatch and isinstance(state.op, Http):
            return await _explain_mismatch(state.op.url, mismatch, state.location, probe)
        if isinstance(state.op, Http) and _GONE.search(vertex.error):
            return SourceGoneError(state.op.url, location=state.location, remedy=_UPGRADE_REMEDY)
        return _explain_step(vertex, progress, state)
    if _NO_SPACE.search(words):
        return _no_space(words, destinations)
    if not vertex and _ENGINE_LOST.search(words):
        return EngineError(
            f"the build engine at {address} went away or does not answer: {_last(progress)}",
            remedy="agc engine status, then repeat the command: finished steps are kept",
        )
    remedy = _NETWORK_REMEDY if _UNREACHABLE.search(words) else ""
    return OutputError(f"{vertex.name}: {vertex.error}" if vertex else _last(progress), remedy=remedy)


def disk_full(destination: str) -> OutputError:
    """Return the error for an export that found no room."""
    return OutputError(f"{destination}: no space left on device", remedy=_SPACE_REMEDY)


async def _explain_mismatch(url: str, found: re.Match[str], location: Location | None, probe: Probe) -> AgcError:
    answer = await probe(url)
    if answer in _GONE_STATUS:
        return SourceGoneError(url, location=location, remedy=_UPGRADE_REMEDY)
    if isinstance(answer, str) or answer >= _REFUSED:
        reason = answer if isinstance(answer, str) else f"HTTP status {answer}"
        return BuildError(f"{url} could not be fetched: {reason}", location=location, remedy=_NETWORK_REMEDY)
    return IntegrityError(
        f"{url} is not what was locked: got {found['got']}, locked {found['want']}",
        location=location,
        remedy=f"do not build from it before you know why it changed; then `{_UPGRADE_REMEDY}`",
    )


def _explain_step(vertex: Vertex, progress: Progress, state: State) -> AgcError:
    location = state.location
    if isinstance(state.op, (Http, Image)) and _BROKE_OFF.search(vertex.error):
        return BrokenFetchError(f"{vertex.name}: {vertex.error}", location=location, remedy=_NETWORK_REMEDY)
    code = _EXIT_CODE.search(vertex.error)
    if not code and _NO_SPACE.search(vertex.error):
        return EngineError(
            f"{vertex.name}: the engine's disk is full",
            location=location,
            remedy="agc engine prune, or free some space",
        )
    step = FailedStep(vertex.name, int(code[1]) if code else None, tuple(progress.logs.get(vertex.digest, ())))
    reason = f"exit code {code[1]}" if code else vertex.error
    remedy = _NETWORK_REMEDY if _UNREACHABLE.search(vertex.error) else ""
    return BuildError(f"{vertex.name}: {reason}", step=step, location=location, remedy=remedy)


def _no_space(words: str, destinations: tuple[str, ...]) -> AgcError:
    ours = next((path for path in destinations if path in words), None)
    if ours:
        return disk_full(ours)
    return EngineError("the engine's disk is full", remedy="agc engine prune, or free some space")


def _last(progress: Progress) -> str:
    if not progress.other:
        return "the engine could not finish, and gave no reason"
    return progress.other[-1].removeprefix("error: ").removeprefix("failed to solve: ")
