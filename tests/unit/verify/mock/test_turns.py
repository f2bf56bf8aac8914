"""Which tool the mock calls, and how."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pipeline.verify.mock.turns import Call, Task, Tool, Turn, answer, choose

TASK = Task("/workspace/it's.txt", "Hello $USER")
COMMAND = TASK.command
SHELL = {"properties": {"command": {"type": "string"}}, "required": ["command"]}


def tool(name: str, required: tuple[str, ...] = (), **properties: Mapping[str, Any]) -> Tool:
    """Return a tool whose arguments are `properties`."""
    return Tool(name, {"type": "object", "properties": properties, "required": list(required or properties)})


TEXT = {"type": "string"}
OFFERED = {
    "claude": (tool("Write", file_path=TEXT, content=TEXT), ("file_path", "content")),
    "gemini": (tool("write_file", file_path=TEXT, content=TEXT), ("file_path", "content")),
    "copilot": (tool("create", path=TEXT, file_text=TEXT), ("path", "file_text")),
    "opencode": (tool("write", content=TEXT, filePath=TEXT), ("filePath", "content")),
    "openclaw": (tool("write", path=TEXT, content=TEXT), ("path", "content")),
}


@pytest.mark.parametrize("agent", OFFERED)
def test_a_tool_that_writes_files_is_called_by_its_own_names(agent: str) -> None:
    """And taken before one that runs commands."""
    offered, (path, content) = OFFERED[agent]
    call = choose((Tool("bash", SHELL), offered), TASK)

    assert call == Call(offered.name, {path: TASK.path, content: "Hello $USER\n"})


def test_a_file_that_is_there_is_changed_by_a_shell() -> None:
    """Editors want to have read it; where there is no shell, they have to do."""
    there = replace(TASK, exists=True)
    writer = tool("write", path=TEXT, content=TEXT)
    changed, written = choose((writer, Tool("bash", SHELL)), there), choose((writer,), there)

    assert changed and changed.tool == "bash"  # noqa: PT018  # one fact
    assert written and written.tool == "write"  # noqa: PT018  # one fact


def test_else_a_shell_is_called() -> None:
    """With a command that quotes what it is given."""
    assert choose((Tool("exec_command", {"properties": {"cmd": TEXT}}),), TASK) == Call(
        "exec_command", {"cmd": COMMAND}
    )
    assert shlex.split(COMMAND) == ["printf", "%s\\n", "Hello $USER", ">", "/workspace/it's.txt"]


def test_a_shell_may_want_a_list() -> None:
    """As programs are started without one."""
    listed = Tool("shell", {"properties": {"command": {"type": "array", "items": TEXT}}})

    assert choose((listed,), TASK) == Call("shell", {"command": ["sh", "-c", COMMAND]})


def test_what_else_is_required_is_filled_in() -> None:
    """By its type; what is optional is left out."""
    offered = Tool(
        "bash",
        {
            "properties": {
                "command": TEXT,
                "description": TEXT,
                "timeout": {"type": "number"},
                "background": {"type": "boolean"},
                "mode": {"enum": ["sync", "async"]},
                "optional": TEXT,
            },
            "required": ["command", "description", "timeout", "background", "mode"],
        },
    )

    assert choose((offered,), TASK) == Call(
        "bash",
        {"command": COMMAND, "description": "write a file", "timeout": 1, "background": False, "mode": "sync"},
    )


def test_a_tool_that_only_sounds_right_is_not_called() -> None:
    """Its arguments must fit."""
    assert choose((tool("write", note=TEXT), tool("edit", path=TEXT, content=TEXT)), TASK) is None
    assert "writes a file: write" in str(answer(Turn((tool("write", note=TEXT),), answered=False), TASK))
