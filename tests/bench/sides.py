"""What the two sides have in common: the images, what goes into them, and how a side is asked to build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.digest import Digest
from tests.bench.machine import Registry
from tests.bench.measure import Layers, Step

BASES = ("node-bun", "node-py", "own-node")
AGENTS = ("claude", "codex", "copilot", "openclaw")
BUMPED = "claude"


def image_name(base: str, agent: str = "") -> str:
    """Return the name of an image, on either side."""
    return f"{base}-{agent}" if agent else base


def matrix() -> Iterator[str]:
    """Yield the names of all images that have an agent."""
    yield from (image_name(base, agent) for base in BASES for agent in AGENTS)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What decides what the images hold: the root's digest, and a version of the agent that is bumped."""

    root: Digest
    version: str


@dataclass(frozen=True, slots=True)
class Built:
    """What a side says of a build: digest of each image, wall time of its stages and steps."""

    digests: Mapping[str, str]
    stages: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()


class Side(Protocol):
    """One of the two."""

    name: str

    @property
    def registry(self) -> Registry:
        """The registry it pushes to."""
        ...

    def forget(self) -> None:
        """Forget what was published and built; this is not measured."""

    def take(self, inputs: Inputs) -> None:
        """Make ready to build with `inputs`; this is not measured."""

    def build(self, images: Sequence[str], logs: Path) -> Built:
        """Build and push `images`, and leave what was said in the folder `logs`."""
        ...


def pulled(side: Side, images: Sequence[str]) -> Layers:
    """Return what `images` consist of, as the registry of a side has them."""
    return {image: side.registry.layers(f"{side.name}/{image}") for image in images}
