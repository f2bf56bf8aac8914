"""What every build engine does: solve a state for a platform and hand the result over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from pipeline.digest import Digest
from pipeline.graph import State
from pipeline.platform import Platform


class Compression(StrEnum):
    """How layer blobs are compressed. One fixed level each, or a digest would depend on who built before."""

    ZSTD = "zstd"
    GZIP = "gzip"
    UNCOMPRESSED = "uncompressed"


@dataclass(frozen=True, slots=True)
class ImageContent:
    """What turns a file system into an image: its name, its OCI config (JSON), compression, and its one timestamp.

    `epoch` is in seconds since 1970; it becomes `created` in the config and its history.
    """

    name: str
    config: bytes
    epoch: int
    compression: Compression = Compression.ZSTD


@dataclass(frozen=True, slots=True)
class LayoutExport:
    """Write the image into the OCI layout in `directory`; blobs that lie there already are not sent again."""

    directory: Path
    content: ImageContent


@dataclass(frozen=True, slots=True)
class FilesExport:
    """Write the files themselves into `directory`."""

    directory: Path


Export: TypeAlias = LayoutExport | FilesExport


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret handed to steps by name; the engine reads the file, this program only to mask it in what steps print."""

    name: str
    path: Path


class StepStatus(StrEnum):
    """Where a step stands."""

    STARTED = "started"
    CACHED = "cached"
    DONE = "done"
    FAILED = "failed"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class StepEvent:
    """News of one step. `log` is one line of output where the status is LOG; `seconds` is set once it has ended."""

    step: str
    name: str
    status: StepStatus
    seconds: float = 0.0
    log: str = ""


ProgressSink: TypeAlias = Callable[[StepEvent], None]


@dataclass(frozen=True, slots=True)
class Solved:
    """What came of a solve.

    `digest` is the manifest digest of an exported image, `cached` tells for every state that took part whether its
    result was there before, `seconds` is the wall time spent in the engine.
    """

    digest: Digest | None = None
    cached: Mapping[Digest, bool] = field(default_factory=dict)
    seconds: float = 0.0


class Engine(Protocol):
    """A build engine."""

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
        """Build `state` and write the exports; `layouts` says where the OCI layouts it names lie.

        Raises BuildError where a step failed (SourceGoneError, IntegrityError for the known causes), EngineError
        where the engine did not answer, OutputError where an export could not be written.
        """
        ...


@runtime_checkable
class SharesCache(Protocol):
    """An engine that can hand its results to engines on other machines, and take over theirs."""

    def sharing(self, *names: str) -> Engine:
        """Return the engine for what belongs to `names`: it shares under the first, and takes from all of them."""
        ...
