"""What the build of the site finds wrong in pages that it made."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from tests.engine.support import CHECKOUT

SITE = runpy.run_path(str(CHECKOUT / "ci" / "site.py"))
broken = cast("Callable[[Path], Iterator[str]]", SITE["_broken"])
rewritten = cast("Callable[[str, Path, Path], str]", SITE["_rewritten"])

WRONG = {
    '<a href="nowhere/">x</a>': "nowhere/ leads nowhere",
    '<a href="other.html#gone">x</a>': "other.html#gone leads to no place of its page",
    '<img src="picture.svg">': "picture.svg leads nowhere",
    '<script src="https://cdn.example/x.js"></script>': "loads https://cdn.example/x.js",
    '<link rel="stylesheet" href="//fonts.example/x.css">': "loads //fonts.example/x.css",
}


@pytest.mark.parametrize(("text", "problem"), WRONG.items())
def test_what_leads_nowhere_or_elsewhere_is_found(text: str, problem: str, tmp_path: Path) -> None:
    """Page and link are named."""
    (tmp_path / "index.html").write_text(text)
    (tmp_path / "other.html").write_text("<h1 id=here>x</h1>")

    assert list(broken(tmp_path)) == [f"index.html: {problem}"]


def test_what_is_there_is_no_problem(tmp_path: Path) -> None:
    """Folders have an index, places an id, and links to other hosts are followed by readers alone."""
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "index.html").write_text(
        '<h1 id="a b">x</h1><a href="..">up</a><a href="https://x.example">x</a>'
    )
    (tmp_path / "index.html").write_text(
        '<a href="part/#a%20b">x</a><a href="#top" id="top">x</a><a href="/part/">x</a>'
    )

    assert list(broken(tmp_path)) == []


def test_links_to_files_of_the_repository_lead_to_copies(tmp_path: Path) -> None:
    """Those to folders become text, and those in code stay what they are."""
    page = tmp_path / "reference" / "definitions.md"
    text = "[a](../../LICENSE) [b](../../ci) [c](exit-codes.md) [d](https://x.example)\n```\n[e](../../LICENSE)\n```\n"

    found = rewritten(text, page, tmp_path)

    assert found == "[a](../files/LICENSE) b [c](exit-codes.md) [d](https://x.example)\n```\n[e](../../LICENSE)\n```\n"
    assert (tmp_path / "files" / "LICENSE").read_bytes() == (CHECKOUT / "LICENSE").read_bytes()
