"""Pages of the definitions' JSON Schemas: every key of every kind, with its type, default and meaning."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pipeline.catalog.schema import catalog_schema
from pipeline.models.schema import json_schemas
from pipeline.outputs.docs.markdown import code, page, prose, table, text
from pipeline.outputs.generated import Generated

FOLDER = "docs/reference/schemas"
_ROOT = "registry/schemas"


def schema_pages(header: str) -> tuple[Generated, ...]:
    """Return a page for each schema, and the list of them."""
    schemas = {name: json.loads(document) for name, document in sorted({**json_schemas(), **catalog_schema()}.items())}
    pages = [
        Generated(f"{FOLDER}/{_stem(name)}.md", page([header, "", *_page(name, schema)]))
        for name, schema in schemas.items()
    ]
    return (Generated(f"{FOLDER}/README.md", page([header, "", *_list(schemas)])), *pages)


def _stem(name: str) -> str:
    return name.removesuffix(".schema.json")


def _list(schemas: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "# JSON Schemas"
    yield ""
    yield "What an editor completes and checks by. `agc schema` writes the files into a project of yours. A definition"
    yield "names its own in a first line: `# yaml-language-server: $schema=../../registry/schemas/agents.schema.json`"
    yield ""
    yield from table(
        ("Kind", "Schema", "What it describes"),
        (
            (
                f"[{schema['title']}]({_stem(name)}.md)",
                f"[{code(name)}](../../../{_ROOT}/{name})",
                prose(schema.get("description", "")),
            )
            for name, schema in schemas.items()
        ),
    )


def _page(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {schema['title']}"
    yield ""
    yield f"{prose(schema.get('description', ''))} The schema itself: [{code(name)}](../../../{_ROOT}/{name})."
    yield ""
    yield from _keys(schema)
    for title, definition in sorted(schema.get("$defs", {}).items()):
        yield f"## {title}"
        yield ""
        if words := definition.get("description", ""):
            for paragraph in words.split("\n\n"):
                yield prose(paragraph)
                yield ""
        if "properties" in definition:
            yield from _keys(definition)
        else:
            yield f"{_type(definition)}."
            yield ""


def _keys(schema: Mapping[str, Any]) -> Iterator[str]:
    required = set(schema.get("required", ()))
    yield from table(
        ("Key", "Type", "Default", "Meaning"),
        (
            (
                code(name),
                _type(field),
                "**needed**" if name in required else _default(field),
                prose(field.get("description", "")),
            )
            for name, field in schema.get("properties", {}).items()
        ),
    )


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    return "" if value in (None, "", [], {}) else code(json.dumps(value, ensure_ascii=False))


def _type(field: Mapping[str, Any]) -> str:
    """Return what may be written for a field, in a few words."""
    if reference := field.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := [*field.get("anyOf", ()), *field.get("oneOf", ()), *field.get("allOf", ())]:
        return " or ".join(dict.fromkeys(_type(one) for one in choices if one.get("type") != "null"))
    if values := [field["const"]] if "const" in field else field.get("enum", ()):
        return " or ".join(code(json.dumps(one)) for one in values)
    return _SIMPLE.get(str(field.get("type")), _anything)(field)


def _anything(_: Mapping[str, Any]) -> str:
    return "anything"


def _mapping(field: Mapping[str, Any]) -> str:
    held = [*field.get("patternProperties", {}).values(), field.get("additionalProperties")]
    found = [_type(one) for one in held if isinstance(one, dict) and one]
    return f"mapping to {found[0]}" if found else "mapping"


_SIMPLE: Mapping[str, Callable[[Mapping[str, Any]], str]] = MappingProxyType(
    {
        "array": lambda field: f"list of {_type(field.get('items', {}))}",
        "boolean": lambda _: "`true` or `false`",
        "integer": lambda field: " ".join(["whole number", *_bounds(field)]),
        "number": lambda field: " ".join(["number", *_bounds(field)]),
        "object": _mapping,
        "string": lambda field: f"text, {field['format']}" if "format" in field else "text",
    }
)


def _bounds(field: Mapping[str, Any]) -> Iterator[str]:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        yield text(f"{low} to {high}")
    elif low is not None:
        yield text(f"from {low}")
    elif high is not None:
        yield text(f"to {high}")
