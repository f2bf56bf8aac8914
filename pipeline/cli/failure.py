"""How a failure is shown: what failed, the place with the lines around it, the step's last words, what to type next."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline.cli.output import Line, Output, Span, line, plain
from pipeline.errors import AgcError, BuildError, ErrorGroup, ExitCode, FailedStep, Location

_LINES_BEFORE = 2
_LINES_AFTER = 1
_WIDEST = 160
_LOG_LINES = 12


def report(error: AgcError, output: Output, project: Path) -> ExitCode:
    """Write `error` to where `output` wants it, and return the exit code that goes with it."""
    output.failure(as_json(error), lines_of(error, project))
    return exit_code(error)


def exit_code(error: AgcError) -> ExitCode:
    """Return the exit code of `error`; that of a group is that of its first member."""
    if isinstance(error, ErrorGroup) and error.errors:
        return exit_code(error.errors[0])
    return error.exit_code


def flatten(error: AgcError) -> tuple[AgcError, ...]:
    """Return the single failures in `error`, sorted by place, those without a place last."""
    if not isinstance(error, ErrorGroup):
        return (error,)
    members = [single for member in error.errors for single in flatten(member)]
    return tuple(sorted(members, key=_place))


def _place(error: AgcError) -> tuple[bool, str, int, int]:
    where = error.location
    return (False, where.file, where.line, where.column) if where else (True, "", 0, 0)


def as_json(error: AgcError) -> dict[str, object]:
    """Return the object that `--json` prints for `error`."""
    members = flatten(error)
    body = _entry(error if len(members) != 1 else members[0])
    body["exitCode"] = int(exit_code(error))
    if len(members) > 1:
        body["errors"] = [_entry(member) for member in members]
    return {"error": body}


def _entry(error: AgcError) -> dict[str, object]:
    entry: dict[str, object] = {"code": exit_code(error).name.lower(), "message": error.message}
    if error.location:
        where = error.location
        entry["location"] = {"file": where.file, "line": where.line, "column": where.column}
    if error.remedy:
        entry["remedy"] = error.remedy
    if isinstance(error, BuildError) and error.step:
        step = error.step
        log = [plain(text) for text in step.log]
        entry["step"] = {"name": step.name, "exitCode": step.exit_code, "log": log}
    return entry


def lines_of(error: AgcError, project: Path) -> tuple[Line, ...]:
    """Return `error` for people; files with a relative name are looked for in the current folder, then in `project`."""
    members = flatten(error)
    blocks = [tuple(_block(member, project)) for member in members]
    if len(members) > 1:
        files = len({member.location.file for member in members if member.location})
        where = f" in {files} {'file' if files == 1 else 'files'}" if files else ""
        blocks.append((line(Span(f"{len(members)} errors{where}", "bold red")),))
    return tuple(one for at, block in enumerate(blocks) for one in ((line(), *block) if at else block))


def _block(error: AgcError, project: Path) -> Iterator[Line]:
    first, *rest = [plain(text) for text in error.message.splitlines()] or [""]
    yield line(Span("error: ", "bold red"), Span(first, "bold"))
    for text in rest:
        yield line("  ", text)
    if error.location:
        yield line(Span("  --> ", "blue"), str(error.location))
        yield from _excerpt(error.location, project)
    if isinstance(error, BuildError) and error.step:
        yield from _step(error.step)
    if error.remedy:
        first, *rest = [plain(text) for text in error.remedy.splitlines()]
        yield line(Span("  try: ", "green"), first)
        for text in rest:
            yield line("       ", text)


def _excerpt(where: Location, project: Path) -> Iterator[Line]:
    """Yield the lines around `where`, its own marked; nothing where the file cannot be read any more."""
    start = max(1, where.line - _LINES_BEFORE)
    found = dict(enumerate(_read(where, project, start), start))
    if where.line not in found:
        return
    width = len(str(max(found)))
    for number, text in found.items():
        here = number == where.line
        yield line(Span(f"  {number:>{width}} | ", "blue"), Span(plain(text)[:_WIDEST], "" if here else "dim"))
        if here and 0 < where.column <= min(len(text) + 1, _WIDEST):
            column = len(plain(text[: where.column - 1]))
            yield line(Span(f"  {'':>{width}} | ", "blue"), " " * column, Span("^", "bold red"))


def _read(where: Location, project: Path, start: int) -> list[str]:
    if not where.line:
        return []
    # A place in the project is relative to it; another may be relative to the folder the program was called in.
    for file in (project / where.file, Path(where.file)):
        try:
            with file.open(encoding="utf-8", errors="replace") as handle:
                return [text.rstrip("\n") for text in islice(handle, start - 1, where.line + _LINES_AFTER)]
        except OSError:
            continue
    return []


def _step(step: FailedStep) -> Iterator[Line]:
    code = "" if step.exit_code is None else f", exit code {step.exit_code}"
    yield line("  step: ", plain(step.name), code)
    for text in step.log[-_LOG_LINES:]:
        yield line(Span("  | ", "red"), plain(text))
