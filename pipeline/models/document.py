"""Read YAML into plain data that remembers where every key and value stood.

YAML is read as data only: duplicate keys, aliases, tags and a second document are errors, and a file may have at most
1 MiB, so no input takes long to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from pipeline.errors import AgcError, DefinitionError, Location

SIZE_LIMIT = 1 << 20
KeyPath: TypeAlias = tuple[str | int, ...]

# libyaml where PyYAML was built with it, for speed; the same events either way.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCALARS = yaml.SafeLoader("")


@dataclass(frozen=True, slots=True)
class Document:
    """The data of one file, and the place of each key path; a mapping's key marks the place of its value."""

    file: str
    data: Any
    places: Mapping[KeyPath, Location]

    def locate(self, path: KeyPath) -> Location:
        """Return the place of `path`, or of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if place := self.places.get(path[:length]):
                return place
        return Location(self.file)


def read_document(path: Path, shown: str) -> tuple[Document | None, tuple[AgcError, ...]]:
    """Return the document in `path` and what is wrong with it; `shown` is how messages call the file."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            return None, (DefinitionError("is larger than 1 MiB", location=Location(shown)),)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return None, (DefinitionError(f"is not UTF-8: {error.reason}", location=Location(shown)),)
    except OSError as error:
        return None, (DefinitionError(f"cannot be read: {error.strerror}", location=Location(shown)),)
    return parse_document(text, shown)


def parse_document(text: str, shown: str) -> tuple[Document | None, tuple[AgcError, ...]]:
    """Return the one document of `text` and what is wrong with it."""
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                return None, (
                    DefinitionError(
                        "anchors and aliases are not supported",
                        location=_location(shown, event.start_mark),
                        remedy="write the value out",
                    ),
                )
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(part for part in (error.context, error.problem) if part)
        return None, (DefinitionError(f"malformed YAML: {words}", location=_location(shown, mark)),)
    except yaml.YAMLError as error:
        return None, (DefinitionError(f"malformed YAML: {error}", location=Location(shown)),)
    except RecursionError:
        return None, (DefinitionError("malformed YAML: nested too deeply", location=Location(shown)),)
    if node is None:
        return None, (DefinitionError("is empty", location=Location(shown)),)
    reader = _Reader(shown)
    data = reader.read(node, ())
    return Document(shown, data, reader.places), tuple(reader.errors)


class _Reader:
    """Builds data from nodes, noting places and errors on the way."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.places: dict[KeyPath, Location] = {}
        self.errors: list[AgcError] = []

    def read(self, node: yaml.Node, path: KeyPath) -> Any:
        self.places.setdefault(path, _location(self.shown, node.start_mark))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = _location(self.shown, key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self.errors.append(DefinitionError("a key must be text", location=place))
                continue
            key = str(key_node.value)
            if key in result:
                self.errors.append(
                    DefinitionError(
                        f"duplicate key `{key}`, first written at line {self.places[(*path, key)].line}",
                        location=place,
                    )
                )
                continue
            self.places[(*path, key)] = place
            result[key] = self.read(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            value = _SCALARS.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            place = _location(self.shown, node.start_mark)
            self.errors.append(DefinitionError(f"not a plain value: {error}".splitlines()[0], location=place))
            return None
        # A date is the one rich scalar; models that want one parse the text again.
        return value if isinstance(value, (str, int, float, bool)) or value is None else str(node.value)


def _location(shown: str, mark: Any) -> Location:
    # Two classes of mark, one of them C's, share these attributes and no base.
    return Location(shown, mark.line + 1, mark.column + 1) if mark else Location(shown)
