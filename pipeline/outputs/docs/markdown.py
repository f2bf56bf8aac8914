"""Small pieces of Markdown, spelled so that nothing a definition says can break a table or become HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~])")
_TICKS = re.compile(r"`+")


def text(words: str) -> str:
    """Return `words` as one line of plain text: no character of it is markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split()))


def prose(words: str) -> str:
    """Return help or a docstring as one line: its own backticks stay, angle brackets are no HTML."""
    parts = re.split(r"(`[^`]*`)", " ".join(words.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([\\*\[\]<>])", r"\\\1", part) for part in parts)


def code(words: str) -> str:
    """Return `words` as code within a line."""
    one = " ".join(words.split())
    fence = "`" * (max((len(found) for found in _TICKS.findall(one)), default=0) + 1)
    return f"{fence}{one}{fence}" if len(fence) == 1 else f"{fence} {one} {fence}"


def codes(several: Iterable[str], none: str = "") -> str:
    """Return several pieces of code, with commas between; `none` where there are none."""
    return ", ".join(code(one) for one in several) or none


def link(label: str, target: str) -> str:
    """Return a link whose label is plain text; the label alone where there is no target."""
    return f"[{text(label)}]({target})" if target else text(label)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose cells are Markdown, and an empty one; nothing where there are no rows."""
    body = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    if body:
        yield f"| {' | '.join(header)} |"
        yield f"|{' --- |' * len(header)}"
        yield from body
        yield ""


def fenced(language: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield a block of code, and an empty line."""
    body = list(lines)
    fence = "`" * max(3, *(len(found) + 1 for found in _TICKS.findall("\n".join(body))), 3)
    yield f"{fence}{language}"
    yield from body
    yield fence
    yield ""


def page(lines: Iterable[str]) -> str:
    """Return the text of a page: no space at the ends of lines, one newline at its own."""
    return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"


def section(title: str, body: Iterable[str]) -> Iterator[str]:
    """Yield a section, or nothing where it would be empty."""
    lines = list(body)
    if lines:
        yield f"## {title}"
        yield ""
        yield from lines


def _cell(markdown: str) -> str:
    """Return a cell: a bar that is not escaped yet would end it, within code too."""
    return re.sub(r"(?<!\\)\|", r"\\|", markdown)
