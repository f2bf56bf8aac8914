"""The files of a new project: one agent of its own on a shipped base, and what it takes to build and check it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from pipeline.catalog.schema import catalog_schema
from pipeline.models.schema import json_schemas
from pipeline.outputs.ci import ci_files
from pipeline.outputs.generated import Generated
from pipeline.outputs.subject import Subject
from pipeline.outputs.templates import render
from pipeline.stages.discovery import PackageFacts

_FREE = frozenset({"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"})
_UNKNOWN = "LicenseRef-Unknown"
_PYTHON = "python >=3.13 <3.14"
_TEMPLATES = {
    "matrix.yaml": "definitions/matrix.yaml",
    "policy.yaml": "definitions/policies/default.yaml",
    "agc.toml": "agc.toml",
    "gitignore": ".gitignore",
    "Makefile": "Makefile",
    "README.md": "README.md",
}
_WORKFLOW = "pull-request.yml"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for: an agent from a package, on a base; `licence` replaces what the package says."""

    agent: str
    source: Literal["npm", "pypi"]
    package: str
    base: str
    licence: str = ""
    secrets: tuple[str, ...] = ()

    @property
    def image(self) -> str:
        """The name of the image."""
        return f"{self.base}-{self.agent}"


def starter_files(wish: Wish, facts: PackageFacts, subject: Subject) -> tuple[Generated, ...]:
    """Return every file of the project; `subject` gives templates, version and the definitions it stands on."""
    values = _values(wish, facts, subject)
    others = (
        Generated(path, render(subject.templates, f"init/{name}.j2", **values)) for name, path in _TEMPLATES.items()
    )
    schemas = {**json_schemas(), **catalog_schema()}
    return (
        agent_file(wish, facts, subject),
        *others,
        _workflow(subject),
        *(Generated(f"registry/schemas/{name}", text) for name, text in sorted(schemas.items())),
    )


def agent_file(wish: Wish, facts: PackageFacts, subject: Subject) -> Generated:
    """Return the definition of the agent."""
    text = render(subject.templates, "init/agent.yaml.j2", **_values(wish, facts, subject))
    return Generated(f"definitions/agents/{wish.agent}.yaml", text)


def _values(wish: Wish, facts: PackageFacts, subject: Subject) -> dict[str, object]:
    """Return what the templates know."""
    licence = _known(wish.licence) or _known(facts.licence) or _UNKNOWN
    return {
        "agent": wish.agent,
        "base": wish.base,
        "image": wish.image,
        "version": subject.version,
        "source": wish.source,
        "package": wish.package,
        "binary": facts.binary,
        "path": facts.path,
        "tree": facts.tree,
        "requires": [f"node {facts.node}".rstrip()] if wish.source == "npm" else [_PYTHON],
        "secrets": wish.secrets,
        "description": facts.description,
        "homepage": facts.homepage,
        "licence": licence,
        "unknown": licence.startswith("LicenseRef-"),
        # What nobody knows to be free stays at home.
        "publish": "baked" if licence in _FREE else "private",
        "quoted": _quoted,
        "scalar": _scalar,
    }


def _known(licence: str) -> str:
    """Return a licence as SPDX spells it, "" for words that are none."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression  # 20 ms

    try:
        return str(canonicalize_license_expression(licence)) if licence else ""
    except InvalidLicenseExpression:
        return ""


def _quoted(value: object) -> str:
    """Return a value as JSON, which is YAML whatever is in it."""
    return json.dumps(value, ensure_ascii=False)


def _scalar(words: str) -> str:
    """Return a text as YAML: plain where that is read as the same text, else quoted."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9 ._/-]*|https?://[\w./-]+", words) and yaml.safe_load(words) == words
    return words if plain else _quoted(words)


def occupied(folder: Path) -> Path | None:
    """Return something that lies in a folder for a new project, None where nothing but a `.git` does."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        return folder
    return next((path for path in sorted(folder.iterdir()) if path.name != ".git"), None)


def _workflow(subject: Subject) -> Generated:
    """Return the check of pull requests where GitHub looks for it, without the comment that says to copy it there."""
    (text,) = (file.text for file in ci_files(subject) if file.path == f"ci/github/{_WORKFLOW}")
    body = text[text.index("name:") :]
    head = "# Made by `agc init`, and yours to change. For other systems: agc generate --only ci\n"
    return Generated(f".github/workflows/{_WORKFLOW}", head + body)
