"""The page of the command line, from what it says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.outputs.commands import CommandText, ParameterText
from pipeline.outputs.docs.markdown import code, fenced, page, prose, table
from pipeline.outputs.generated import Generated

PATH = "docs/reference/cli.md"


def command_page(header: str, commands: Iterable[CommandText]) -> Generated:
    """Return the page of all commands, in the order in which the program lists them."""
    lines = [header, "", "# Command line", ""]
    lines += ["Every command, with its options, as `agc COMMAND --help` shows them.", ""]
    for command in commands:
        lines += _command(command, 2)
    return Generated(PATH, page(lines))


def _command(command: CommandText, level: int) -> Iterator[str]:
    yield f"{'#' * level} {command.name}"
    yield ""
    for paragraph in command.help.split("\n\n"):
        yield prose(paragraph)
        yield ""
    yield from fenced("text", [command.usage])
    yield from _parameters("Argument", command.arguments)
    yield from _parameters("Option", command.options)
    for one in command.below:
        yield from _command(one, level + 1)


def _parameters(title: str, parameters: Iterable[ParameterText]) -> Iterator[str]:
    yield from table((title, "Meaning"), ((code(one.spelling), prose(one.meaning)) for one in parameters))
