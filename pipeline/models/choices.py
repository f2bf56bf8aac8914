"""What to tell a person who named something that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from pipeline.errors import UsageError
from pipeline.models.defined import Defined, Kind


def pick(choices: Mapping[str, Defined[Kind]], name: str, what: str) -> Defined[Kind]:
    """Return the definition called `name`; raises UsageError with near matches."""
    if name in choices:
        return choices[name]
    raise UsageError(f"there is no {what} named {name!r}", remedy=suggest(name, choices))


def suggest(name: str, choices: Iterable[str]) -> str:
    """Return a sentence with the names that come nearest, or all of them where there are few."""
    known = sorted(choices)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(known)}" if known else "none is defined"
