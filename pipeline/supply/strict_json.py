"""JSON from people we do not trust yet: everything on which two readers could disagree is refused.

Refused are a key that is written twice, NaN and infinity, half of a surrogate pair, text that is not UTF-8, and more
than `SIZE_LIMIT` bytes or `DEPTH_LIMIT` levels. What is refused raises ValueError and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

SIZE_LIMIT = 16 << 20
DEPTH_LIMIT = 64


def parse_strictly(data: bytes, limit: int = SIZE_LIMIT) -> Any:
    """Return the value of `data`, which may have `limit` bytes; raises ValueError."""
    if len(data) > limit:
        raise ValueError(f"is larger than {limit >> 20} MiB")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8") from error
    except RecursionError as error:
        raise ValueError(f"is nested more than {DEPTH_LIMIT} levels deep") from error
    _check(value)
    return value


def parse_object(data: bytes, limit: int = SIZE_LIMIT) -> dict[str, Any]:
    """Return the object that `data` is; raises ValueError."""
    value = parse_strictly(data, limit)
    if not isinstance(value, dict):
        raise ValueError("is no object")  # noqa: TRY004 (callers know one kind of refusal)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("has a key that is written twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"holds {name}, which is no JSON")


def _check(value: object) -> None:
    level: list[object] = [value]
    for _ in range(DEPTH_LIMIT):
        if any(isinstance(one, str) and _is_broken(one) for one in level):
            raise ValueError("holds half a surrogate pair")
        level = [part for one in level for part in _parts(one)]
        if not level:
            return
    raise ValueError(f"is nested more than {DEPTH_LIMIT} levels deep")


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _is_broken(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)
