"""A plan as Markdown, for the summary of a CI job or a comment on a pull request (GitHub, GitLab, Buildkite, Azure).

Every text that is not ours stands in a code span: names and versions come from definitions and registries, and none of
them shall be a mention, a link or a picture.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.cli.output import Line, line, text_of
from pipeline.cli.plan import closing, pulled
from pipeline.stages.changes import Comparison, ImageChange, Standing

_LONGEST_REASONS = 8


def lines_of(found: Comparison, *, changed_only: bool) -> Iterator[Line]:
    """Yield the lines of the Markdown."""
    first, *others = (text_of([one]).strip() for one in closing(found))
    yield line("### Images: ", first)
    if shown := tuple(found.shown(changed_only=changed_only)):
        yield line()
        yield line("| Image | State | Pull | Why |")
        yield line("| --- | --- | --- | --- |")
        for change in shown:
            yield line("| ", " | ".join(_row(change)), " |")
    if found.moves:
        yield line()
        yield line("<details><summary>What moves</summary>")
        yield line()
        for move in found.moves:
            texts = ", ".join(map(_code, move.texts))
            yield line("- ", texts, ": ", ", ".join(map(_code, move.images)))
        yield line()
        yield line("</details>")
    for other in others:
        yield line()
        yield line(other[:1].upper(), other[1:], ".")


def _row(change: ImageChange) -> tuple[str, ...]:
    same = change.standing is Standing.UNCHANGED
    texts = [_code(reason.text) for reason in change.reasons]
    more = [f"and {len(texts) - _LONGEST_REASONS} more"] if len(texts) > _LONGEST_REASONS else []
    why = "<br>".join([*texts[:_LONGEST_REASONS], *more])
    return _code(change.name), change.standing, "" if same else pulled(change.pull), why


def _code(text: str) -> str:
    """Return `text` as a code span, which a cell of a table can hold."""
    words = " ".join(text.replace("`", "'").replace("|", "\\|").split())
    return f"`{words}`" if words else ""
