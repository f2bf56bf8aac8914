"""What all tests share: golden files with the one option that renews them, and `agc` with one image built by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine.support import Agc, Run, shared

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--accept`."""
    parser.addoption("--accept", action="store_true", help="rewrite golden files with what the tests got")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return a check of text against `tests/golden/<name>`; with `--accept` the file is rewritten instead."""

    def check(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--accept"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

        assert text == file.read_text(encoding="utf-8"), f"{name} differs; look at it, then pytest --accept"

    return check


@pytest.fixture(scope="session")
def agc() -> Iterator[Agc]:
    """Return `agc` on the tests' own cache, with an engine of its own."""
    with shared.lend() as agc:
        yield agc


@pytest.fixture(scope="session")
def first(agc: Agc) -> Run:
    """Return the first build of the image in that cache, a cold one."""
    run, _ = shared.first_build
    assert run.code == 0, run.stderr
    return run
