"""What the command line says of itself, as values that a page is made of."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from pipeline.cli.app import COMMANDS, command_line, load_command
from pipeline.outputs.commands import CommandText, ParameterText

_WIDTH = 1000  # no line of usage is broken


def describe_commands() -> tuple[CommandText, ...]:
    """Return the program with the options of all commands, and every command after it; imports all of them."""
    whole = _described(command_line(), "agc", ())
    known = frozenset(one.spelling for one in whole.options)
    return (whole, *(_described(load_command(name, entry), f"agc {name}", known) for name, entry in COMMANDS.items()))


def _described(command: Any, name: str, known: frozenset[str] | tuple[()]) -> CommandText:
    """Return a command without the options that are `known`; the program itself leaves out what is below it."""
    from typer import Context

    context = Context(command, info_name=name, terminal_width=_WIDTH, max_content_width=_WIDTH)
    usage = " ".join(command.get_usage(context).split()).removeprefix("Usage: ")
    below = getattr(command, "commands", {}) if known else {}
    return CommandText(
        name,
        usage,
        inspect.cleandoc(command.help or ""),
        tuple(_parameters(command, context, "argument", known)),
        tuple(_parameters(command, context, "option", known)),
        tuple(_described(one, f"{name} {word}", known) for word, one in below.items()),
    )


def _parameters(command: Any, context: Any, kind: str, known: frozenset[str] | tuple[()]) -> Iterator[ParameterText]:
    for param in command.params:
        record = param.get_help_record(context)
        if param.param_type_name == kind and record and record[0] not in known:
            yield ParameterText(*(" ".join(part.split()) for part in record))
