"""`agc doctor`: what this machine lacks, and the command that mends it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from pipeline.cli.app import Session, run_command, session_of
from pipeline.cli.output import Line, Span, line
from pipeline.engine.host import Check, check_host, fix_host
from pipeline.errors import EngineError
from pipeline.settings import load_settings


def command(
    context: typer.Context,
    fix: Annotated[bool, typer.Option("--fix", help="Run the commands that mend what is missing.")] = False,
) -> None:
    """Check everything a build needs on this machine. Exit code 6 where something needed is missing."""
    session = session_of(context)
    settings = load_settings(session.project, os.environ)
    checks = check_host(settings)
    if fix and any(not check.ok and check.fix for check in checks):

        async def work(session: Session) -> None:
            for fixed in await fix_host(checks, session.output.note):
                if not fixed.ok:
                    session.output.warn(f"{fixed.check.name}: {fixed.said}")

        run_command(context, work)
        checks = check_host(settings)
    missing = [check for check in checks if not check.ok and not check.optional]
    data = {"ok": not missing, "checks": [_as_json(check) for check in checks]}
    if not missing or not session.output.json:
        session.output.result(data, lambda: _lines(checks))
    if missing:
        names = ", ".join(check.name for check in missing)
        raise EngineError(f"missing on this machine: {names}", remedy="agc doctor --fix")


def _as_json(check: Check) -> dict[str, object]:
    return {
        "name": check.name,
        "ok": check.ok,
        "optional": check.optional,
        "found": check.found,
        "neededFor": check.needed_for,
        "fix": check.fix,
    }


def _lines(checks: Sequence[Check]) -> Iterator[Line]:
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = Span("✓", "green") if check.ok else Span("·", "dim") if check.optional else Span("✗", "red")
        need = "" if check.ok else f" (for {check.needed_for})"
        yield line(mark, f" {check.name:<{width}}  {check.found}{need}")
        if not check.ok and check.fix:
            yield line(Span(f"  {'':<{width}}  {check.fix}", "bold"))
