"""What Dagger says of a failure, as our errors, with the place in the YAML that asked for the step."""

from __future__ import annotations

import re

import dagger

from pipeline.errors import (
    AgcError,
    BuildError,
    EngineError,
    EngineLostError,
    ErrorGroup,
    FailedStep,
    IntegrityError,
    OutputError,
    SourceGoneError,
)
from pipeline.graph import State
from pipeline.graph.ops import Http

_MISMATCH = re.compile(r"checksum mismatch|digest mismatch|expected digest", re.IGNORECASE)
_GONE = re.compile(r"\b(?:404|410)\b")
_NO_SPACE = re.compile(r"no space left on device")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOST = re.compile(
    r"connection (?:refused|reset)|broken pipe|session (?:not found|closed)|EOF$|client .*(?:gone|closed)"
)
_LAST_LINES = 40
_REPEAT = "repeat the command: finished steps are kept"
_UPGRADE = "agc lock --upgrade NAME"


def lost(error: Exception) -> EngineLostError:
    """Return the error for an engine that does not answer any more."""
    # Of a session that ended by itself the SDK says that it could not start; in a module it has no such words at all.
    ended = isinstance(error, getattr(dagger, "ProvisionError", ()))
    words = ["its session ended"] if ended else str(error).strip().splitlines()
    return EngineLostError(
        f"the Dagger engine went away: {words[0] if words else type(error).__name__}", remedy=_REPEAT
    )


def is_lost(error: BaseException) -> bool:
    """Tell whether `error`, or one of those it holds, says that the engine went away."""
    if isinstance(error, ErrorGroup):
        return any(is_lost(one) for one in error.errors)
    return isinstance(error, EngineLostError)


def explain_export(error: dagger.DaggerError) -> AgcError:
    """Return the error for an export that Dagger could not carry out."""
    if not isinstance(error, dagger.QueryError) or _LOST.search(str(error)):
        return lost(error)
    return OutputError(f"the Dagger engine could not export: {error}")


def explain(error: dagger.DaggerError, state: State) -> AgcError:
    """Return the error for the step `state`, which Dagger could not carry out."""
    name = state.name or type(state.op).__name__.lower()
    if isinstance(error, dagger.ExecError):
        lines = (*error.stdout.splitlines(), *error.stderr.splitlines())
        step = FailedStep(name, error.exit_code, lines[-_LAST_LINES:])
        return BuildError(f"{name}: exit code {error.exit_code}", step=step, location=state.location)
    words = str(error)
    if not isinstance(error, dagger.QueryError) or _LOST.search(words):
        return lost(error)
    if isinstance(state.op, Http) and _MISMATCH.search(words):
        got = next((found for found in _DIGEST.findall(words) if found != state.op.checksum), "other bytes")
        return IntegrityError(
            f"{state.op.url} is not what was locked: got {got}, locked {state.op.checksum}",
            location=state.location,
            remedy=f"do not build from it before you know why it changed; then `{_UPGRADE}`",
        )
    if isinstance(state.op, Http) and _GONE.search(words):
        return SourceGoneError(state.op.url, location=state.location, remedy=_UPGRADE)
    if _NO_SPACE.search(words):
        return EngineError(f"{name}: the engine's disk is full", location=state.location, remedy="free some space")
    return BuildError(f"{name}: {words}", step=FailedStep(name), location=state.location)
