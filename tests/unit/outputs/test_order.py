"""What generators make depends on what is defined, and not on the order in which it was read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.defined import Definitions
from pipeline.outputs.makers import MAKERS, make
from tests.unit.outputs.subjects import PROJECT, SUBJECT, files

Item = TypeVar("Item")


def shuffled(items: Mapping[str, Item], random: Random) -> dict[str, Item]:
    """Return a mapping in another order."""
    names = list(items)
    random.shuffle(names)
    return {name: items[name] for name in names}


def another_order(definitions: Definitions, random: Random) -> Definitions:
    """Return the definitions as if their files had been found in another order."""
    mappings = {field.name: getattr(definitions, field.name) for field in fields(definitions)}
    changed: dict[str, Any] = {
        name: shuffled(items, random) for name, items in mappings.items() if isinstance(items, Mapping)
    }
    return replace(definitions, **changed)


@pytest.mark.parametrize("sort", sorted(set(MAKERS) - {"ci"}))
@settings(max_examples=5, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_the_order_of_files_changes_nothing(sort: str, random: Random) -> None:
    """The same paths with the same text."""
    other = replace(SUBJECT, project=replace(PROJECT, definitions=another_order(PROJECT.definitions, random)))

    assert {file.path: file for file in MAKERS[sort](other)} == dict(files(sort))


def test_every_file_says_what_made_it() -> None:
    """Which generator, and what to change instead; what a stack gives to an agent has the agent's own form."""
    for sort, several in make(SUBJECT, ()).items():
        for file in several:
            if not file.path.endswith("/.openclaw/openclaw.json"):
                said = f"Made by `agc generate (--)?only {sort}`. Change .+ or your copy, not this file"
                assert re.search(said, "\n".join(file.text.splitlines()[:4])), file.path
