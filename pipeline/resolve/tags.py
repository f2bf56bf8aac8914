"""The tags of a published image, by the policy of its project.

Dates are calendar versions (calver.org): the day, and a number where that day has a tag already.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from pipeline.digest import Digest
from pipeline.models.kinds import TagPolicySpec

_FIELD = re.compile(r"\{(\w+)\}")
_VERSION = re.compile(r"(\d+)\.(\d+)")
_COMMIT_LETTERS = 12


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags an image gets, in the order in which they are to be put: `fixed` never move again, `moving` do."""

    fixed: tuple[str, ...] = ()
    moving: tuple[str, ...] = ()


def publish_tags(
    policy: TagPolicySpec,
    day: date,
    present: Mapping[str, Digest],
    digest: Digest,
    *,
    version: str = "",
    commit: str = "",
) -> Tags:
    """Return the tags of the image `digest`; `present` are the tags of that day that are there, with what they name.

    A tag with nothing but the date is put after those that say more. So where it names the image already, the image
    has all its tags of that day, and gets no further one.
    """
    taken = {tag for tag, named in present.items() if named != digest}
    chosen = image_tags(policy, day, taken, version=version, commit=commit)
    dateless = policy.model_copy(update={"tags": tuple(tag for tag in policy.tags if "{date}" not in tag)})
    moving = image_tags(dateless, day, (), version=version, commit=commit)
    fixed = sorted((tag for tag in chosen if tag not in moving), key=lambda tag: (-len(tag), tag))
    if fixed and present.get(fixed[-1]) == digest:
        fixed = [tag for tag in fixed if tag in present]
    return Tags(tuple(fixed), tuple(reversed(moving)))


def day_of(tags: Iterable[str], day: date) -> tuple[str, ...]:
    """Return those of `tags` that may be of that day."""
    return tuple(tag for tag in tags if f"{day:%Y.%m.%d}" in tag)


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
