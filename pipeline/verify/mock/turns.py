"""What the mock answers in a conversation, whatever the dialect: one tool call, then a few words."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LAST_WORDS = "The file is written, said the mock."

# In order of preference: tools that write a file, then those that run a command.
_WRITERS = ("write", "write_file", "create", "create_file")
_RUNNERS = ("bash", "shell", "exec_command", "shell_command", "run_shell_command", "exec")
_PATHS = ("file_path", "filePath", "path")
_CONTENTS = ("content", "file_text", "contents")
_COMMANDS = ("command", "cmd")
_FILLERS: Mapping[str, Any] = {"boolean": False, "integer": 1, "number": 1, "array": [], "object": {}}


@dataclass(frozen=True, slots=True)
class Task:
    """What the agent is to write, and where; `content` has no newline at its end.

    A file that `exists` is changed by a command where the agent offers one: editors want to have read it first.
    """

    path: str
    content: str
    calls_tools: bool = True
    exists: bool = False

    @property
    def command(self) -> str:
        """The same as a shell command."""
        return f"printf '%s\\n' {shlex.quote(self.content)} > {shlex.quote(self.path)}"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the client offers: its name and the JSON Schema of its arguments."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a request says: the tools offered, and whether a tool's result came back."""

    tools: tuple[Tool, ...]
    answered: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call."""

    tool: str
    arguments: Mapping[str, Any]


def answer(turn: Turn, task: Task) -> Call | str:
    """Return the tool call a turn is answered with, or the words."""
    if turn.answered:
        return LAST_WORDS
    if not turn.tools:
        return "No tools, no work."
    if not task.calls_tools:
        return "This mock calls no tool."
    call = choose(turn.tools, task)
    return call or f"None of these tools writes a file: {', '.join(tool.name for tool in turn.tools)}"


def choose(tools: Sequence[Tool], task: Task) -> Call | None:
    """Return the call of the best tool that can write the file."""
    ways = (
        (_WRITERS, ((_PATHS, task.path), (_CONTENTS, f"{task.content}\n"))),
        (_RUNNERS, ((_COMMANDS, task.command),)),
    )
    for names, values in reversed(ways) if task.exists else ways:
        for tool in _by_preference(tools, names):
            arguments = _arguments(tool.schema, values)
            if arguments is not None:
                return Call(tool.name, arguments)
    return None


def _by_preference(tools: Sequence[Tool], names: Sequence[str]) -> Iterable[Tool]:
    known = {tool.name.lower(): tool for tool in tools}
    return (known[name] for name in names if name in known)


def _arguments(schema: Mapping[str, Any], values: Iterable[tuple[Sequence[str], str]]) -> Mapping[str, Any] | None:
    """Return arguments that hold every value under one of its names, and something harmless wherever it is required."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    arguments: dict[str, Any] = {}
    for names, value in values:
        name = next((name for name in names if name in properties), None)
        if name is None:
            return None
        as_list = properties[name].get("type") == "array"
        arguments[name] = ["sh", "-c", value] if as_list else value
    for name in schema.get("required") or ():
        if name not in arguments:
            arguments[name] = _filler(properties.get(name) or {})
    return arguments


def _filler(schema: Mapping[str, Any]) -> Any:
    if choices := schema.get("enum"):
        return choices[0]
    return _FILLERS.get(str(schema.get("type", "")).lower(), "write a file")
