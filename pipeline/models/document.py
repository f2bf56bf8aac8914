"""Read YAML into plain data that remembers where every key and value stood.

YAML is read as data only: duplicate keys, aliases, tags and a second document are errors. A file may have at most 1 MiB
and 40 levels, so no input takes long to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import yaml

from pipeline.errors import AgcError, DefinitionError, Location

SIZE_LIMIT = 1 << 20
DEPTH_LIMIT = 40
KeyPath: TypeAlias = tuple[str | int, ...]

# libyaml where PyYAML was built with it, for speed; the same events either way.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTROL = yaml.reader.Reader.NON_PRINTABLE
_SCALARS = yaml.SafeLoader("")
# Everything else is text: a date too, which the models that want one read themselves.
_NOT_TEXT = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")}


@dataclass(frozen=True, slots=True)
class Places:
    """Where in a file each key path stands; a mapping's key marks the place of its value."""

    file: str
    known: Mapping[KeyPath, Location]

    def locate(self, path: KeyPath) -> Location:
        """Return the place of `path`, or of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            if place := self.known.get(path[:length]):
                return place
        return Location(self.file)


@dataclass(frozen=True, slots=True)
class Document:
    """The data of one file as it was parsed, to be validated at once, and where each part of it stands."""

    data: Any
    places: Places


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
        if refused := _refused(text, shown):
            return None, (refused,)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(part for part in (error.context, error.problem) if part)
        return None, (DefinitionError(f"malformed YAML: {words}", location=_location(shown, mark)),)
    except yaml.reader.ReaderError:
        return None, (DefinitionError("malformed YAML: control characters", location=_first_control(shown, text)),)
    if node is None:
        return None, (DefinitionError("is empty", location=Location(shown)),)
    reader = _Reader(shown)
    data = reader.read(node, ())
    return Document(data, Places(shown, MappingProxyType(reader.places))), tuple(reader.errors)


def _refused(text: str, shown: str) -> DefinitionError | None:
    """Return what is wrong where `text` uses more of YAML than plain data needs."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        place = _location(shown, event.start_mark)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            return DefinitionError(
                "anchors and aliases are not supported", location=place, remedy="write the value out"
            )
        if getattr(event, "tag", None):
            return DefinitionError("tags are not supported", location=place, remedy="write the plain value")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_LIMIT:
            return DefinitionError(f"is nested more than {DEPTH_LIMIT} levels deep", location=place)
    return None


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
        if node.tag not in _NOT_TEXT:
            return node.value
        try:
            return _SCALARS.yaml_constructors[node.tag](_SCALARS, node)
        except (ValueError, OverflowError):
            return node.value  # Python has no such number; a field that wants one will say so.


def _first_control(shown: str, text: str) -> Location:
    """Return the place of the character that YAML cannot hold: libyaml says no line, and neither parser a column."""
    before = text[: next((match.start() for match in _CONTROL.finditer(text)), 0)]
    return Location(shown, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _location(shown: str, mark: Any) -> Location:
    # Two classes of mark, one of them C's, share these attributes and no base.
    return Location(shown, mark.line + 1, mark.column + 1) if mark else Location(shown)
