"""Data as text: what is read back is what was written, in one spelling."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.outputs.documents import json_text, yaml_text

TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")))
DATA = st.recursive(
    TEXTS | st.booleans() | st.integers() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, DATA))
def test_yaml_is_read_back_as_what_was_written(document: dict[str, Any]) -> None:
    """Also what looks like a number, a date, a comment or the end of a document."""
    assert yaml.safe_load(yaml_text(("# a comment",), document)) == document


@given(st.dictionaries(TEXTS, DATA))
def test_json_is_read_back_as_what_was_written(document: dict[str, Any]) -> None:
    """Below its comments."""
    assert json.loads(json_text((), document)) == document


def test_several_documents_are_kept_apart() -> None:
    """And keep the order of their keys."""
    text = yaml_text((), {"b": 1, "a": [{"c": "2"}]}, {"d": "x\ny\n"})

    assert text == "b: 1\na:\n  - c: '2'\n---\nd: |\n  x\n  y\n"


def test_nothing_is_folded_and_nothing_is_an_alias() -> None:
    """A line of data is a line of text, and two places that hold the same are written twice."""
    same = ["word " * 100]

    assert yaml_text((), {"a": same, "b": same}).count("word word") == 2 * 50
    assert len(yaml_text((), {"a": same}).splitlines()) == 2
