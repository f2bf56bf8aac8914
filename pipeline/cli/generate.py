"""`agc generate`: files that people and other programs start from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import flow
from pipeline.cli.app import session_of
from pipeline.cli.output import Line, Span, line
from pipeline.errors import DefinitionError

if TYPE_CHECKING:
    from pipeline.outputs.generated import Drift

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


class What(StrEnum):
    """What can be generated."""

    CI = "ci"


def command(
    context: typer.Context,
    only: Annotated[
        list[What] | None, typer.Option("--only", help="Only these files; all by default.", show_default=False)
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail, and show how, where a file differs.")
    ] = False,
) -> None:
    """Write what is made from templates: files for CI systems, in ci/."""
    session = session_of(context)
    wanted = tuple(dict.fromkeys(only or What))
    files, drifts = flow.generate(session.project, wanted, write=not check)
    names = [drift.wanted.path for drift in drifts]
    failed = check and bool(drifts)
    if not (failed and session.output.json):
        data = {"files": [file.path for file in files], "written": [] if check else names}
        session.output.result(data, lambda: _diff(drifts) if failed else _written(len(files), names))
    if failed:
        options = "".join(f" --only {what}" for what in only or ())
        raise DefinitionError(f"out of date: {', '.join(names)}", remedy=f"agc generate{options}")


def _diff(drifts: Sequence[Drift]) -> Iterator[Line]:
    for drift in drifts:
        for text in drift.diff():
            yield line(Span(text, _STYLES.get(text[:1], "")))


def _written(count: int, names: Sequence[str]) -> Iterator[Line]:
    for name in names:
        yield line(Span("wrote ", "dim"), name)
    yield line(f"{count} files, {len(names)} written")
