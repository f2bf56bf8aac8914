"""What is written where, and how values look."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable

import pytest

from pipeline.cli.output import (
    Color,
    Output,
    Span,
    human_size,
    line,
    plain,
    seconds,
    table,
    text_of,
)
from pipeline.errors import OutputError

MakeOutput = Callable[..., Output]


def written(output: Output) -> tuple[str, str]:
    """Return what went to standard output and to standard error."""
    assert isinstance(output.stdout, io.StringIO)
    assert isinstance(output.stderr, io.StringIO)
    return output.stdout.getvalue(), output.stderr.getvalue()


def test_json_result_is_one_line_on_standard_output(make_output: MakeOutput) -> None:
    """With `--json`, notes and warnings stay off standard output, whose last line is the object."""
    output = make_output(json=True)

    output.note("resolving")
    output.warn("libc6 moved")
    output.result({"images": []}, lambda: pytest.fail("nobody reads this"))

    assert written(output) == ('{"images": []}\n', "resolving\nwarning: libc6 moved\n")


def test_quiet_hides_notes_but_not_warnings(make_output: MakeOutput) -> None:
    """`--quiet` leaves out what is merely nice to know."""
    output = make_output(quiet=True)

    output.note("resolving")
    output.warn("libc6 moved")
    output.result({}, lambda: [line("done")])

    assert written(output) == ("done\n", "warning: libc6 moved\n")


@pytest.mark.parametrize(
    ("terminal", "color", "environment", "colored"),
    [
        (True, Color.AUTO, {"TERM": "xterm"}, True),
        (True, Color.AUTO, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, Color.AUTO, {"TERM": "dumb"}, False),
        (True, Color.NEVER, {"TERM": "xterm"}, False),
        (False, Color.AUTO, {"TERM": "xterm"}, False),
        (False, Color.ALWAYS, {"TERM": "xterm"}, True),
    ],
)
def test_color_follows_terminal_option_and_environment(
    make_output: MakeOutput, terminal: bool, color: Color, environment: dict[str, str], colored: bool
) -> None:
    """Colour is for terminals that want it, unless the option says otherwise."""
    output = make_output(terminal=terminal, color=color, environment=environment)

    output.result({}, lambda: [line(Span("red", "red"))])

    assert ("\x1b[31m" in written(output)[0]) is colored


def test_text_in_brackets_is_not_markup(make_output: MakeOutput) -> None:
    """Square brackets of a message reach a coloured terminal unharmed."""
    output = make_output(terminal=True)

    output.warn("use [red] or [/]")

    assert "use [red] or [/]" in written(output)[1]


@pytest.mark.parametrize("option", ["json", "quiet", "verbose"])
def test_terminal_is_not_drawn_over_when_words_are_asked_for(make_output: MakeOutput, option: str) -> None:
    """The live tree is for a person who watches, and only with the default options."""
    assert make_output(terminal=True).live
    assert not make_output(terminal=True, **{option: True}).live


@pytest.mark.parametrize("environment", [{"TERM": "xterm", "CI": "true"}, {"TERM": "dumb"}, {}])
def test_terminal_of_a_machine_is_not_drawn_over(make_output: MakeOutput, environment: dict[str, str]) -> None:
    """CI systems and dumb terminals get lines."""
    assert not make_output(terminal=True, environment=environment).live


class _Full(io.StringIO):
    name = "<stdout>"

    def __init__(self, code: int) -> None:
        super().__init__()
        self._code = code

    def flush(self) -> None:
        raise OSError(self._code, "no room")


def test_full_disk_behind_standard_output_is_our_error() -> None:
    """A result that cannot be written is an output failure with the reason."""
    with pytest.raises(OutputError, match="cannot write to <stdout>: no room"):
        Output(stdout=_Full(errno.ENOSPC)).result({}, lambda: [line("done")])


def test_closed_pipe_stays_recognisable() -> None:
    """A reader that left is not an error of ours, so main can end quietly."""
    with pytest.raises(BrokenPipeError):
        Output(stdout=_Full(errno.EPIPE)).result({}, lambda: [line("done")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("10%\r50%\r100%\r\n", "100%"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("bell\x07 and \x9b2Jclear", "bell and 2Jclear"),
        ("a\tb", "a       b"),
        ("größe ✓", "größe ✓"),
    ],
)
def test_foreign_text_moves_no_cursor(text: str, expected: str) -> None:
    """Escape sequences and control characters of other programs never reach the terminal."""
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (295_000_000, "295.0 MB"),
        (5_000_000_000_000, "5000.0 GB"),
    ],
)
def test_sizes_are_decimal(size: int, expected: str) -> None:
    """Sizes are counted as registries count them."""
    assert human_size(size) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "0.00s"), (0.994, "0.99s"), (1.25, "1.2s"), (62.9, "1m 02s"), (3725, "1h 02m")]
)
def test_durations_have_about_three_digits(value: float, expected: str) -> None:
    """Durations grow units as they grow."""
    assert seconds(value) == expected


def test_table_aligns_and_leaves_no_trailing_space() -> None:
    """Columns are as wide as their widest cell; numbers may be flush right."""
    rows = table([("node", "5 kB", "built"), ("x", "500 kB", "")], header=("layer", "size"), right={1}, indent=2)

    assert text_of(rows) == "  layer    size\n  node     5 kB  built\n  x      500 kB\n"


def test_empty_table_is_empty() -> None:
    """No rows and no header, no lines."""
    assert table([]) == ()
