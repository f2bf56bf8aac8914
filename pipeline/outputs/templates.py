"""The texts in templates/, filled in. The only module that knows jinja2.

Marks are `[[ value ]]`, `[% statement %]` and `[# comment #]`: what is generated is full of braces.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape


def render(folder: Path, name: str, **values: object) -> str:
    """Return template `name` of `folder` with `values`; one that is not given is an error, not an empty place."""
    return _environment(folder).get_template(name).render(**values)


@cache
def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        autoescape=select_autoescape(("html.j2",), default_for_string=False),  # YAML and shell are no HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
    )
