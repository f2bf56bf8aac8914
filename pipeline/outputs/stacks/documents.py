"""Parts of a compose file as text: in one form, whatever the machine."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.catalog.record import Catalog


@dataclass(frozen=True, slots=True)
class ImageName:
    """What a compose file calls an image; `tag` is what people call it, and "" where the name says it already."""

    name: str
    tag: str = ""

    @property
    def published(self) -> bool:
        """Whether it comes from a registry."""
        return "@" in self.name


def image_of(catalog: Catalog, name: str) -> ImageName:
    """Return an image by digest where it was published, else by the name `agc build --output docker` gives it."""
    record = catalog.images.get(name)
    if record is None or not record.repositories:
        return ImageName(name)
    repository = min(record.repositories)
    tag = max(record.tags, key=lambda text: (len(text), text), default="")
    return ImageName(f"{repository}@{record.digest}", f"{repository}:{tag}" if tag else "")


def block(document: Mapping[str, Any], indent: int) -> str:
    """Return a mapping as lines of YAML, in the order of its keys, with so many spaces before each."""
    text = yaml.dump(
        _plain(document),
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=10_000,
    )
    return textwrap.indent(text, " " * indent).rstrip("\n")


def literal(text: str) -> str:
    """Return `text` so that Compose, which fills in `$NAME`, leaves it as it is."""
    return text.replace("$", "$$")


class _Dumper(yaml.SafeDumper):
    """Lists are indented below their keys, and nothing is an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


class _Quoted(str):
    """Text that is quoted, so that no version of YAML takes it for something else."""

    __slots__ = ()


_Dumper.add_representer(
    _Quoted, lambda dumper, data: dumper.represent_scalar("tag:yaml.org,2002:str", str(data), style='"')
)


def _plain(value: Any) -> Any:
    """Return `value` as dicts and lists, text quoted where its form is not that of a plain word or path."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, str) and not value.replace("-", "").replace("_", "").replace("/", "").isalpha():
        return _Quoted(value)
    return value
