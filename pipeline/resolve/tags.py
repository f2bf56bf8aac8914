"""The tags of a published image, by the policy of its project.

Dates are calendar versions (calver.org): the day, and a number where that day has a tag already.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date

from pipeline.models.kinds import TagPolicySpec

_FIELD = re.compile(r"\{(\w+)\}")
_VERSION = re.compile(r"(\d+)\.(\d+)")
_COMMIT_LETTERS = 12


def image_tags(
    policy: TagPolicySpec, day: date, taken: Collection[str], *, version: str = "", commit: str = ""
) -> tuple[str, ...]:
    """Return the tags an image gets, each once, in the policy's order.

    `taken` are the tags it has already: one with the date never moves, so the next number is taken. A tag that asks
    for what is not known, the version of a base for example, is left out.
    """
    fields = _fields(version, commit)
    patterns = [tag for tag in policy.tags if set(_FIELD.findall(tag)) <= {*fields, "date"}]
    number = 0
    while True:
        tags = _filled(patterns, {**fields, "date": f"{day:%Y.%m.%d}" + (f".{number}" if number else "")})
        if not any("{date}" in pattern and tag in taken for pattern, tag in tags.items()):
            return tuple(dict.fromkeys(tags.values()))
        number += 1


def _filled(patterns: Iterable[str], fields: Mapping[str, str]) -> Mapping[str, str]:
    return {pattern: _FIELD.sub(lambda match: fields[match[1]], pattern) for pattern in patterns}


def _fields(version: str, commit: str) -> Mapping[str, str]:
    fields = {"version": re.sub(r"[^\w.-]", "-", version), "commit": commit[:_COMMIT_LETTERS]}
    if parts := _VERSION.match(version):
        fields |= {"major": parts[1], "minor": f"{parts[1]}.{parts[2]}"}
    return {name: value for name, value in fields.items() if value}
