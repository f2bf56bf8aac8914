"""Solve states on a Dagger engine: each step is asked for as soon as those it is made from are there."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import assert_never

import anyio
import dagger

from pipeline.digest import Digest, hex_of
from pipeline.engine.api import (
    Export,
    FilesExport,
    LayoutExport,
    ProgressSink,
    SecretFile,
    Solved,
    StepEvent,
    StepStatus,
)
from pipeline.engine.dagger.failure import explain, explain_export
from pipeline.engine.dagger.lowering import Promise, Site, World, helper_of, lower
from pipeline.engine.layout import TAR_LAYER_TYPE, blob_path, read_manifest
from pipeline.engine.repack import repack, write_archive
from pipeline.errors import BuildError, EngineError
from pipeline.graph import State, walk
from pipeline.graph.ops import Image, Layout, Merge
from pipeline.platform import Platform

_AT_ONCE = 8


def in_module() -> bool:
    """Tell whether this program is itself a step of the engine, which has no host to read files from."""
    return "DAGGER_MODULE" in os.environ


@dataclass(frozen=True, slots=True)
class Dagger:
    """A Dagger engine, spoken to by `client`; archives of layouts are kept in `folder`."""

    client: dagger.Client
    folder: Path
    world: World = field(default_factory=World)

    async def solve(
        self,
        state: State,
        *,
        platform: Platform,
        layouts: Mapping[Digest, Path],
        secrets: Iterable[SecretFile] = (),
        exports: Iterable[Export] = (),
        on_progress: ProgressSink | None = None,
    ) -> Solved:
        """Build `state`; see `Engine.solve`."""
        started = time.monotonic()
        directory = await self.build(
            state, platform=platform, layouts=layouts, secrets=secrets, on_progress=on_progress
        )
        digest = None
        for export in exports:
            digest = await self._export(export, state, directory, platform, layouts) or digest
        cached = MappingProxyType({step.digest: False for step in walk(state)})
        return Solved(digest, cached, time.monotonic() - started)

    async def build(
        self,
        state: State,
        *,
        platform: Platform,
        layouts: Mapping[Digest, Path],
        secrets: Iterable[SecretFile] = (),
        on_progress: ProgressSink | None = None,
    ) -> dagger.Directory:
        """Return the file system of `state`, built; raises as `Engine.solve` does."""
        files = {secret.name: secret.path for secret in secrets}
        for name, path in files.items():
            if not path.is_file():
                raise EngineError(f"the secret {name!r} is to come from {path}, which is no file")
        helper = helper_of(state) or next((State(Layout(digest)) for digest in sorted(layouts)), None)
        steps = tuple(walk(state))
        if helper and helper not in steps:
            steps = (helper, *steps)
        wanted = {step.op.digest for step in steps if isinstance(step.op, Layout)}
        archives = {digest: self._archive(digest, layouts[digest]) for digest in wanted if digest in layouts}
        site = Site(self.client, platform, archives, files, helper, self.world)
        return await _Walk(site, on_progress).build(steps)

    def container(self, directory: dagger.Directory, platform: Platform) -> dagger.Container:
        """Return a container of `directory`, without any config."""
        return self.client.container(platform=dagger.Platform(str(platform))).with_rootfs(directory)

    def _archive(self, digest: Digest, layout: Path) -> dagger.File:
        """Return the image `digest` of `layout` as a tar the engine can import; equal images give equal bytes."""
        file = self.folder / f"{hex_of(digest)[:16]}.tar"
        if not file.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            manifest = read_manifest(layout, digest)
            blobs = [item.digest for item in (manifest.descriptor, manifest.config, *manifest.layers)]
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as made:
                write_archive(made, manifest.descriptor, {blob: blob_path(layout, blob) for blob in blobs})
            Path(made.name).replace(file)
        if in_module():
            return self.client.current_module().workdir_file(str(file.relative_to(Path.cwd())))
        return self.client.host().file(str(file))

    async def _export(
        self,
        export: Export,
        state: State,
        directory: dagger.Directory,
        platform: Platform,
        layouts: Mapping[Digest, Path],
    ) -> Digest | None:
        try:
            match export:
                case FilesExport(folder):
                    await directory.export(str(folder))
                    return None
                case LayoutExport():
                    return await self._export_image(export, directory, platform, _parts(state, layouts))
                case _ as unreachable:
                    assert_never(unreachable)
        except dagger.DaggerError as error:
            raise explain_export(error) from error

    async def _export_image(
        self, export: LayoutExport, directory: dagger.Directory, platform: Platform, parts: _Parts
    ) -> Digest:
        file = self.container(directory, platform).as_tarball(
            forced_compression=dagger.ImageLayerCompression.Uncompressed
        )
        export.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=export.directory) as folder:
            archive = Path(folder) / "image.tar"
            await file.export(str(archive))
            return await anyio.to_thread.run_sync(
                repack, archive, export.directory, export.content, parts.own, parts.root
            )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What an image is made of: so many layers of our making, on those of a root that may lie here as files."""

    own: int
    root: tuple[Path, ...] | None = None


def _parts(state: State, layouts: Mapping[Digest, Path]) -> _Parts:
    layers = state.op.layers if isinstance(state.op, Merge) else (state,)
    match layers[0].op:
        case Layout(digest):
            layout = layouts[digest]
            blobs = read_manifest(layout, digest).layers
            as_they_are = all(blob.media_type == TAR_LAYER_TYPE for blob in blobs)
            files = tuple(blob_path(layout, blob.digest) for blob in blobs)
            return _Parts(len(layers) - 1, files if as_they_are else None)
        case Image():
            return _Parts(len(layers) - 1)
        case _:
            return _Parts(len(layers))


class _Walk:
    """One solve under way: what is built so far, and who waits for it."""

    def __init__(self, site: Site, sink: ProgressSink | None) -> None:
        self._site = site
        self._sink = sink
        self._built: dict[Digest, dagger.Directory] = {}
        self._ready: dict[Digest, anyio.Event] = {}
        self._limit = anyio.CapacityLimiter(_AT_ONCE)
        self._failed: Exception | None = None

    async def build(self, steps: tuple[State, ...]) -> dagger.Directory:
        """Build `steps`, which come after what they are made from, and return the last one."""
        self._ready = {step.digest: anyio.Event() for step in steps}
        async with anyio.create_task_group() as group:
            for step in steps:
                group.start_soon(self._step, step, group)
        if self._failed:
            raise self._failed
        return self._built[steps[-1].digest]

    async def _step(self, step: State, group: anyio.abc.TaskGroup) -> None:
        for needed in self._needed(step):
            await self._ready[needed.digest].wait()
        async with self._limit:
            try:
                await self._one(step)
            except dagger.DaggerError as error:
                self._fail(explain(error, step), step, group)
            except (EngineError, BuildError) as error:
                self._fail(error, step, group)
            else:
                self._ready[step.digest].set()

    def _needed(self, step: State) -> Iterable[State]:
        yield from step.inputs
        helper = self._site.helper
        if helper and step.digest != helper.digest:
            yield helper

    def _fail(self, error: Exception, step: State, group: anyio.abc.TaskGroup) -> None:
        self._failed = self._failed or error
        self._say(step, StepStatus.FAILED)
        group.cancel_scope.cancel()

    async def _one(self, step: State) -> None:
        self._say(step, StepStatus.STARTED)
        started = time.monotonic()
        promise = lower(step, lambda state: self._built[state.digest], self._site)
        try:
            for line in await _words(promise):
                self._say(step, StepStatus.LOG, log=line)
            self._built[step.digest] = await promise.directory.sync()
        except dagger.ExecError as error:
            for line in (*error.stdout.splitlines(), *error.stderr.splitlines()):
                self._say(step, StepStatus.LOG, log=line)
            raise
        self._say(step, StepStatus.DONE, time.monotonic() - started)

    def _say(self, step: State, status: StepStatus, seconds: float = 0.0, log: str = "") -> None:
        if self._sink:
            self._sink(StepEvent(step.digest, step.name or type(step.op).__name__.lower(), status, seconds, log))


async def _words(promise: Promise) -> list[str]:
    """Run the process of `promise`, if it has one, and return the lines it printed."""
    return (await promise.process.combined_output()).splitlines() if promise.process else []
