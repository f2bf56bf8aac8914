"""Reproducible, tested container images of AI coding agents.

Each function is the command of `agc` with the same name, and takes what that takes.
"""

# No `from __future__ import annotations`: Dagger reads the annotations when a class is made.

import io
import json as json_text
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import anyio.to_thread
import dagger
from dagger import Doc, check, dag, function, object_type

from pipeline import flow
from pipeline.cli.app import COMMANDS, Invocation, Session, command_line
from pipeline.cli.failure import lines_of as failure_lines
from pipeline.cli.options import platforms as parse_platforms
from pipeline.cli.output import Color, Line, Output, text_of
from pipeline.cli.progress import PlainProgress
from pipeline.engine.api import Compression
from pipeline.engine.dagger.client import Dagger, in_module
from pipeline.engine.dagger.connection import world
from pipeline.engine.dagger.image import configured
from pipeline.engine_name import EngineName
from pipeline.errors import AgcError, UsageError
from pipeline.stages.building import try_image
from pipeline.stages.outputs import Output as Target
from pipeline.stages.outputs import OutputKind
from pipeline.stages.project import Project, load_project
from pipeline.stages.roots import lay_roots
from pipeline.stages.upgrade import LockRequest
from pipeline.stages.workbench import Workbench

Image = Annotated[str, Doc("The image's name, as list-matrix shows it")]
Images = Annotated[list[str] | None, Doc("Names of images; all where none is given")]
Platform = Annotated[str | None, Doc("OS/ARCH, such as linux/arm64; the engine's own where none is given")]
Json = Annotated[bool, Doc("Return one JSON object, as --json does")]
Locked = Annotated[bool, Doc("Fail where anything is missing from the lock or has moved")]


class AgcFailedError(Exception):
    """A failure as `agc` shows it: what failed, where, and what to do."""


@object_type
class Agc:
    """Images of AI coding agents from YAML definitions."""

    project: Annotated[
        dagger.Directory | None,
        Doc(
            "A project: definitions/, registry/ and agc.toml, on top of what this module ships; none needs to be there"
        ),
    ] = None
    definitions: Annotated[
        dagger.Directory | None, Doc("Definitions to use as the project's, in the place of its folder of that name")
    ] = None
    roots: Annotated[
        dagger.Directory | None,
        Doc("Bootstrapped roots: the folder ~/.cache/agc/roots of a machine that made them, for want of a registry"),
    ] = None

    @function
    @check
    async def validate(self, json: Json = False) -> str:
        """Check the definitions: form, references, and whether each cell of the matrix can be."""
        return await self._command("validate", json=json)

    @function
    @check
    async def lock_check(self, json: Json = False) -> str:
        """Fail where a pin is missing, stale or damaged: `agc lock --check`."""
        return await self._command("lock", "--check", json=json)

    @function
    async def list_matrix(
        self,
        base: Annotated[str | None, Doc("Only what is on this base or combo")] = None,
        agent: Annotated[str | None, Doc("Only images with this agent")] = None,
        tier: Annotated[str | None, Doc("Only images of this tier: v1 or extra")] = None,
        excluded: Annotated[bool, Doc("Also the pairs that are no images, with the reason")] = False,
        json: Json = False,
    ) -> str:
        """List the images of the project with base, agent, tier and platforms."""
        named = {"--base": base, "--agent": agent, "--tier": tier}
        words = [word for option, value in named.items() if value is not None for word in (option, value)]
        return await self._command("list-matrix", *words, *(["--excluded"] if excluded else []), json=json)

    @function
    async def explain(self, image: Image, platform: Platform = None, json: Json = False) -> str:
        """Show every resolved option of an image with the file and line it comes from."""
        return await self._command("explain", *_platform_words(platform), "--", image, json=json)

    @function
    async def plan(
        self,
        images: Images = None,
        platform: Platform = None,
        changed: Annotated[bool, Doc("Show only images that are new or differ from what was published")] = False,
        against: Annotated[str | None, Doc("REGISTRY/NAMESPACE to compare with, instead of the catalog")] = None,
        json: Json = False,
    ) -> str:
        """Show which images differ from what was published, why, what else moves, and what users pull."""
        words = [*_platform_words(platform), *(["--changed"] if changed else [])]
        words += ["--against", against] if against is not None else []
        return await self._command("plan", *words, "--", *(images or ()), json=json)

    @function
    async def lock(
        self,
        upgrade: Annotated[list[str] | None, Doc("Components to move to their newest version; `all` for all")] = None,
        cool_down: Annotated[float | None, Doc("How many days old a release must be; 0 takes any")] = None,
        accept: Annotated[list[str] | None, Doc("Releases (PACKAGE@VERSION) to take although refused")] = None,
    ) -> dagger.Directory:
        """Turn moving names into pins and return the project with its changed lock; export it over your own."""
        async with self._opened() as place:
            request = LockRequest(datetime.now(UTC), tuple(upgrade or ()), cool_down, frozenset(accept or ()))
            with _failures(place.folder):
                result = await flow.lock(place.project, request, PlainProgress(place.output))
                result.raise_for_errors()
            # What is under a temporary name now must be in the engine before the folder goes.
            return await _directory(place.folder).sync()

    @function
    async def build(self, image: Image, platform: Platform = None, locked: Locked = False) -> dagger.Container:
        """Build one image, run its smoke tests, and return it as a container to go on with.

        What is published from it has Dagger's own layers; build-all gives the deterministic image.
        """
        async with self._opened() as place:
            with _failures(place.folder):
                plans = place.project.plan((image,), parse_platforms(platform))
                if len(plans) != 1:
                    raise UsageError("a container has one platform", remedy="call build once for each")
                bench = place.bench
                (plan,) = await lay_roots(plans, place.project.locks.roots, bench, locked=locked)
                tested = await try_image(plan, bench, locked=locked)
                tested.smoke.raise_for_failures()
                made = tested.composition
                rootfs = await place.engine.build(made.rootfs, platform=plan.platform, layouts=bench.layouts)
            container = place.engine.container(rootfs, plan.platform)
            return await configured(container, made.document["config"] | _labels(made.config)).sync()

    @function
    async def build_all(
        self,
        images: Images = None,
        platform: Annotated[str | None, Doc("Platforms, with commas between")] = None,
        compression: Annotated[str, Doc("How layers are compressed: zstd, gzip or uncompressed")] = "zstd",
        locked: Locked = False,
    ) -> dagger.Directory:
        """Build images, test them, and return one OCI layout with all of them."""
        async with self._opened() as place:
            with _failures(place.folder):
                target = Target(OutputKind.OCI, str(place.folder / "out"))
                names = images or list(place.project.images)
                wanted = parse_platforms(platform)
                reporter = PlainProgress(place.output)
                kind = _compression(compression)
                await flow.build(place.project, names, wanted, target, reporter, locked=locked, compression=kind)
            return await _directory(place.folder / "out").sync()

    @function
    async def smoke(self, images: Images = None, platform: Platform = None, locked: Locked = False) -> str:
        """Run the smoke tests of images as their user, and fail where one does."""
        from pipeline.cli.smoke import lines_of

        async with self._opened() as place:
            with _failures(place.folder):
                names = images or list(place.project.images)
                wanted = parse_platforms(platform)
                reports = await flow.smoke(place.project, names, wanted, PlainProgress(place.output), locked=locked)
                for report in reports:
                    report.raise_for_failures()
                return text_of(lines_of(reports))

    async def _command(self, name: str, *words: str, json: bool) -> str:
        """Run a command of `agc` that needs no engine and return what it prints."""
        async with self._opened(needs_project=False) as place:
            said = io.StringIO()
            output = replace(place.output, json=json, stdout=said)
            invocation = Invocation(Session(project=place.folder, output=output))
            options = ["--json"] if json else []
            run: Callable[[], None] = lambda: command_line(COMMANDS).run([name, *options, *words], invocation)  # noqa: E731
            with _failures(place.folder):
                # On a thread of its own: a command that asks a registry starts an event loop.
                await anyio.to_thread.run_sync(run)
            return said.getvalue()

    @asynccontextmanager
    async def _opened(self, *, needs_project: bool = True) -> AsyncIterator["_Place"]:
        """Lay the project out where this program can read it."""
        # Below the current folder, from where alone a module can hand files back to the engine.
        with tempfile.TemporaryDirectory(prefix="agc-", dir=Path.cwd()) as name:
            folder, cache = Path(name) / "project", Path(name) / "cache"
            folder.mkdir()
            if self.project:
                await self.project.export(str(folder))
            if self.definitions:
                await self.definitions.export(str(folder / "definitions"), wipe=True)
            if self.roots:
                await self.roots.export(str(cache / "roots"))
            output = Output(color=Color.NEVER)
            with _failures(folder):
                project = _load(folder, cache) if needs_project else None
            yield _Place(folder, output, project)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a function works, and with what."""

    folder: Path
    output: Output
    loaded: Project | None

    @property
    def project(self) -> Project:
        if self.loaded is None:
            raise AssertionError("it was opened without its project")
        return self.loaded

    @property
    def engine(self) -> Dagger:
        settings = self.project.settings
        return Dagger(dag, settings.cache / "dagger", world(settings))

    @property
    def bench(self) -> Workbench:
        return Workbench(self.project.settings, self.engine, PlainProgress(self.output))


def _load(folder: Path, cache: Path) -> Project:
    environment = {**os.environ, "AGC_CACHE": str(cache), "AGC_ENGINE": str(EngineName.DAGGER)}
    return load_project(folder, environment)


def _directory(folder: Path) -> dagger.Directory:
    if in_module():
        return dag.current_module().workdir(str(folder.relative_to(Path.cwd())))
    return dag.host().directory(str(folder))


def _platform_words(platform: str | None) -> list[str]:
    return ["--platform", platform] if platform else []


def _labels(config: bytes) -> dict[str, object]:
    labels: dict[str, object] = json_text.loads(config)["config"]["Labels"]
    return {"Labels": labels}


def _compression(name: str) -> Compression:
    try:
        return Compression(name)
    except ValueError as error:
        raise UsageError(f"there is no compression {name!r}", remedy="zstd, gzip or uncompressed") from error


@contextmanager
def _failures(folder: Path) -> Iterator[None]:
    """Raise our failures as text: Dagger shows that of an exception and nothing else."""
    try:
        yield
    except AgcError as error:
        lines: tuple[Line, ...] = failure_lines(error, folder)
        raise AgcFailedError(text_of(lines).rstrip()) from error
