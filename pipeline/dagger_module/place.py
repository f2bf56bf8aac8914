"""Where a function of the module works: the project laid out as files, its failures told as text."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagger
from dagger import dag

from pipeline.cli.failure import lines_of
from pipeline.cli.output import Color, Line, Output, text_of
from pipeline.cli.progress import PlainProgress
from pipeline.engine.dagger.client import Dagger, in_module
from pipeline.engine.dagger.connection import world
from pipeline.engine_name import EngineName
from pipeline.errors import AgcError, UsageError
from pipeline.files import write_bytes
from pipeline.stages.project import Project, load_project
from pipeline.stages.workbench import Workbench

_LOGINS = "DOCKER_CONFIG"


class AgcFailedError(Exception):
    """A failure as `agc` shows it: what failed, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the module was given: see the fields of the same names in `Agc`."""

    project: dagger.Directory | None = None
    definitions: dagger.Directory | None = None
    roots: dagger.Directory | None = None
    registry_config: dagger.Secret | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a function works, and with what."""

    folder: Path
    output: Output
    loaded: Project | None

    @property
    def project(self) -> Project:
        """The project, where the place was opened with it."""
        if self.loaded is None:
            raise AssertionError("it was opened without its project")
        return self.loaded

    @property
    def reporter(self) -> PlainProgress:
        """Who tells what happens, line by line."""
        return PlainProgress(self.output)

    @property
    def engine(self) -> Dagger:
        """The engine this program is a step of."""
        settings = self.project.settings
        return Dagger(dag, settings.cache / "dagger", world(settings))

    @property
    def bench(self) -> Workbench:
        """The engine, and where things lie."""
        return Workbench(self.project.settings, self.engine, self.reporter)


@asynccontextmanager
async def opened(sources: Sources, *, needs_project: bool = True) -> AsyncIterator[Place]:
    """Lay the project out where this program can read it; raises AgcFailedError where it is not right."""
    # Below the current folder, from where alone a module can hand files back to the engine.
    with tempfile.TemporaryDirectory(prefix="agc-", dir=Path.cwd()) as name:
        folder, cache, logins = Path(name) / "project", Path(name) / "cache", Path(name) / "logins"
        folder.mkdir()
        if sources.project:
            await sources.project.export(str(folder))
        if sources.definitions:
            await sources.definitions.export(str(folder / "definitions"), wipe=True)
        if sources.roots:
            await sources.roots.export(str(cache / "roots"))
        with failures(folder):
            if sources.registry_config:
                logins.mkdir(mode=0o700)
                text = await _plain(sources.registry_config, "registry-config")
                write_bytes(logins / "config.json", text.encode(), mode=0o600)
            project = _load(folder, cache) if needs_project else None
        with _variable(_LOGINS, str(logins) if sources.registry_config else None):
            yield Place(folder, Output(color=Color.NEVER), project)


def directory(folder: Path) -> dagger.Directory:
    """Return a folder below the current one to the engine."""
    if in_module():
        return dag.current_module().workdir(str(folder.relative_to(Path.cwd())))
    return dag.host().directory(str(folder))


@contextmanager
def failures(folder: Path) -> Iterator[None]:
    """Raise our failures as text: Dagger shows that of an exception and nothing else."""
    try:
        yield
    except AgcError as error:
        lines: tuple[Line, ...] = lines_of(error, folder)
        raise AgcFailedError(text_of(lines).rstrip()) from error


async def _plain(secret: dagger.Secret, name: str) -> str:
    """Return what `secret` holds; raises UsageError where it is not where it was said to be."""
    try:
        return await secret.plaintext()
    except dagger.QueryError as error:
        raise UsageError(
            f"the secret --{name} cannot be read: {error}",
            remedy="name one that is there: env:VARIABLE, file:PATH or cmd:COMMAND",
        ) from error


def _load(folder: Path, cache: Path) -> Project:
    environment = {**os.environ, "AGC_CACHE": str(cache), "AGC_ENGINE": str(EngineName.DAGGER)}
    return load_project(folder, environment)


@asynccontextmanager
async def secrets(given: Mapping[str, tuple[dagger.Secret | None, str]]) -> AsyncIterator[tuple[str, ...]]:
    """Put secrets into variables of this program for the block, and yield the names of those that were given.

    `given` maps variables to secrets and what the arguments are called. Raises UsageError for one that is not there.
    """
    held = {name: await _plain(secret, called) for name, (secret, called) in given.items() if secret}
    with ExitStack() as stack:
        for name, value in held.items():
            stack.enter_context(_variable(name, value))
        yield tuple(held)


@contextmanager
def _variable(name: str, value: str | None) -> Iterator[None]:
    """Set a variable of this program for the block, where there is a value."""
    before = os.environ.get(name)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        if value is not None:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before
