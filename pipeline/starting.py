"""What people start from: new projects, generated files, stacks that are run, and the catalog as a page.

All of it is made of a project as it is; nothing here builds or publishes, which is `flow`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.catalog.record import Catalog
from pipeline.catalog.store import catalog_path, read_catalog
from pipeline.engine.choose import open_engine
from pipeline.errors import UsageError
from pipeline.files import write_text
from pipeline.settings import load_settings
from pipeline.stages.project import Project, load_project, shipped_folder
from pipeline.stages.workbench import Reporter, Workbench

if TYPE_CHECKING:
    from pipeline.outputs.commands import CommandText
    from pipeline.outputs.generated import Drift, Generated
    from pipeline.outputs.shelf import Item
    from pipeline.outputs.starter import Wish
    from pipeline.outputs.subject import Subject


def generate(
    project: Project,
    only: Iterable[str] = (),
    commands: tuple[CommandText, ...] = (),
    *,
    write: bool = False,
    force: bool = False,
) -> tuple[tuple[Generated, ...], tuple[Drift, ...]]:
    """Return the files of the sorts in `only`, or all, and those that differ in the project, which `write` puts right.

    `commands` is what the command line says of itself, for pages. Raises ErrorGroup where a person changed one of
    these, unless `force` is to lose that.
    """
    from pipeline.outputs.generated import drifted, write_all  # templates and their engine are for this alone
    from pipeline.outputs.makers import make

    made = make(_subject(project, commands), tuple(only))
    drifts = drifted(project.folder, made)
    if write:
        write_all(project.folder, drifts, force=force)
    return tuple(file for files in made.values() for file in files), drifts


def catalog(project: Project) -> tuple[Item, ...]:
    """Return every image that was published or is one of the project, as a reader looks for it."""
    from pipeline.outputs.shelf import shelf  # no build needs it

    return shelf(_subject(project))


def write_catalog_page(project: Project, folder: Path) -> tuple[Path, ...]:
    """Write the catalog as a page into a folder, and return the files; raises OutputError."""
    from pipeline.outputs.catalog_page import catalog_page  # with the templates' engine, for this alone

    files = {folder / file.path: file.text for file in catalog_page(_subject(project))}
    for path, text in files.items():
        write_text(path, text)
    return tuple(files)


def check_empty(folder: Path) -> None:
    """Raise UsageError where a folder for a new project has anything in it but a `.git`."""
    from pipeline.outputs.starter import occupied

    if found := occupied(folder):
        raise UsageError(f"{folder} is not empty: there is {found.name}", remedy="agc init NEW-FOLDER")


async def new_project(folder: Path, wish: Wish, binary: tuple[str, str], reporter: Reporter) -> tuple[str, ...]:
    """Write a project with one agent into an empty folder and return its files' paths; it is valid, and not locked.

    `binary` is the command with its file, "" where the package is to say it. Raises UsageError, ResolveError.
    """
    from pipeline.models.choices import pick
    from pipeline.outputs.starter import starter_files
    from pipeline.stages.discovery import PackageFacts, npm_facts

    check_empty(folder)
    shipped = load_project(shipped_folder(), {})
    pick(shipped.definitions.bases, wish.base, "base")
    command, file = binary
    if wish.source == "pypi":
        facts = PackageFacts(command or wish.package, file or f"bin/{command or wish.package}")
    elif file:
        facts = PackageFacts(command, file)
    else:
        settings = load_settings(folder, os.environ)
        async with open_engine(settings, reporter.notify) as engine:
            facts = await npm_facts(wish.package, command, Workbench(settings, engine, reporter).fetch_npm_history)
    files = starter_files(wish, facts, _subject(replace(shipped, folder=folder)))
    for one in files:
        write_text(folder / one.path, one.text)
    load_project(folder, os.environ)
    return tuple(one.path for one in files)


def _subject(project: Project, commands: tuple[CommandText, ...] = ()) -> Subject:
    from importlib.metadata import version

    from pipeline.outputs.subject import Subject

    shipped = shipped_folder()
    own = shipped.resolve() == project.folder.resolve()
    published = read_catalog(catalog_path(project.folder)) or Catalog()
    return Subject(shipped / "templates", version("agentcontainers"), own, project, published, commands)


def start_stack(
    project: Project, name: str, flags: Iterable[str] = (), *, profiles: Iterable[str] = (), files: Iterable[Path] = ()
) -> None:
    """Start a stack with Docker Compose and wait until it is healthy; `flags` go to `docker compose up`."""
    from pipeline.stages import stack_running  # no build needs it

    stack_running.start_stack(project, name, tuple(flags), profiles=tuple(profiles), files=tuple(files))


def stop_stack(
    project: Project, name: str, flags: Iterable[str] = (), *, files: Iterable[Path] = (), volumes: bool = False
) -> None:
    """Stop a stack, whatever profiles it was started with; `flags` go to `docker compose down`."""
    from pipeline.stages import stack_running  # no build needs it

    stack_running.stop_stack(project, name, tuple(flags), files=tuple(files), volumes=volumes)
