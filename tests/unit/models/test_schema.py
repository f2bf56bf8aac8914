"""The JSON Schemas that editors use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog.schema import catalog_schema
from pipeline.models.kinds import FOLDERS, KINDS
from pipeline.models.schema import json_schemas
from pipeline.supply.check.schema import policy_schema

COMMITTED = Path(__file__).parents[3] / "registry" / "schemas"


def test_committed_schemas_are_those_of_the_models() -> None:
    """Renew them with `agc schema`."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.iterdir()}

    assert committed == {**json_schemas(), **catalog_schema(), **policy_schema()}


def test_every_kind_has_a_folder_and_a_schema() -> None:
    """One table each, and they agree."""
    assert set(KINDS) == set(FOLDERS)
    assert set(json_schemas()) == {f"{folder}.schema.json" for folder in FOLDERS.values()}


def _properties(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        for name, field in schema.get("properties", {}).items():
            yield f"{path}.{name}", field
        for key, value in schema.items():
            yield from _properties(value, f"{path}.{key}")


@pytest.mark.parametrize("name", sorted(json_schemas()))
def test_every_field_is_described(name: str) -> None:
    """An editor shows it while one writes."""
    schema = json.loads(json_schemas()[name])
    fields = dict(_properties(schema, ""))

    assert len(fields) > 5
    assert [path for path, field in fields.items() if not field.get("description")] == []


@pytest.mark.parametrize("name", sorted(json_schemas()))
def test_schemas_refuse_unknown_keys(name: str) -> None:
    """As the loader does."""
    schema = json.loads(json_schemas()[name])
    objects = [schema, *(item for item in schema["$defs"].values() if item.get("type") == "object")]

    assert all(item["additionalProperties"] is False for item in objects)
