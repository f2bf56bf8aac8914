"""JSON Schemas of the definitions, so that editors complete and check the YAML.

What a field means is written as a string below it. pydantic could read those strings when a model is made, at every
start of the program; they are read here instead, where alone they are needed.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from pipeline.models import exceptions, kinds, packages, parts, programs, stacks, values
from pipeline.models.kinds import FOLDERS, KINDS


def json_schemas() -> Mapping[str, str]:
    """Return file name and text of each kind's JSON Schema (draft 2020-12), text ending in a newline."""
    modules = (values, packages, parts, programs, stacks, exceptions, kinds)
    return {f"{FOLDERS[kind]}.schema.json": schema_text(kind, model, modules) for kind, model in KINDS.items()}


def schema_text(title: str, model: type[BaseModel], modules: Sequence[ModuleType]) -> str:
    """Return the JSON Schema of `model`, its fields described by what is written below them in `modules`."""
    described = _described(modules)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **model.model_json_schema(by_alias=True),
    }
    _describe(schema, model.__name__, described)
    for name, definition in schema.get("$defs", {}).items():
        _describe(definition, name, described)
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _describe(schema: dict[str, Any], name: str, described: Mapping[str, Mapping[str, str]]) -> None:
    """Put the words of model `name` to the properties of its schema."""
    for key, words in described.get(name, {}).items():
        if key in schema.get("properties", {}):
            schema["properties"][key]["description"] = words


def _described(modules: Sequence[ModuleType]) -> dict[str, dict[str, str]]:
    """Return what is said of each field of each model, by its name in YAML; a model has its parents' words too."""
    own: dict[str, dict[str, str]] = {}
    models: dict[str, type[BaseModel]] = {}
    for module in modules:
        for node in ast.parse(inspect.getsource(module)).body:
            found = vars(module).get(node.name) if isinstance(node, ast.ClassDef) else None
            if isinstance(node, ast.ClassDef) and isinstance(found, type) and issubclass(found, BaseModel):
                own[node.name], models[node.name] = dict(_strings(node)), found
    described = {}
    for name, model in models.items():
        words: dict[str, str] = {}
        for base in reversed(model.__mro__):
            words |= own.get(base.__name__, {})
        described[name] = {
            model.model_fields[field].alias or field: text
            for field, text in words.items()
            if field in model.model_fields
        }
    return described


def _strings(node: ast.ClassDef) -> list[tuple[str, str]]:
    """Return the annotated names in the body of a class, each with the string that follows it."""
    return [
        (field.target.id, inspect.cleandoc(text.value.value))
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    ]
