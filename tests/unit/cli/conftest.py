"""What the tests of the command line share: a way to capture output."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from pipeline.cli.output import Output


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    name = "terminal"

    def isatty(self) -> bool:
        """Say yes."""
        return True


@pytest.fixture
def make_output() -> Callable[..., Output]:
    """Return a maker of outputs that write to memory and see an environment of their own."""

    def make(*, terminal: bool = False, environment: dict[str, str] | None = None, **options: object) -> Output:
        streams = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
        seen = {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"} if environment is None else environment
        return Output(stdout=streams[0], stderr=streams[1], environment=seen, **options)  # type: ignore[arg-type]

    return make
