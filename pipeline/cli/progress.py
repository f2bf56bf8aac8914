"""What a build shows while it runs: a live tree on a terminal, one line per finished step everywhere else.

Rules kept here:

- the picture is a pure function of what was heard so far, the time and the size of the terminal (`picture`);
- it never grows beyond the terminal: what matters least goes first (finished steps, then log lines, …);
- steps that came out of the cache are counted, not listed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from pipeline.cli.output import Line, Output, Span, line, plain, seconds
from pipeline.engine.api import ProgressSink, StepEvent, StepStatus

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

Clock = Callable[[], float]

_WARNING = "warning: "
_LOG_LINES = 10
_LOG_LINES_SHOWN = 6
_DONE_SHOWN = 5
_WIDEST = 100
_REFRESHES = 8
_NOTHING = 0.005  # seconds: a source that was fetched before ends in less
_SPINS = 8
_ECHO = 3  # columns left free, so that the ^C which a terminal echoes does not wrap and shift the picture
_COUNTED = (StepStatus.FAILED, StepStatus.DONE, StepStatus.CACHED)


class Progress(Protocol):
    """Takes the news of a command's stages, which may overlap, and remarks beside them; it is flow's `Reporter`."""

    def notify(self, text: str) -> None:
        """Say something beside the steps."""

    def stage(self, name: str) -> AbstractContextManager[ProgressSink]:
        """Open the stage `name`; the sink it yields takes the steps that belong to it."""
        ...


@contextmanager
def progress(output: Output) -> Iterator[Progress]:
    """Yield the progress that suits `output`; the terminal is left clean however the block ends."""
    if output.live:
        with TreeProgress(output) as tree:
            yield tree
    elif output.quiet:
        yield SilentProgress(output)
    else:
        yield PlainProgress(output)


def _tell(output: Output, text: str) -> None:
    for one in text.splitlines():
        if one.startswith(_WARNING):
            output.warn(plain(one.removeprefix(_WARNING)))
        else:
            output.note(plain(one))


class SilentProgress:
    """Shows no steps: what failed is said by the failure itself."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def notify(self, text: str) -> None:
        """Pass on warnings, leave out the rest."""
        _tell(self._output, text)

    @contextmanager
    def stage(self, name: str) -> Iterator[ProgressSink]:  # noqa: ARG002 (the Protocol's)
        """Open a stage nobody hears of."""
        yield lambda _event: None


class PlainProgress:
    """One line per finished step; log lines with `--verbose`, or of a step that failed."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def notify(self, text: str) -> None:
        """Print it on lines of its own."""
        _tell(self._output, text)

    @contextmanager
    def stage(self, name: str) -> Iterator[ProgressSink]:
        """Open a stage, whose name stands before every line; what was there already is counted in one."""
        logs: dict[str, deque[str]] = {}
        idle: set[str] = set()
        yield lambda event: self._tell(name, event, logs, idle)
        if idle:
            self._output.note(f"[{name}] ", Span(f"nothing to do in {len(idle)} steps", "dim"))

    def _tell(self, stage: str, event: StepEvent, logs: dict[str, deque[str]], idle: set[str]) -> None:
        head = f"[{stage}] "
        name = plain(event.name)
        match event.status:
            case StepStatus.STARTED | StepStatus.CACHED:
                if self._output.verbose:
                    self._output.note(head, name, Span(f" … {event.status}", "dim"))
                if event.status is StepStatus.CACHED:
                    idle.add(event.step)
            case StepStatus.LOG:
                if self._output.verbose:
                    self._output.note(head, Span("| " + plain(event.log), "dim"))
                else:
                    logs.setdefault(event.step, deque(maxlen=_LOG_LINES)).append(plain(event.log))
            case StepStatus.DONE:
                logs.pop(event.step, None)
                if event.seconds < _NOTHING and not self._output.verbose:
                    idle.add(event.step)
                else:
                    self._output.note(head, name, f" … done {seconds(event.seconds)}")
            case StepStatus.FAILED:
                self._output.note(head, name, Span(f" … failed {seconds(event.seconds)}", "red"))
                for text in logs.pop(event.step, ()):
                    self._output.note(head, "| ", text)


@dataclass(slots=True)
class Step:
    """What is known of a step; `heard` orders steps by their last news."""

    name: str
    began: float
    status: StepStatus = StepStatus.STARTED
    seconds: float = 0.0
    heard: int = 0
    log: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG_LINES_SHOWN))


@dataclass(slots=True)
class Stage:
    """What is known of a stage; `ended` is None while it is open."""

    name: str
    began: float
    ended: float | None = None
    broken: bool = False
    steps: dict[str, Step] = field(default_factory=dict)

    def hear(self, event: StepEvent, now: float, at: int) -> None:
        """Take one event; `at` is its number."""
        step = self.steps.setdefault(event.step, Step(plain(event.name), now))
        step.heard = at
        if event.status is StepStatus.LOG:
            if text := plain(event.log).strip():
                step.log.append(text)
            return
        step.status = event.status
        step.seconds = event.seconds
        if event.status is StepStatus.STARTED:
            step.began = now

    def having(self, status: StepStatus) -> list[Step]:
        """Return the steps that stand at `status`, oldest news first."""
        return sorted((step for step in self.steps.values() if step.status is status), key=lambda step: step.heard)


class Rank(IntEnum):
    """What a row of the picture is worth: where rows do not fit, the highest numbers go first."""

    FAILED = 0
    STAGE = 1
    RUNNING = 2
    FAILED_LOG = 3
    ENDED_STAGE = 4
    DONE = 5
    RUNNING_LOG = 6


class Row(NamedTuple):
    """A line of the picture and its worth."""

    rank: Rank
    line: Line


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs of the picture."""

    done: str = "✓"
    failed: str = "✗"
    dot: str = "·"
    more: str = "…"
    spinner: str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


UNICODE = Glyphs()
ASCII = Glyphs("+", "x", "-", "...", "|/-\\")


def picture(
    stages: Sequence[Stage], now: float, *, width: int, height: int, glyphs: Glyphs = UNICODE, final: bool = False
) -> tuple[Line, ...]:
    """Return what to show of `stages` in `height` lines of `width`; `final` is the summary that stays."""
    canvas = _Canvas(min(width, _WIDEST), now, glyphs)
    rows = [row for stage in stages for row in _stage_rows(stage, canvas, final=final)]
    if final or len(rows) <= height:
        return tuple(row.line for row in rows)
    by_worth = sorted(range(len(rows)), key=lambda at: (rows[at].rank, -at))
    kept = sorted(by_worth[: max(0, height - 1)])
    hidden = canvas.cut(f"  {glyphs.more} {len(rows) - len(kept)} more lines", canvas.width)
    return (*(rows[at].line for at in kept), line(Span(hidden, "dim")))


@dataclass(frozen=True, slots=True)
class _Canvas:
    """What rows are drawn on."""

    width: int
    now: float
    glyphs: Glyphs

    @property
    def spinner(self) -> str:
        """The sign of what is running, at this moment."""
        return self.glyphs.spinner[int(self.now * _SPINS) % len(self.glyphs.spinner)]

    def entry(self, sign: Span, name: Span, spent: float, detail: str = "") -> Line:
        """Return sign, name, dim detail, and the time flush right; where room is short, detail goes, then name."""
        clock = f" {seconds(spent):>6}"
        detail = f" {self.glyphs.dot} {detail}" if detail else ""
        room = self.width - len(sign.text) - len(clock)
        if room - len(detail) < min(len(name.text), room // 2):
            detail = ""
        words = self.cut(name.text, room - len(detail))
        space = " " * (room - len(words) - len(detail))
        return (sign, Span(words, name.style), Span(detail, "dim"), Span(space), Span(clock, "dim"))

    def log(self, text: str, rank: Rank) -> Row:
        """Return a row with a line of a step's output."""
        bar, style = ("red", "") if rank is Rank.FAILED_LOG else ("dim", "dim")
        return Row(rank, line(Span("    | ", bar), Span(self.cut(text, self.width - 6), style)))

    def cut(self, text: str, room: int) -> str:
        """Return `text` on at most `room` characters."""
        if len(text) <= room:
            return text
        return (text[: max(0, room - len(self.glyphs.more))] + self.glyphs.more)[: max(0, room)]


def _stage_rows(stage: Stage, canvas: _Canvas, *, final: bool) -> Iterator[Row]:
    yield _heading(stage, canvas)
    for step in stage.having(StepStatus.FAILED):
        sign = Span(f"  {canvas.glyphs.failed} ", "red")
        yield Row(Rank.FAILED, canvas.entry(sign, Span(step.name, "red"), step.seconds))
        if not final:
            yield from (canvas.log(text, Rank.FAILED_LOG) for text in step.log)
    if final or stage.ended is not None:
        return
    for step in stage.having(StepStatus.DONE)[-_DONE_SHOWN:]:
        sign = Span(f"  {canvas.glyphs.done} ", "green")
        yield Row(Rank.DONE, canvas.entry(sign, Span(step.name), step.seconds))
    for step in sorted(stage.having(StepStatus.STARTED), key=lambda step: step.began):
        sign = Span(f"  {canvas.spinner} ", "cyan")
        yield Row(Rank.RUNNING, canvas.entry(sign, Span(step.name, "bold"), canvas.now - step.began))
        if step.log:
            yield canvas.log(step.log[-1], Rank.RUNNING_LOG)


def _heading(stage: Stage, canvas: _Canvas) -> Row:
    numbers = {str(status): len(stage.having(status)) for status in _COUNTED}
    counts = ", ".join(f"{number} {status}" for status, number in numbers.items() if number)
    if stage.ended is None:
        sign, rank = Span(f"{canvas.spinner} ", "bold cyan"), Rank.STAGE
    elif stage.broken or numbers["failed"]:
        sign, rank = Span(f"{canvas.glyphs.failed} ", "bold red"), Rank.FAILED
    else:
        sign, rank = Span(f"{canvas.glyphs.done} ", "bold green"), Rank.ENDED_STAGE
    spent = (canvas.now if stage.ended is None else stage.ended) - stage.began
    return Row(rank, canvas.entry(sign, Span(stage.name, "bold"), spent, counts))


class TreeProgress:
    """The live tree, drawn by rich on standard error; a context manager that leaves the summary behind."""

    def __init__(self, output: Output, *, clock: Clock = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._stages: list[Stage] = []
        self._numbers = count(1)
        self._lock = threading.Lock()  # rich draws in a thread of its own
        self._final = False
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        from rich.live import Live  # only a terminal needs it

        live = Live(self, console=self._output.terminal, refresh_per_second=_REFRESHES, vertical_overflow="crop")
        self._stack.callback(live.stop)
        live.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._final = True
        self._stack.close()

    def notify(self, text: str) -> None:
        """Print it above the tree."""
        _tell(self._output, text)

    @contextmanager
    def stage(self, name: str) -> Iterator[ProgressSink]:
        """Open a stage of the tree; it ends broken where an exception leaves it."""
        stage = Stage(plain(name), self._clock())
        with self._lock:
            self._stages.append(stage)
        try:
            yield lambda event: self._hear(stage, event)
        except BaseException:
            stage.broken = True
            raise
        finally:
            stage.ended = self._clock()

    def _hear(self, stage: Stage, event: StepEvent) -> None:
        with self._lock:
            stage.hear(event, self._clock(), next(self._numbers))

    def lines(self, *, width: int, height: int, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
        """Return the picture of this moment."""
        with self._lock:
            return picture(self._stages, self._clock(), width=width, height=height, glyphs=glyphs, final=self._final)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the picture of this moment; the last line of the terminal stays free for the cursor."""
        from rich.text import Text  # see __enter__

        glyphs = ASCII if options.ascii_only else UNICODE
        for one in self.lines(width=options.max_width - _ECHO, height=console.size.height - 1, glyphs=glyphs):
            yield Text.assemble(*one, no_wrap=True, overflow="crop")
