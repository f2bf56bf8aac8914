"""Every `agc` command in README, docs and generated pages, held against the command line: it knows what they say.

What examples do is tested in test_examples.py and, with Docker, in tests/docker; this finds in all others the option
that was renamed and the command that is gone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.app import COMMANDS, command_line, load_command
from tests.engine.support import CHECKOUT

PAGES = [
    CHECKOUT / "README.md",
    CHECKOUT / "CONTRIBUTING.md",
    *sorted((CHECKOUT / "docs").rglob("*.md")),
    *sorted((CHECKOUT / "deploy").rglob("*.md")),
]
BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(agc [^`]+)`")
# What stands for something in words about a command, and in the notation of a synopsis.
NOTATION = re.compile(r"[…|\[\]]|\.\.\.|\bCOMMAND\b")


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words of each command of `agc` in blocks of shell, and of those within a line that are whole."""
    for block in BLOCK.findall(page):
        for written in re.sub(r"\\\n\s*", " ", block).splitlines():
            yield from _in_shell(written.removeprefix("$ "))
    for text in INLINE.findall(BLOCK.sub("", page)):
        if not NOTATION.search(text):
            yield from _in_shell(text)


def _in_shell(written: str) -> Iterator[list[str]]:
    reader = shlex.shlex(written, posix=True, punctuation_chars="();<>|&")
    reader.whitespace_split = True
    words: list[str] = []
    try:
        for word in [*reader, ";"]:
            if set(word) <= set("();<>|&"):
                yield from ([words[words.index("agc") + 1 :]] if _is_command(words) else [])
                words = []
            else:
                words.append(word)
    except ValueError:  # a line of a text that goes on below
        return


def _is_command(words: list[str]) -> bool:
    """Tell whether words run `agc`, after variables at most."""
    return "agc" in words and all("=" in word for word in words[: words.index("agc")])


def problem(words: list[str]) -> str:
    """Return what the command line would find wrong with words before it did anything, "" for nothing."""
    from typer import Context

    command: Any = command_line()
    context = Context(command, info_name="agc")
    rest = list(words)
    try:
        while True:
            holds_others = hasattr(command, "resolve_command")
            context.allow_interspersed_args = not holds_others
            context.ignore_unknown_options = command.context_settings.get("ignore_unknown_options", False)
            _, rest, _ = command.make_parser(context).parse_args(args=rest)
            if not holds_others or not rest:
                return ""
            name, command, rest = command.resolve_command(context, rest)
            if context.parent is None:
                command = load_command(name, COMMANDS[name])  # until it is run, there is a stand-in
            context = Context(command, info_name=name, parent=context)
    except Exception as error:  # noqa: BLE001  # whatever its parser says
        return str(getattr(error, "message", error))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_the_command_line_knows_what_a_page_says(page: Path) -> None:
    """Commands, and their options."""
    found = [(words, said) for words in commands(page.read_text(encoding="utf-8")) if (said := problem(words))]

    assert found == []


def test_there_are_commands_to_look_at() -> None:
    """Or nothing was tested above."""
    found = [words for page in PAGES for words in commands(page.read_text(encoding="utf-8"))]

    assert len(found) > 200
    assert {"build", "up", "generate", "init"} < {words[0] for words in found if words}


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nagc bild x\n```",
        "```sh\ncd x && agc build --outptu docker x\n```",
        "```sh\nagc build x \\\n  --no-such\n```",
        "say `agc engine strat` then",
        "```console\n$ AGC_CACHE=x agc lock --chek\n```",
    ],
)
def test_a_command_that_is_unknown_is_noticed(text: str) -> None:
    """By its name or by an option, in a block or within a line."""
    (words,) = commands(text)

    assert problem(words)
