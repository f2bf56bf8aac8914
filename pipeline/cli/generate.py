"""`agc generate`: files that people and other programs start from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import flow, starting
from pipeline.cli.app import session_of
from pipeline.cli.output import Line, Span, line
from pipeline.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from pipeline.outputs.commands import CommandText
    from pipeline.outputs.generated import Drift

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


class What(StrEnum):
    """The sorts of files that can be generated: the keys of `MAKERS` and `PAGES` in outputs.makers."""

    CI = "ci"
    IMAGE_CATALOG = "image-catalog"
    COMPOSE = "compose"
    DEVCONTAINERS = "devcontainers"
    HELM = "helm"
    KUBERNETES = "kubernetes"
    OPENSHELL = "openshell"
    SANDBOX = "sandbox"
    DOCS = "docs"


def command(
    context: typer.Context,
    only: Annotated[
        list[What] | None, typer.Option("--only", help="Only these files; all by default.", show_default=False)
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; fail, and show how, where a file differs.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write also over what somebody changed by hand, which is lost.")
    ] = False,
) -> None:
    """Write the files that people and other programs start from, and remove those that are made no more."""
    if check and force:
        raise UsageError("--check changes nothing", remedy="leave out --check or --force")
    session = session_of(context)
    project = flow.open_project(session.project)
    wanted = tuple(dict.fromkeys(only or ()))
    commands = _commands() if What.DOCS in wanted or not wanted else ()
    files, drifts = starting.generate(project, wanted, commands, write=not check, force=force)
    names = [drift.path for drift in drifts]
    failed = check and bool(drifts)
    if not (failed and session.output.json):
        data = {"files": [file.path for file in files], "written": [] if check else names}
        session.output.result(data, lambda: _diff(drifts) if failed else _written(len(files), drifts))
    if failed:
        options = "".join(f" --only {what}" for what in only or ())
        raise DefinitionError(f"out of date: {', '.join(names)}", remedy=f"agc generate{options}")


def _commands() -> tuple[CommandText, ...]:
    from pipeline.cli.describe import describe_commands  # imports every command

    return describe_commands()


def _diff(drifts: Sequence[Drift]) -> Iterator[Line]:
    for drift in drifts:
        for text in drift.diff():
            yield line(Span(text, _STYLES.get(text[:1], "")))


def _written(count: int, drifts: Sequence[Drift]) -> Iterator[Line]:
    for drift in drifts:
        yield line(Span("wrote " if drift.wanted else "removed ", "dim"), drift.path)
    yield line(f"{count} files, {len(drifts)} written")
