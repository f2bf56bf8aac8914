"""JSON Schemas of the definitions, so that editors complete and check the YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.models.kinds import FOLDERS, KINDS


def json_schemas() -> Mapping[str, str]:
    """Return file name and text of each kind's JSON Schema (draft 2020-12), text ending in a newline."""
    schemas: dict[str, str] = {}
    for kind, model in KINDS.items():
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": kind,
            **model.model_json_schema(by_alias=True),
        }
        schemas[f"{FOLDERS[kind]}.schema.json"] = json.dumps(schema, indent=2, sort_keys=True) + "\n"
    return schemas
