"""The BuildKit engine: `buildctl` carries our LLB to a daemon and brings back progress, digests and exports."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO

import anyio

from pipeline.digest import Digest
from pipeline.engine.api import (
    Export,
    FilesExport,
    ImageContent,
    LayoutExport,
    ProgressSink,
    SecretFile,
    Solved,
)
from pipeline.engine.buildkit.carry import carry
from pipeline.engine.buildkit.compression import compression_attributes
from pipeline.engine.buildkit.failure import explain
from pipeline.engine.buildkit.lowering import CA_SECRET, Lowered, Wiring, layout_store, lower
from pipeline.engine.buildkit.probe import probe
from pipeline.engine.buildkit.progress import Progress
from pipeline.engine.buildkit.shared_cache import SharedCache, csv_record
from pipeline.engine.buildkit.tls import Tls
from pipeline.errors import BrokenFetchError, EngineError, UsageError
from pipeline.graph import State
from pipeline.platform import Platform

_PAUSES = (1.0, 4.0)
"""Seconds before each further try of a fetch that broke off."""
_LONGEST_SECRET = 64 * 1024
_SHORTEST_MASKED = 4


@dataclass(frozen=True, slots=True)
class BuildKit:
    """A BuildKit daemon at `address`, spoken to with the program `buildctl`.

    What is built is shared in `cache_to` under the first of `shared_as`, and taken from `cache_from` under any of them.
    """

    address: str
    buildctl: Path
    wiring: Wiring = field(default_factory=Wiring)
    ca_bundle: Path | None = None
    tls: Tls = field(default_factory=Tls)
    cache_to: tuple[SharedCache, ...] = ()
    cache_from: tuple[SharedCache, ...] = ()
    shared_as: tuple[str, ...] = ()

    def sharing(self, *names: str) -> BuildKit:
        """Return the same daemon for what is shared under `names`; see `SharesCache.sharing`."""
        return replace(self, shared_as=names)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of buildctl that asks this daemon."""
        return [str(self.buildctl), f"--addr={self.address}", *self.tls.arguments(), *arguments]

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
        """Build `state`; see `Engine.solve`. A fetch that broke off is tried again: what was done is kept."""
        exports, secrets = tuple(exports), tuple(secrets)
        for pause in _PAUSES:
            try:
                return await self._once(state, platform, layouts, secrets, exports, on_progress)
            except BrokenFetchError:
                await anyio.sleep(pause)
        return await self._once(state, platform, layouts, secrets, exports, on_progress)

    async def _once(
        self,
        state: State,
        platform: Platform,
        layouts: Mapping[Digest, Path],
        secrets: tuple[SecretFile, ...],
        exports: tuple[Export, ...],
        on_progress: ProgressSink | None,
    ) -> Solved:
        wiring = replace(self.wiring, has_ca=self.ca_bundle is not None)
        lowered = lower(state, platform, wiring)
        with _errand(lowered.definition) as (stdin, metadata):
            arguments = [
                *self.command("build", "--progress=rawjson", "--allow=network.host"),
                f"--metadata-file={metadata}",
                *self._inputs(lowered, layouts, secrets),
                *self._shared(platform, exporting=bool(exports)),
                *(f"--output={export_argument(export)}" for export in exports),
            ]
            progress = Progress(masked=_masked(secrets))
            started = time.monotonic()
            code = await carry(arguments, stdin, exports, progress, on_progress)
            seconds = time.monotonic() - started
            digest = _image_digest(metadata)
        if code != 0:
            ask = partial(probe, wiring=wiring, ca_bundle=self.ca_bundle)
            places = tuple(filter(None, map(_destination, exports)))
            raise await explain(progress, lowered, self.address, probe=ask, destinations=places)
        return Solved(digest, progress.cached(), seconds)

    def _shared(self, platform: Platform, *, exporting: bool) -> Iterable[str]:
        """Yield the options about shared caches.

        A solve that exports an image shares nothing: the one before it, which tested that image, shared more, and
        each share replaces the last.
        """
        for name in self.shared_as:
            yield from (f"--import-cache={cache.imported(name, platform)}" for cache in self.cache_from)
        for name in () if exporting else self.shared_as[:1]:
            yield from (f"--export-cache={cache.exported(name, platform)}" for cache in self.cache_to)

    def _inputs(self, lowered: Lowered, layouts: Mapping[Digest, Path], secrets: Iterable[SecretFile]) -> Iterable[str]:
        for digest in lowered.layouts:
            if digest not in layouts:
                raise EngineError(f"no layout holds the root {digest}", remedy="agc lock, then repeat the command")
            yield f"--oci-layout={layout_store(digest)}={layouts[digest]}"
        if self.ca_bundle:
            yield "--secret=" + csv_record(f"id={CA_SECRET}", f"src={self.ca_bundle}")
        for secret in secrets:
            yield "--secret=" + csv_record(f"id={secret.name}", f"src={secret.path}")


def export_argument(export: Export) -> str:
    """Return the value of buildctl's `--output` for `export`."""
    match export:
        case LayoutExport(directory, content):
            return csv_record("type=oci", "tar=false", f"dest={directory}", *_image_attributes(content))
        case FilesExport(directory):
            return csv_record("type=local", f"dest={directory}")


def _image_attributes(content: ImageContent) -> Iterable[str]:
    yield f"name={content.name}"
    yield "oci-mediatypes=true"
    yield f"source-date-epoch={content.epoch}"
    yield f"containerimage.config={content.config.decode()}"
    yield from compression_attributes(content.compression)


@contextmanager
def _errand(definition: bytes) -> Iterator[tuple[IO[bytes], Path]]:
    """Yield what buildctl reads, and the path of what it is to write."""
    with tempfile.TemporaryDirectory(prefix="agc-") as folder:
        path = Path(folder, "definition")
        path.write_bytes(definition)
        with path.open("rb") as stdin:
            yield stdin, Path(folder, "metadata.json")


def _image_digest(metadata: Path) -> Digest | None:
    document = json.loads(metadata.read_bytes()) if metadata.exists() else {}
    return document.get("containerimage.digest")


def _destination(export: Export) -> str:
    match export:
        case LayoutExport(directory) | FilesExport(directory):
            return str(directory)


def _masked(secrets: Iterable[SecretFile]) -> tuple[bytes, ...]:
    """Return what of the secrets must not show: every line of their files, longest first. Raises UsageError."""
    lines: set[bytes] = set()
    for secret in secrets:
        try:
            with secret.path.open("rb") as file:
                lines.update(line.strip() for line in file.read(_LONGEST_SECRET).splitlines())
        except OSError as error:
            raise UsageError(f"secret {secret.name}: {secret.path}: {error.strerror}") from error
    # Shorter ones would mask half of every log, and are no secret worth the name.
    return tuple(sorted((line for line in lines if len(line) >= _SHORTEST_MASKED), key=lambda line: (-len(line), line)))
