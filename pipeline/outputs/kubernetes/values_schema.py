"""The JSON Schema of a chart's values, which Helm holds them against before it installs anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES: Mapping[type, str] = {bool: "boolean", int: "integer", str: "string"}
_SECRETS = {
    "type": "array",
    "items": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
}


def values_schema(values: Mapping[str, Any], comment: str) -> dict[str, Any]:
    """Return the schema (draft 7) of values that have the form of `values`: the same keys and no others."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", "$comment": comment, **_of("", values)}


def _of(key: str, value: Any) -> dict[str, Any]:
    match key:
        case "resources":  # keys of the cluster's own, such as those of devices
            return {"type": "object"}
        case "pullSecrets":
            return _SECRETS
        case "digest":
            return {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}
        case "replicas":
            return {"type": "integer", "minimum": 0}
    if isinstance(value, Mapping):
        known = {name: _of(name, item) for name, item in value.items()}
        return {"type": "object", "properties": known, "additionalProperties": False}
    return {"type": _TYPES[type(value)]}
