"""The one hash, and the one JSON it is taken over."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.digest import canonical_json, digest_bytes, digest_file, digest_json, hex_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


class _Word(StrEnum):
    ONE = "one"


def test_keys_are_sorted_and_nothing_is_escaped_that_need_not_be() -> None:
    """The encoding is UTF-8 without white space, keys by code point."""
    assert canonical_json({"b": [1, None, True], "é": "ü", "a": {}}) == '{"a":{},"b":[1,null,true],"é":"ü"}'.encode()


@given(VALUES)
def test_what_is_written_reads_back_as_the_same_value(value: Any) -> None:
    """No value is lost or changed on its way through JSON."""
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(TEXT, VALUES, min_size=2, max_size=6))
def test_the_order_of_keys_is_no_part_of_a_value(value: dict[str, Any]) -> None:
    """A mapping filled in another order has the same digest."""
    turned = dict(reversed(list(value.items())))

    assert digest_json(turned) == digest_json(value)


def test_tuples_lists_and_read_only_mappings_are_written_alike() -> None:
    """What is frozen encodes as what it was frozen from."""
    assert canonical_json(MappingProxyType({"a": (1, 2)})) == canonical_json({"a": [1, 2]})
    assert canonical_json([_Word.ONE]) == b'["one"]'


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), [0.5], {"a": {"b": 1.5}}, {1: "a"}, {None: 1}, b"bytes", {"set": {1}}, object()],
    ids=str,
)
def test_a_value_without_one_spelling_is_refused(value: Any) -> None:
    """Floats, keys that are no strings and foreign types raise TypeError, however deep they lie."""
    with pytest.raises(TypeError):
        canonical_json(value)


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    """Reading in pieces changes nothing."""
    data = b"agent" * 1_000_000
    file = tmp_path / "file"
    file.write_bytes(data)

    assert digest_file(file) == digest_bytes(data)


def test_digests_are_the_sha256_everybody_else_computes() -> None:
    """Pinned: the digest of the empty string and of an empty mapping."""
    assert hex_of(digest_bytes(b"")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_json({}) == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
