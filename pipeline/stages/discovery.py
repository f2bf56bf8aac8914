"""What a package says of itself, for the first definition of an agent made of it.

Format: the manifest of one version (github.com/npm/registry, docs/responses/package-metadata.md): `bin`,
`dependencies`, `engines`, `license`. All of it was written by strangers: what has not the form it should have is left
out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import nodesemver
from pydantic import TypeAdapter, ValidationError

from pipeline.errors import ResolveError
from pipeline.models.values import BinaryName, FilePath, Text
from pipeline.resolve.npm import FetchJson

_PLAIN = TypeAdapter(Text)
_BINARY = TypeAdapter(BinaryName)
_FILE = TypeAdapter(FilePath)
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """A command of a package with the file it runs, and what else its first definition says; "" is not known."""

    binary: str
    path: str
    tree: bool = False
    node: str = ""
    licence: str = ""
    description: str = ""
    homepage: str = ""


async def npm_facts(package: str, wanted: str, fetch: FetchJson) -> PackageFacts:
    """Return what the newest release of an npm package says; `wanted` is the command, where it has several.

    `fetch` returns full documents. Raises ResolveError where there is no such package, or it has no such command.
    """
    manifest = await fetch(f"{quote(package, safe='@')}/latest")
    if not isinstance(manifest, dict):
        raise ResolveError(f"there is no npm package named {package!r}", remedy="check its spelling")
    binary, path = _command(package, wanted, manifest)
    return PackageFacts(
        binary,
        path,
        tree=bool(manifest.get("dependencies") or manifest.get("optionalDependencies")),
        node=_node(manifest.get("engines")),
        licence=_words(manifest.get("license")),
        description=_words(manifest.get("description")),
        homepage=_homepage(manifest.get("homepage")),
    )


def _command(package: str, wanted: str, manifest: Mapping[str, Any]) -> tuple[str, str]:
    own = package.rpartition("/")[2]
    found = manifest.get("bin")
    commands: dict[str, str] = {}
    for name, path in ({own: found} if isinstance(found, str) else found if isinstance(found, dict) else {}).items():
        try:
            commands[_BINARY.validate_python(name)] = _FILE.validate_python(str(path).removeprefix("./"))
        except ValidationError:
            continue
    choice = wanted or (own if own in commands else next(iter(commands), ""))
    if choice not in commands:
        there = f"it has {', '.join(sorted(commands))}" if commands else "it is a library"
        what = f"command {wanted!r}" if wanted else "command"
        raise ResolveError(f"npm package {package} has no {what}: {there}", remedy="give --binary COMMAND=FILE")
    return choice, commands[choice]


def _node(engines: Any) -> str:
    wanted = engines.get("node") if isinstance(engines, dict) else None
    if not isinstance(wanted, str) or not re.fullmatch(r"[\d\s.<>=^~|*x-]{1,80}", wanted):
        return ""
    try:
        nodesemver.make_range(wanted, loose=False)
    except ValueError:
        return ""
    return " ".join(wanted.split()).replace(">= ", ">=").replace("< ", "<")


def _words(value: Any) -> str:
    try:
        words = _PLAIN.validate_python(" ".join(value.split()) if isinstance(value, str) else "")
    except ValidationError:
        return ""
    return words if len(words) <= _LONGEST else ""


def _homepage(value: Any) -> str:
    words = _words(value)
    return words if re.fullmatch(r"https?://[^\s\"'<>]+", words) else ""
