"""What is written where, and how values look."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.cli.output import (
    Color,
    ImageView,
    Output,
    Span,
    build_summary,
    human_size,
    image_view,
    line,
    plain,
    seconds,
    table,
    text_of,
)
from pipeline.errors import OutputError

MakeOutput = Callable[..., Output]

BUILT: dict[str, Any] = {
    "images": [
        {
            "name": "node-bun-claude",
            "digest": "sha256:" + "a1" * 32,
            "graphDigest": "sha256:" + "b2" * 32,
            "platforms": [
                {
                    "platform": platform,
                    "digest": "sha256:" + digit * 64,
                    "graphDigest": "sha256:" + "b2" * 32,
                    "layers": [
                        {"component": "root debian-trixie", "digest": "sha256:1", "size": 43_123_456, "cached": True},
                        {"component": "toolchain node", "digest": "sha256:2", "size": 52_000_000, "cached": False},
                        {"component": "config", "digest": "sha256:3", "size": 512, "cached": False},
                    ],
                }
                for platform, digit in (("linux/amd64", "c"), ("linux/arm64", "d"))
            ],
            "smoke": {"passed": 5, "failed": 0},
            "seconds": {"root": 0.04, "build": 12.34, "smoke": 61.0},
            "outputs": ["oci layout out/node-bun-claude"],
            "command": "docker run -it --rm node-bun-claude",
        }
    ]
}


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


def test_contract_object_feeds_the_summary(golden: Callable[[str, str], None]) -> None:
    """The very object that `--json` prints is what people see as text."""
    golden("cli/summary.txt", text_of(build_summary(json.loads(json.dumps(BUILT)))))


def test_image_that_was_not_exported_says_so() -> None:
    """Without an export there is no manifest digest, and nothing made up in its place."""
    view = image_view({"name": "node-bun-claude", "digest": None, "graphDigest": "sha256:b2", "platforms": []})

    assert view == ImageView("node-bun-claude", "", "sha256:b2")
    assert "not exported" in text_of(build_summary({"images": [{"name": "x", "graphDigest": "sha256:b2"}]}))


def test_failed_smoke_tests_are_counted() -> None:
    """The summary of an image whose tests failed says how many did."""
    image = BUILT["images"][0] | {"smoke": {"passed": 4, "failed": 1}}

    assert "1 failed, 4 passed" in text_of(build_summary({"images": [image]}))
