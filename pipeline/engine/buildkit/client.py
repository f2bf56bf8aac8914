"""The BuildKit engine: `buildctl` carries our LLB to a daemon and brings back progress, digests and exports."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.abc
from anyio.streams.text import TextReceiveStream

from pipeline.digest import Digest
from pipeline.engine.api import (
    ArchiveExport,
    Compression,
    Export,
    FilesExport,
    ImageContent,
    LayoutExport,
    ProgressSink,
    RegistryExport,
    SecretFile,
    Solved,
)
from pipeline.engine.buildkit.failure import explain
from pipeline.engine.buildkit.lowering import CA_SECRET, Lowered, Wiring, layout_store, lower
from pipeline.engine.buildkit.progress import Progress
from pipeline.errors import EngineError
from pipeline.graph import State
from pipeline.platform import Platform

_LEVELS = {Compression.ZSTD: 3, Compression.GZIP: 6}


@dataclass(frozen=True, slots=True)
class BuildKit:
    """A BuildKit daemon at `address`, spoken to with the program `buildctl`."""

    address: str
    buildctl: Path
    wiring: Wiring = Wiring()
    ca_bundle: Path | None = None

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
        wiring = replace(self.wiring, has_ca=self.ca_bundle is not None)
        lowered = lower(state, platform, wiring)
        exports = tuple(exports)
        with tempfile.TemporaryDirectory(prefix="agc-") as folder:
            metadata = Path(folder) / "metadata.json"
            arguments = [
                *self._base_arguments(),
                f"--metadata-file={metadata}",
                *self._inputs(lowered, layouts, secrets),
                *(f"--output={export_argument(export)}" for export in exports),
            ]
            fds = tuple(fd for export in exports if isinstance(export, ArchiveExport) for fd in export.pass_fds)
            started = time.monotonic()
            progress = await self._run(arguments, lowered, on_progress, fds)
            seconds = time.monotonic() - started
            document = json.loads(metadata.read_text()) if metadata.exists() else {}
        cached = {vertex.state: vertex.cached for vertex in progress.vertices.values() if vertex.state}
        return Solved(document.get("containerimage.digest"), cached, seconds)

    def _base_arguments(self) -> list[str]:
        return [
            str(self.buildctl),
            f"--addr={self.address}",
            "build",
            "--progress=rawjson",
            "--allow=network.host",
        ]

    def _inputs(
        self, lowered: Lowered, layouts: Mapping[Digest, Path], secrets: Iterable[SecretFile]
    ) -> Iterable[str]:
        for digest in lowered.layouts:
            yield f"--oci-layout={layout_store(digest)}={layouts[digest]}"
        if self.ca_bundle:
            yield f"--secret=id={CA_SECRET},src={self.ca_bundle}"
        for secret in secrets:
            yield f"--secret=id={secret.name},src={secret.path}"

    async def _run(
        self, arguments: list[str], lowered: Lowered, on_progress: ProgressSink | None, fds: tuple[int, ...]
    ) -> Progress:
        progress = Progress()
        try:
            # A session of its own keeps a terminal's Ctrl-C from killing buildctl before it can cancel the solve.
            process = await anyio.open_process(
                arguments, start_new_session=True, pass_fds=fds, stdout=subprocess.DEVNULL
            )
        except OSError as error:
            raise EngineError(f"{arguments[0]}: {error.strerror}", remedy="agc doctor") from error
        async with process:
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_send, process, lowered.definition)
                    await _read(process, progress, on_progress)
                code = await process.wait()
            except BaseException:
                await _stop(process)
                raise
        if code != 0:
            raise explain(progress, lowered, self.address)
        return progress


def export_argument(export: Export) -> str:
    """Return the value of buildctl's `--output` for `export`."""
    match export:
        case LayoutExport(directory, content):
            return _csv("type=oci", "tar=false", f"dest={directory}", *_image_attributes(content))
        case RegistryExport(ref, content, insecure):
            extra = ("registry.insecure=true",) if insecure else ()
            named = replace(content, name=ref)
            return _csv("type=image", "push=true", *extra, *_image_attributes(named))
        case ArchiveExport(file, content):
            return _csv("type=docker", f"dest={file}", *_image_attributes(content, oci=False))
        case FilesExport(directory):
            return _csv("type=local", f"dest={directory}")


def _image_attributes(content: ImageContent, *, oci: bool = True) -> Iterable[str]:
    yield f"name={content.name}"
    yield f"oci-mediatypes={str(oci).lower()}"
    yield f"source-date-epoch={content.epoch}"
    yield f"containerimage.config={content.config.decode()}"
    yield f"compression={content.compression}"
    yield "force-compression=true"
    if content.compression in _LEVELS:
        yield f"compression-level={_LEVELS[content.compression]}"


def _csv(*fields: str) -> str:
    """Return one CSV record as Go's encoding/csv reads it: a field with a comma or quote is quoted, quotes doubled."""
    return ",".join(
        '"' + field.replace('"', '""') + '"' if any(mark in field for mark in ',"\n') else field for field in fields
    )


async def _send(process: anyio.abc.Process, definition: bytes) -> None:
    if process.stdin is None:
        raise AssertionError("the process was opened with a pipe")
    # buildctl may end before it has read everything; its own error then says why.
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await process.stdin.send(definition)
    await process.stdin.aclose()


async def _read(process: anyio.abc.Process, progress: Progress, on_progress: ProgressSink | None) -> None:
    if process.stderr is None:
        raise AssertionError("the process was opened with a pipe")
    rest = ""
    async for chunk in TextReceiveStream(process.stderr, errors="replace"):
        *lines, rest = (rest + chunk).split("\n")
        for line in lines:
            for event in progress.feed(line):
                if on_progress:
                    on_progress(event)
    for event in progress.feed(rest):
        if on_progress:
            on_progress(event)


async def _stop(process: anyio.abc.Process) -> None:
    """Let buildctl cancel its solve, and make sure it is gone."""
    with anyio.CancelScope(shield=True):
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with anyio.move_on_after(5):
            await process.wait()
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
