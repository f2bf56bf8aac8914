"""What builds came to, by what they were made from: an image that is where it belongs is not made again.

Rules kept here:

- the key is everything a result follows from: graphs, smoke tests, compression, and the program's own version;
- a result is remembered once its image was tested and delivered, and believed only where the image still lies in its
  layout, blob for blob, and its registry's tag names it;
- a Docker daemon is never asked: what it holds, it may have from anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pipeline.catalog.repository import Repository
from pipeline.compose.image import Composition
from pipeline.digest import Digest, digest_json, hex_of
from pipeline.engine.api import Compression
from pipeline.engine.layout import holds
from pipeline.errors import AgcError
from pipeline.files import write_text
from pipeline.settings import EngineSettings, Settings
from pipeline.stages.destinations import Destinations
from pipeline.stages.outputs import Output, OutputKind
from pipeline.verify.cases import SmokeCase, smoke_cases
from pipeline.verify.smoke import SmokeReport, SmokeResult


@dataclass(frozen=True, slots=True)
class Result:
    """What an image came to: the digest of its name, and that of each platform."""

    digest: Digest
    manifests: Mapping[str, Digest]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of on all its platforms, and its tests on each; without tests where none are to be run."""

    compositions: tuple[Composition, ...]
    cases: tuple[tuple[SmokeCase, ...], ...]
    compression: Compression
    engine: str

    @property
    def key(self) -> Digest:
        """The digest of everything the result follows from."""
        return digest_json(
            {
                "program": version("agentcontainers"),
                "name": self.compositions[0].plan.name,
                "compression": str(self.compression),
                "engine": str(self.engine),
                "graphs": {str(one.plan.platform): one.graph_digest for one in self.compositions},
                "tests": [[case.state.digest for case in cases] for cases in self.cases],
            }
        )

    @property
    def reports(self) -> tuple[SmokeReport, ...]:
        """The reports of tests that passed before."""
        pairs = zip(self.compositions, self.cases or ((),) * len(self.compositions), strict=True)
        return tuple(
            SmokeReport(one.plan.name, one.plan.platform, tuple(_passed(case) for case in cases))
            for one, cases in pairs
        )


def recipe(
    compositions: Sequence[Composition], compression: Compression, engine: EngineSettings, *, tested: bool
) -> Recipe:
    """Return what an image is made of, and by which kind of engine: two of them give one tree and two digests."""
    cases = [smoke_cases(one, emulated=engine.emulates(one.plan.platform)) for one in compositions] if tested else []
    return Recipe(tuple(compositions), tuple(cases), compression, engine.name)


def remember(made: Recipe, result: Result, settings: Settings) -> None:
    """Keep the result of a recipe; a cache that cannot be written keeps nothing."""
    content = {"digest": result.digest, "manifests": dict(result.manifests)}
    try:
        write_text(_path(made, settings), json.dumps(content))
    except AgcError:
        return


async def recall(wanted: Recipe, output: Output, settings: Settings, destinations: Destinations) -> Result | None:
    """Return the result of a recipe where its image is still where `output` wants it, in one of `destinations`."""
    if output.kind is OutputKind.DOCKER:
        return None
    try:
        content = json.loads(_path(wanted, settings).read_bytes())
        result = Result(Digest(content["digest"]), {name: Digest(one) for name, one in content["manifests"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    name = wanted.compositions[0].plan.name
    if not holds(output.layout(settings.cache), name, result.digest):
        return None
    if output.kind is OutputKind.PUSH:
        repository, _ = destinations.repository(output.target, name)
        return result if await _tagged(repository) == result.digest else None
    return result


async def _tagged(repository: Repository) -> Digest | None:
    """Return what the tag of a repository names; None where that cannot be found out, which a push will."""
    try:
        return await repository.digest_of("latest")
    except AgcError:
        return None


def _passed(case: SmokeCase) -> SmokeResult:
    place = case.state.location
    return SmokeResult(case.component, case.name, passed=True, cached=True, location=place, depth=case.depth)


def _path(made: Recipe, settings: Settings) -> Path:
    return settings.cache / "results" / f"{hex_of(made.key)}.json"
