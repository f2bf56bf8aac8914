"""What the command line says of itself, as values: the command line is above this package, and hands them down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParameterText:
    """An argument or an option: how it is written, and what it means."""

    spelling: str
    meaning: str


@dataclass(frozen=True, slots=True)
class CommandText:
    """A command: its name with those above it, its usage, help, parameters, and the commands below it."""

    name: str
    usage: str
    help: str
    arguments: tuple[ParameterText, ...] = ()
    options: tuple[ParameterText, ...] = ()
    below: tuple[CommandText, ...] = ()
