"""Turn what buildctl and buildkitd say of a failure into our errors, with the place in the YAML that asked for it."""

from __future__ import annotations

import re

from pipeline.engine.buildkit.lowering import Lowered
from pipeline.engine.buildkit.progress import Progress, Vertex
from pipeline.errors import (
    AgcError,
    BuildError,
    EngineError,
    FailedStep,
    IntegrityError,
    OutputError,
    SourceGoneError,
)

_EXIT_CODE = re.compile(r"exit code: (\d+)")
_MISMATCH = re.compile(r"digest mismatch for (?P<url>\S+): (?P<got>sha256:\w+) \(expected: (?P<want>sha256:\w+)\)")
_GONE = re.compile(r"invalid response status (?:404|410)")
_UNREACHABLE = re.compile(
    r"(connection refused|no such host|i/o timeout|no route to host|TLS handshake|network is unreachable"
    r"|server misbehaving|invalid response status 5\d\d|connection reset)"
)
_ENGINE_LOST = re.compile(
    r"(failed to list workers|code = Unavailable|no such file or directory.*\.sock|error reading server preface"
    r"|transport is closing|context deadline exceeded)"
)
_NO_SPACE = re.compile(r"no space left on device")


def explain(progress: Progress, lowered: Lowered, address: str) -> AgcError:
    """Return the error for a solve that failed."""
    words = " ".join(progress.other)
    vertex = progress.failed()
    if vertex is not None:
        return _explain_vertex(vertex, progress, lowered)
    if _NO_SPACE.search(words):
        return OutputError(f"the result could not be written: {_last(progress)}", remedy="free some space and repeat")
    if _ENGINE_LOST.search(words):
        return EngineError(
            f"the build engine at {address} went away or does not answer: {_last(progress)}",
            remedy="agc engine status, then repeat the command: finished steps are kept",
        )
    return OutputError(f"the engine could not finish: {_last(progress)}")


def _explain_vertex(vertex: Vertex, progress: Progress, lowered: Lowered) -> AgcError:
    state = lowered.states.get(vertex.state)
    location = state.location if state else None
    name = vertex.name or (state.name if state else vertex.digest)
    if found := _MISMATCH.search(vertex.error):
        return IntegrityError(
            f"{found['url']} is not what was locked: got {found['got']}, locked {found['want']}",
            location=location,
            remedy="do not build from it before you know why it changed; then `agc lock --upgrade NAME`",
        )
    if _GONE.search(vertex.error):
        return SourceGoneError(name, location=location, remedy="agc lock --upgrade NAME")
    if _NO_SPACE.search(vertex.error):
        return EngineError(
            f"{name}: the engine's disk is full", location=location, remedy="agc engine prune, or free some space"
        )
    code = _EXIT_CODE.search(vertex.error)
    step = FailedStep(name, int(code[1]) if code else None, tuple(progress.logs.get(vertex.digest, ())))
    reason = f"exit code {code[1]}" if code else vertex.error
    remedy = "check the network, proxy and mirrors: agc doctor" if _UNREACHABLE.search(vertex.error) else ""
    return BuildError(f"{name}: {reason}", step=step, location=location, remedy=remedy)


def _last(progress: Progress) -> str:
    return progress.other[-1].removeprefix("error: ") if progress.other else "no reason given"
