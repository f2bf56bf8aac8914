"""Plain data as the text of a file: one spelling each for YAML and JSON, whatever the machine it is written on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

# Nothing is folded: a line of data is a line of text, which is what differences are read by.
_WIDTH = 1 << 20


class _Dumper(yaml.SafeDumper):
    """Keys as they come, lists indented below their key, no anchors, text of several lines as a block."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Indent lists as well."""
        super().increase_indent(flow, False)  # noqa: FBT003

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        """Write everything out: two places that hold the same have nothing to do with each other."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def yaml_text(comments: Iterable[str], *documents: Mapping[str, Any]) -> str:
    """Return a YAML file of `documents` in the order of their keys, below `comments`, which begin with `#`."""
    head = "".join(f"{line}\n" for line in comments)
    return head + "---\n".join(
        yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
        for document in documents
    )


def json_text(comments: Iterable[str], document: Mapping[str, Any]) -> str:
    """Return a JSON file, below `comments`, which begin with `//`: only for readers that take these."""
    head = "".join(f"{line}\n" for line in comments)
    return f"{head}{json.dumps(document, indent=2, ensure_ascii=False)}\n"
