"""Examples in README and docs that say they are tested, run as they stand, in a folder of their own.

A page says so in a comment above a block of shell: `<!-- tested -->`, or `<!-- tested, exit status 3 -->`. The blocks
of a page are run one after the other in one shell. No engine answers: what needs one is not marked so, but
`<!-- tested with docker -->`, and is run in tests/docker. What every other command says is held against the command
line in test_command_lines.py.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.support import AGC, CHECKOUT, NOWHERE

_BLOCK = r"\n(```(\w*)\n(.*?)\n```$)?"
MARK = re.compile(rf"^<!-- tested(?:, exit status (\d+))? -->{_BLOCK}", re.DOTALL | re.MULTILINE)
WITH_DOCKER = re.compile(rf"^<!-- tested with docker() -->{_BLOCK}", re.DOTALL | re.MULTILINE)
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]


@dataclass(frozen=True, slots=True)
class Example:
    """A block of shell, and the exit status it ends with."""

    script: str
    status: int


def examples(page: str, marked: re.Pattern[str] = MARK) -> Iterator[Example]:
    """Yield the examples of a page in order; a mark without a block of shell below it is an error."""
    for mark in marked.finditer(page):
        assert mark[3] == "sh", f"no block of shell below {mark[0].splitlines()[0]}"
        yield Example(mark[4], int(mark[1] or 0))


def as_script(found: list[Example]) -> str:
    """Return one script of all examples, which ends at the first that does what it should not."""
    parts = ["set -eu"]
    for example in found:
        if example.status:
            parts += ["set +e", f"( set -e\n{example.script}\n)", "status=$?", "set -e"]
            parts += [f'[ "$status" -eq {example.status} ] || {{ echo "exit status $status" >&2; exit 99; }}']
        else:
            parts.append(example.script)
    return "\n".join(parts) + "\n"


def run(found: list[Example], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run examples in an empty folder, with nothing of the person's own."""
    work = folder / "work"
    work.mkdir()
    environment = {
        "PATH": f"{AGC.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "AGC_CACHE": str(folder / "cache"),
        "BUILDKIT_HOST": NOWHERE,
    }
    return subprocess.run(
        ["sh", "-c", as_script(found)],
        cwd=work,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def marked() -> list[Path]:
    """Return the pages that have tested examples."""
    return [page for page in PAGES if MARK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", marked(), ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_the_examples_of_a_page_work(page: Path, tmp_path: Path) -> None:
    """As somebody who copies them would run them."""
    done = run(list(examples(page.read_text(encoding="utf-8"))), tmp_path)

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_examples_with_docker_are_on_the_pages_that_tests_know() -> None:
    """Those of other pages would be run nowhere."""
    found = [page for page in PAGES if WITH_DOCKER.search(page.read_text(encoding="utf-8"))]

    assert found == [CHECKOUT / "docs" / "how-to" / "compose.md"]


def test_some_pages_have_examples() -> None:
    """Or nothing was tested above."""
    assert len(marked()) >= 4


@pytest.mark.parametrize(
    "page", ["<!-- tested -->\n```sh\nfalse\n```\n", "<!-- tested, exit status 2 -->\n```sh\ntrue\n```\n"]
)
def test_an_example_that_does_otherwise_is_noticed(page: str, tmp_path: Path) -> None:
    """A test that cannot fail is none."""
    assert run(list(examples(page)), tmp_path).returncode != 0


def test_a_mark_above_nothing_is_noticed() -> None:
    """Somebody moved the block."""
    with pytest.raises(AssertionError, match="no block of shell"):
        list(examples("<!-- tested -->\ntext\n"))
