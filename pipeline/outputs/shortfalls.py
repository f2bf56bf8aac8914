"""A page beside generated files that says what the place they are for cannot hold to, and what does instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.outputs.generated import header


@dataclass(frozen=True, slots=True)
class Shortfall:
    """One thing that a definition says: what becomes of it, and what a person does about that."""

    declared: str
    becomes: str
    instead: str


def shortfall_page(generator: str, source: str, title: str, about: str, found: Iterable[Shortfall]) -> str:
    """Return the page as Markdown."""
    lines = [f"{header(generator, source, '<!--')} -->", "", f"# {title}", "", about, ""]
    rows = [f"| {_cell(one.declared)} | {_cell(one.becomes)} | {_cell(one.instead)} |" for one in found]
    if rows:
        lines += ["| Declared | What becomes of it | What to do |", "| --- | --- | --- |", *rows]
    else:
        lines += ["Everything that is declared is held to."]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
