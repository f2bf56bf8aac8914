"""The one place that writes to standard output and standard error, and how values look there.

Rules kept here:

- a result goes to standard output, everything else to standard error;
- with `--json`, standard output holds one JSON object, on its last line, and nothing else comes from us;
- text is made of `Line`s, which know no terminal: rich is imported only where a terminal wants colour;
- what programs of others printed passes through `plain` before it reaches a terminal.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TextIO, TypeAlias

from pipeline.errors import OutputError

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.?|[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_KILO = 1000
_MINUTE = 60
_HOUR = 3600


class Color(StrEnum):
    """When to use colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Span(NamedTuple):
    """A piece of a line, with a rich style ("" for none)."""

    text: str
    style: str = ""


Line: TypeAlias = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """Return a line made of plain text and styled pieces."""
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def text_of(lines: Iterable[Line]) -> str:
    """Return the words of `lines` without styles, each line ended, none with trailing space."""
    return "".join("".join(span.text for span in one).rstrip() + "\n" for one in lines)


@dataclass(frozen=True)
class Output:
    """Where words go, and how many of them."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: Color = Color.AUTO
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def result(self, data: Mapping[str, object], human: Callable[[], Iterable[Line]]) -> None:
        """Write what a command was asked for: `data` with `--json`, else the lines that `human` makes."""
        if self.json:
            self._write(self.stdout, json.dumps(data) + "\n")
        else:
            self._lines(self.stdout, human())

    def note(self, *parts: str | Span) -> None:
        """Write one line that `--quiet` leaves out."""
        if not self.quiet:
            self._lines(self.stderr, [line(*parts)])

    def warn(self, message: str) -> None:
        """Write a warning, which `--quiet` does not hide."""
        self._lines(self.stderr, [line(Span("warning: ", "yellow"), message)])

    def failure(self, data: Mapping[str, object], lines: Iterable[Line]) -> None:
        """Write a failure: the lines for people, and with `--json` also the object on standard output."""
        self._lines(self.stderr, lines)
        if self.json:
            self._write(self.stdout, json.dumps(data) + "\n")

    @property
    def live(self) -> bool:
        """Tell whether standard error is a terminal on which lines may be drawn over."""
        quiet = self.json or self.quiet or self.verbose or self.environment.get("CI", "") not in {"", "0", "false"}
        return not quiet and self._capable(self.stderr)

    @cached_property
    def terminal(self) -> Console:
        """The rich console of standard error."""
        return self._console(self.stderr)

    def _capable(self, stream: TextIO) -> bool:
        return stream.isatty() and self.environment.get("TERM", "") not in {"", "dumb"}

    def _styled(self, stream: TextIO) -> bool:
        if self.color is Color.AUTO:
            return self._capable(stream) and not self.environment.get("NO_COLOR")
        return self.color is Color.ALWAYS

    def _console(self, stream: TextIO) -> Console:
        from rich.console import Console  # costs 80 ms, and pipes never need it

        styled = self._styled(stream)
        return Console(
            file=stream,
            force_terminal=True if styled else None,
            no_color=not styled,
            highlight=False,
            _environ=self.environment,
        )

    def _lines(self, stream: TextIO, lines: Iterable[Line]) -> None:
        if self._styled(stream) or (stream is self.stderr and "terminal" in self.__dict__):
            self._print(self.terminal if stream is self.stderr else self._console(stream), lines)
        else:
            self._write(stream, text_of(lines))

    def _print(self, console: Console, lines: Iterable[Line]) -> None:
        from rich.text import Text  # see _console

        for one in lines:
            console.print(Text.assemble(*one), soft_wrap=True)

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write to {stream.name}: {error.strerror}") from error


def plain(text: str) -> str:
    """Return `text` as one line that moves no cursor: no escape sequence, no control character, no overwritten part."""
    return _CONTROL.sub("", text.rstrip("\r\n").rpartition("\r")[2]).expandtabs()


def human_size(size: int) -> str:
    """Return `size` bytes in decimal units, as registries count them."""
    if size < _KILO:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB"):  # noqa: B007 (the last one is used after the loop)
        value /= _KILO
        if round(value, 1) < _KILO:
            break
    return f"{value:.1f} {unit}"


def seconds(value: float) -> str:
    """Return a duration with about three digits."""
    if value < 1:
        return f"{value:.2f}s"
    if value < _MINUTE:
        return f"{value:.1f}s"
    if value < _HOUR:
        return f"{int(value) // _MINUTE}m {int(value) % _MINUTE:02}s"
    return f"{int(value) // _HOUR}h {int(value) // _MINUTE % _MINUTE:02}m"


def table(
    rows: Sequence[Sequence[str | Span]], *, header: Sequence[str] = (), right: Collection[int] = (), indent: int = 0
) -> tuple[Line, ...]:
    """Return `rows` in columns two spaces apart; the columns numbered in `right` are flush right."""
    titled = [tuple(Span(title, "dim") for title in header)] if header else []
    body = titled + [line(*row) for row in rows]
    widths = [max((len(row[at].text) for row in body if at < len(row)), default=0) for at in range(_columns(body))]
    return tuple(
        (Span(" " * indent), *(span for at, cell in enumerate(row) for span in _cell(cell, at, widths[at], right)))
        for row in body
    )


def _columns(body: Sequence[Line]) -> int:
    return max((len(row) for row in body), default=0)


def _cell(cell: Span, at: int, width: int, right: Collection[int]) -> Line:
    space = Span(" " * (width - len(cell.text)))
    gap = Span("  " if at else "")
    return (gap, space, cell) if at in right else (gap, cell, space)
