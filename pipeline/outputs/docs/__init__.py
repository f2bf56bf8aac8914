"""Pages about what a project has: its agents, toolpacks, bases and images; and about `agc` itself, in its own checkout.

Rules kept here:

- pages tell what definitions and lock say, and nothing of what was published: publishing changes no page;
- components are ordered by name, so no page depends on the order in which files were found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.models.defined import Defined
from pipeline.outputs.docs.bases import base_page
from pipeline.outputs.docs.command_line import command_page
from pipeline.outputs.docs.images import image_page
from pipeline.outputs.docs.markdown import page, prose, table
from pipeline.outputs.docs.picture import chain_picture, layer_picture
from pipeline.outputs.docs.programs import program_page
from pipeline.outputs.docs.schemas import schema_pages
from pipeline.outputs.docs.stacks import stack_page
from pipeline.outputs.generated import Generated
from pipeline.outputs.generated import header as header_line
from pipeline.outputs.subject import Subject

FOLDER = "docs/catalog"
PICTURES = "docs/explanation"


def docs_files(subject: Subject) -> tuple[Generated, ...]:
    """Return the pages of a project, and in `agc`'s own checkout those of its schemas and commands too."""
    project = subject.project
    definitions, locks = project.definitions, project.locks
    pages = [_file("images", "definitions/ and registry/lock/", image_page(subject))]
    pages += [
        _file(f"agents/{name}", f"the definition of agent {name}", program_page(one, locks.agents.get(name), subject))
        for name, one in sorted(definitions.agents.items())
    ]
    pages += [
        _file(
            f"toolpacks/{name}",
            f"the definition of toolpack {name}",
            program_page(one, locks.toolpacks.get(name), subject),
        )
        for name, one in sorted(definitions.toolpacks.items())
    ]
    pages += [
        _file(f"bases/{name}", f"the definition of base {name}", base_page(one, subject))
        for name, one in sorted(definitions.bases.items())
        if one.model.spec.images
    ]
    pages += [
        _file(f"stacks/{one.name}", f"the definition of stack {one.name}", stack_page(one, subject))
        for one in project.stacks()
    ]
    pages.append(_index(subject, [page.path for page in pages]))
    return (*pages, *(_own(subject) if subject.own else ()))


def _own(subject: Subject) -> tuple[Generated, ...]:
    pictures = (
        Generated(f"{PICTURES}/chain.svg", chain_picture(_picture_header("pipeline/outputs/docs/picture.py"))),
        Generated(f"{PICTURES}/layers.svg", layer_picture(_picture_header("the definitions and the matrix"), subject)),
    )
    schemas = schema_pages(_header("pipeline/models/"))
    commands = (command_page(_header("pipeline/cli/"), subject.commands),) if subject.commands else ()
    return (*pictures, *schemas, *commands)


def _index(subject: Subject, paths: Iterable[str]) -> Generated:
    definitions = subject.project.definitions
    made = frozenset(paths)
    lines = ["# What there is", "", "[All images](images.md), with which agent fits which base and why not.", ""]
    groups: tuple[tuple[str, Mapping[str, Defined[Any]]], ...] = (
        ("Agents", definitions.agents),
        ("Toolpacks", definitions.toolpacks),
        ("Bases", definitions.bases),
        ("Stacks", definitions.stacks),
    )
    for title, found in groups:
        folder = title.lower()
        rows = [
            (f"[{name}]({folder}/{name}.md)", prose(one.model.metadata.description))
            for name, one in sorted(found.items())
            if f"{FOLDER}/{folder}/{name}.md" in made
        ]
        if rows:
            lines += [f"## {title}", "", *table(("Name", "What it is"), rows)]
    return _file("README", "definitions/", lines)


def _file(name: str, source: str, lines: Iterable[str]) -> Generated:
    return Generated(f"{FOLDER}/{name}.md", page([_header(source), "", *lines]))


def _header(source: str) -> str:
    return f"{header_line('docs', source, '<!--')} -->"


def _picture_header(source: str) -> str:
    """Return the header as XML takes it, whose comments may hold no two dashes."""
    return _header(source).replace(" --only ", " only ")
