"""`agc init`: a new project with one agent of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import TypeAdapter, ValidationError

from pipeline import starting
from pipeline.cli.app import Session, run_command, session_of
from pipeline.cli.output import Line, Span, line
from pipeline.cli.progress import progress
from pipeline.errors import UsageError
from pipeline.models.values import BinaryName, EnvName, FilePath, Name, NpmPackage, PypiPackageName, Text
from pipeline.outputs.starter import Wish

_COMMAND = "Which command does it install?"
_BASES = {"npm": "node-bun", "pypi": "python"}


def command(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="An empty folder, or one to make; this one by default.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--agent", metavar="NAME", help="What to call the agent.", show_default=False)
    ] = None,
    npm: Annotated[
        str | None, typer.Option("--npm", metavar="PACKAGE", help="Its package on npm.", show_default=False)
    ] = None,
    pypi: Annotated[
        str | None, typer.Option("--pypi", metavar="PACKAGE", help="Its package on PyPI.", show_default=False)
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="NAME", help="What it is put on: node-bun for npm, python for PyPI.", show_default=False
        ),
    ] = None,
    binary: Annotated[
        str | None,
        typer.Option(
            "--binary",
            metavar="COMMAND[=FILE]",
            help="Its command, where the package has several; with the file, npm is not asked.",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence", metavar="SPDX", help="Its licence, where the package does not say.", show_default=False
        ),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option("--secret", metavar="VARIABLE", help="A secret it reads, by name.", show_default=False),
    ] = None,
) -> None:
    """Start a project: an agent from npm or PyPI on a shipped base, ready to be locked and built.

    Asks for what is not given, on a terminal. Nothing is ever written over: the folder must be empty.
    """
    session = session_of(context)
    where = (folder or session.project).absolute()
    starting.check_empty(where)
    if npm and pypi:
        raise UsageError("an agent comes from one package", remedy="give --npm or --pypi")
    if not (npm or pypi or agent) and sys.stdin.isatty():
        agent, npm, pypi, asked = _ask()
        binary = binary or asked
    package = npm or pypi
    if not package:
        raise UsageError("no package was named", remedy="agc init DIR --agent NAME --npm PACKAGE, or --pypi PACKAGE")
    source: Literal["npm", "pypi"] = "npm" if npm else "pypi"
    package = _checked(NpmPackage if npm else PypiPackageName, package, f"--{source}")
    wish = Wish(
        _checked(Name, agent or _name_of(package), "--agent"),
        source,
        package,
        _checked(Name, base or _BASES[source], "--base"),
        _checked(Text, licence or "", "--licence"),
        tuple(_checked(EnvName, name, "--secret") for name in secret or ()),
    )
    name, _, path = (binary or "").partition("=")
    chosen = _checked(BinaryName, name, "--binary") if name else ""
    file = _checked(FilePath, path, "--binary") if path else ""

    async def work(session: Session) -> tuple[str, ...]:
        with progress(session.output) as reporter:
            return await starting.new_project(where, wish, (chosen, file), reporter)

    written = run_command(context, work)
    data = {"project": str(where), "image": wish.image, "written": list(written)}
    session.output.result(data, lambda: _lines(where, wish, written))


def _ask() -> tuple[str, str | None, str | None, str | None]:
    """Ask for agent and package, and for the command of one that is on PyPI, which does not say it."""
    try:
        agent = typer.prompt("What is the agent called?", err=True, value_proc=_answer(Name))
        npm = typer.confirm("Is it on npm? (no: on PyPI)", default=True, err=True)
        kind = NpmPackage if npm else PypiPackageName
        package = typer.prompt("What is its package called there?", default=agent, err=True, value_proc=_answer(kind))
        command = None if npm else typer.prompt(_COMMAND, default=package, err=True, value_proc=_answer(BinaryName))
    except typer.Abort as end:  # typer's name for Ctrl-C, and for the end of what is typed
        raise KeyboardInterrupt from end
    return agent, package if npm else None, None if npm else package, command


def _answer(kind: Any) -> Callable[[str], str]:
    """Return what takes an answer, and has the question asked again where it cannot be meant."""

    def take(text: str) -> str:
        try:
            return _checked(kind, text.strip(), "")
        except UsageError as error:
            raise typer.BadParameter(error.message.strip()) from error

    return take


def _name_of(package: str) -> str:
    return package.rpartition("/")[2].replace(".", "-").replace("_", "-")


def _checked(kind: Any, value: str, option: str) -> str:
    try:
        return str(TypeAdapter(kind).validate_python(value))
    except ValidationError as error:
        words = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UsageError(f"{option} {value!r}: {words}", remedy="agc init --help") from error


def _lines(where: Path, wish: Wish, written: tuple[str, ...]) -> list[Line]:
    wrote = [line(Span("wrote ", "dim"), path) for path in written if not path.startswith("registry/schemas/")]
    here = "" if where == Path.cwd() else f"cd {where} && "
    does = f", which is agc lock && agc build --locked {wish.image}"
    return [*wrote, line(), line("next: ", Span(f"{here}make", "bold"), Span(does, "dim"))]
