"""The command line: global options, the table of commands, and what a command is given.

A command lives in `pipeline/cli/<name>.py` as `command`, a function or a `typer.Typer`. It is imported when it is
called, not before; until then the table speaks for it. Global options are understood before and after its name.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from pipeline.cli.output import Color, Output, line
from pipeline.engine_name import EngineName

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """What the global options said: which project, and how to speak."""

    project: Path = field(default_factory=Path.cwd)
    output: Output = field(default_factory=Output)
    engine: EngineName | None = None


@dataclass(slots=True)
class Invocation:
    """The session as far as the command line has been read; it is what every typer context carries as `obj`."""

    session: Session


def session_of(context: typer.Context) -> Session:
    """Return the session a command runs in."""
    invocation = context.find_object(Invocation)
    return invocation.session if invocation else Session()


def run_command(context: typer.Context, work: Callable[[Session], Awaitable[T]]) -> T:
    """Run the coroutine function `work` on an event loop, and return what it returns."""
    import anyio  # 100 ms with its back end; commands that do not wait do without

    return anyio.run(work, session_of(context))


def _set_output(context: typer.Context, **changes: Any) -> None:
    if invocation := context.find_object(Invocation):
        session = invocation.session
        invocation.session = replace(session, output=replace(session.output, **changes))


def _on_project(context: typer.Context, value: Path | None) -> Path | None:
    invocation = context.find_object(Invocation)
    if invocation and value:
        invocation.session = replace(invocation.session, project=value)
    return value


def _on_engine(context: typer.Context, value: EngineName | None) -> EngineName | None:
    invocation = context.find_object(Invocation)
    if invocation and value:
        invocation.session = replace(invocation.session, engine=value)
    return value


def _on_json(context: typer.Context, value: bool) -> bool:
    if value:
        _set_output(context, json=True)
    return value


def _on_quiet(context: typer.Context, value: bool) -> bool:
    if value:
        _set_output(context, quiet=True, verbose=False)
    return value


def _on_verbose(context: typer.Context, value: bool) -> bool:
    if value:
        _set_output(context, verbose=True, quiet=False)
    return value


def _on_color(context: typer.Context, value: Color | None) -> Color | None:
    if value:
        _set_output(context, color=value)
    return value


def _on_version(context: typer.Context, value: bool) -> None:
    if value and not context.resilient_parsing:
        from importlib.metadata import version  # 40 ms

        number = version("agentcontainers")
        session_of(context).output.result({"version": number}, lambda: [line(f"agc {number}")])
        raise typer.Exit


ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        "-C",
        metavar="DIR",
        help="Read definitions/ and registry/ in DIR instead of here.",
        callback=_on_project,
        exists=True,
        file_okay=False,
        resolve_path=True,
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="End standard output with one JSON object.", callback=_on_json)
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.", callback=_on_quiet)]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show what the steps print.", callback=_on_verbose)
]
ColorOption = Annotated[
    Color | None,
    typer.Option("--color", help="When to use colour (auto: on a terminal).", callback=_on_color, show_default=False),
]
EngineOption = Annotated[
    EngineName | None,
    typer.Option("--engine", help="What builds (default: buildkit).", callback=_on_engine, show_default=False),
]
VersionOption = Annotated[
    bool, typer.Option("--version", help="Show the version and exit.", callback=_on_version, is_eager=True)
]


def _shared(
    project: ProjectOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    color: ColorOption = None,
    engine: EngineOption = None,
) -> None:
    """Stand for the options that every command understands; their callbacks do the work."""


def _root(context: typer.Context, version: VersionOption = False) -> None:  # noqa: ARG001 (its callback does the work)
    """Build reproducible, tested container images for AI coding agents."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@dataclass(frozen=True, slots=True)
class Entry:
    """A command of the table: where it lives, as `module:attribute`, and the line that `--help` shows."""

    target: str
    help: str


COMMANDS: Mapping[str, Entry] = {
    "init": Entry("pipeline.cli.init:command", "Start a project with an agent of its own, in an empty folder."),
    "validate": Entry("pipeline.cli.validate:command", "Check the definitions and show everything wrong with them."),
    "lock": Entry("pipeline.cli.lock:command", "Turn every moving name into a pin in registry/lock/."),
    "list-matrix": Entry("pipeline.cli.list_matrix:command", "List the images of the project, or why a pair is none."),
    "explain": Entry("pipeline.cli.explain:command", "Show everything an image is made of, and who asked for it."),
    "plan": Entry("pipeline.cli.plan:command", "Show which images differ from what was published, and why."),
    "build": Entry("pipeline.cli.build:command", "Build images, test them and write them out."),
    "publish": Entry("pipeline.cli.publish:command", "Build images, test them and publish them to registries."),
    "release": Entry("pipeline.cli.release:command", "Update the lock, and publish what changed: for scheduled jobs."),
    "smoke": Entry("pipeline.cli.smoke:command", "Run the smoke tests of images."),
    "verify": Entry("pipeline.cli.verify:command", "Check who vouches for an image of a registry, and for what."),
    "scan": Entry("pipeline.cli.scan:command", "Look for known vulnerabilities in an image by its SBOM."),
    "sbom": Entry("pipeline.cli.sbom:command", "Show what is in a built image, as SPDX or CycloneDX."),
    "generate": Entry("pipeline.cli.generate:command", "Write what definitions come to: stacks, pages, CI files."),
    "catalog": Entry("pipeline.cli.catalog:command", "List what was published, or write it as a page."),
    "up": Entry("pipeline.cli.up:command", "Start a stack and wait until it is healthy."),
    "down": Entry("pipeline.cli.down:command", "Stop a stack, and with -v remove its volumes."),
    "engine": Entry("pipeline.cli.engine:command", "Show, start, stop or prune the build engine."),
    "doctor": Entry("pipeline.cli.doctor:command", "Say what is missing on this machine and how to get it."),
    "schema": Entry("pipeline.cli.schema:command", "Print or write the JSON Schemas of the definitions."),
}


class CommandLine(TyperGroup):
    """The group of all commands; `run` leaves every failure to its caller, where typer would print and exit."""

    def run(self, arguments: Sequence[str], invocation: Invocation) -> None:
        """Answer a shell's request for completions, or carry out `arguments`."""
        self._main_shell_completion({"obj": invocation}, "agc")
        with self.make_context("agc", list(arguments), obj=invocation) as context:
            self.invoke(context)


class _Deferred(TyperCommand):
    """Stands in the list of commands for one that has not been imported yet."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name, help=entry.help, rich_markup_mode=None)
        self._target = entry.target

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Import the command, and go on with that; typer asks the context for its command from here on."""
        return _load(self.name or "", self._target).make_context(*args, **kwargs)


def command_line(table: Mapping[str, Entry] = COMMANDS) -> CommandLine:
    """Return the program with the commands of `table`."""
    app = typer.Typer(
        name="agc",
        cls=CommandLine,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_root)
    group = get_command(app)
    assert isinstance(group, CommandLine)  # noqa: S101 (that is what `cls` above asks for)
    group.params[:0] = _shared_options()
    for name, entry in table.items():
        group.add_command(_Deferred(name, entry))
    return group


def load_command(name: str, entry: Entry) -> Any:
    """Import a command of the table and return it, as it stands on the command line."""
    return _load(name, entry.target)


def _load(name: str, target: str) -> Any:
    module, _, attribute = target.partition(":")
    found = getattr(import_module(module), attribute)
    command = get_command(found if isinstance(found, typer.Typer) else _single(found))
    command.name = name
    _adopt(command)
    return command


def _single(function: Callable[..., Any]) -> typer.Typer:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(help=inspect.getdoc(function))(function)
    return app


def _adopt(command: Any) -> None:
    """Give `command` and those below it the shared options, of which help shows only `--json`, and plain help."""
    command.rich_markup_mode = None
    command.params = [param for param in command.params if param.name not in _COMPLETION]
    taken = {spelling for param in command.params for spelling in param.opts}
    for option in _shared_options():
        if taken.isdisjoint(option.opts):
            option.hidden = option.name != "json"
            command.params.append(option)
    for below in getattr(command, "commands", {}).values():
        _adopt(below)


def _shared_options() -> list[Any]:
    options = list(get_command(_single(_shared)).params)
    for option in options:
        option.expose_value = False
    return options


_COMPLETION = {"install_completion", "show_completion"}


def complete_image(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the project's images that begin with `incomplete`; none where they cannot be read."""
    try:
        names: Sequence[str] = import_module("pipeline.flow").image_names(session_of(context).project)
    except Exception:  # noqa: BLE001 (a half-typed word is no place for an error message)
        return []
    return [name for name in names if name.startswith(incomplete)]


__all__ = [
    "COMMANDS",
    "CommandLine",
    "Entry",
    "Invocation",
    "JsonOption",
    "Session",
    "command_line",
    "complete_image",
    "load_command",
    "run_command",
    "session_of",
]
