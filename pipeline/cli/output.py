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
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, TypeAlias

from pipeline.errors import OutputError

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.?|[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_KILO = 1000
_SHORT_DIGEST = len("sha256:") + 12
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


@dataclass(frozen=True, slots=True)
class LayerView:
    """One layer of a built image."""

    component: str
    digest: str
    size: int
    cached: bool


@dataclass(frozen=True, slots=True)
class PlatformView:
    """A built image for one platform, its layers in order."""

    platform: str
    digest: str
    graph_digest: str
    layers: tuple[LayerView, ...]


@dataclass(frozen=True, slots=True)
class ImageView:
    """What a person wants to know of an image that was just built."""

    name: str
    digest: str
    graph_digest: str
    platforms: tuple[PlatformView, ...] = ()
    passed: int = 0
    failed: int = 0
    seconds: tuple[tuple[str, float], ...] = ()
    outputs: tuple[str, ...] = ()
    run: str = ""


def image_view(data: Mapping[str, Any]) -> ImageView:
    """Return the view of one entry of `images` in what `agc build --json` prints."""
    return ImageView(
        name=data["name"],
        digest=data.get("digest") or "",
        graph_digest=data.get("graphDigest") or "",
        platforms=tuple(_platform_view(entry) for entry in data.get("platforms", ())),
        passed=data.get("smoke", {}).get("passed", 0),
        failed=data.get("smoke", {}).get("failed", 0),
        seconds=tuple(data.get("seconds", {}).items()),
        outputs=tuple(data.get("outputs", ())),
        run=data.get("command") or "",
    )


def _platform_view(data: Mapping[str, Any]) -> PlatformView:
    layers = (LayerView(one["component"], one["digest"], one["size"], one["cached"]) for one in data["layers"])
    return PlatformView(data["platform"], data["digest"] or "", data["graphDigest"], tuple(layers))


def build_summary(data: Mapping[str, Any]) -> tuple[Line, ...]:
    """Return the lines for people of the whole object that `agc build --json` prints."""
    views = [image_view(entry) for entry in data["images"]]
    return tuple(one for at, view in enumerate(views) for one in (*([line()] if at else []), *image_summary(view)))


def image_summary(view: ImageView) -> tuple[Line, ...]:
    """Return the lines that close a build: digests, size of each layer, time of each stage, how to run it."""
    rows: list[tuple[str | Span, ...]] = [
        ("digest", view.digest) if view.digest else ("digest", Span("not exported", "dim")),
        ("graph", view.graph_digest),
    ]
    tail: list[tuple[str | Span, ...]] = []
    if view.passed or view.failed:
        tail.append(("smoke", _smoke(view)))
    if view.seconds:
        tail.append(("time", ", ".join(f"{stage} {seconds(spent)}" for stage, spent in view.seconds)))
    tail += [("output", output) for output in view.outputs]
    if view.run:
        tail.append(("run", Span(view.run, "bold")))
    width = max(len(row[0]) for row in [*rows, *tail])
    platforms = [one for entry in view.platforms for one in _platform_lines(entry)]
    facts, ends = ([line("  ", Span(f"{row[0]:<{width}} ", "dim"), row[1]) for row in part] for part in (rows, tail))
    return (line(Span(view.name, "bold")), *facts, line(), *platforms, *ends)


def _smoke(view: ImageView) -> Span:
    if view.failed:
        return Span(f"{view.failed} failed, {view.passed} passed", "red")
    return Span(f"{view.passed} passed", "green")


def _platform_lines(view: PlatformView) -> tuple[Line, ...]:
    rows: list[tuple[str | Span, ...]] = [
        (layer.component, human_size(layer.size), Span("cached", "dim") if layer.cached else Span("built", "green"))
        for layer in view.layers
    ]
    built = sum(not layer.cached for layer in view.layers)
    total = (
        Span("total", "dim"),
        human_size(sum(layer.size for layer in view.layers)),
        f"{built} of {len(rows)} built",
    )
    heading = line("  ", Span(view.platform, "cyan"), "  ", Span(view.digest[:_SHORT_DIGEST], "dim"))
    return (heading, *table([*rows, total], right={1}, indent=4), line())
