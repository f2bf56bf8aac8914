"""What a build says about itself: the values behind the summary and behind `--json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.compose.image import Composition, combined_digest
from pipeline.digest import Digest
from pipeline.verify.smoke import SmokeReport


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """A layer as it would be built; `pin`, `contents` and `below` as in `compose.layers.Layer`."""

    component: str
    version: str
    graph_digest: Digest
    pin: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)
    below: str = ""


@dataclass(frozen=True, slots=True)
class PlannedPlatform:
    """An image on one platform as it would be built; `config` is the OCI form of what a runtime is told."""

    platform: str
    graph_digest: Digest
    layers: tuple[PlannedLayer, ...]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """An image as it would be built."""

    name: str
    graph_digest: Digest
    platforms: tuple[PlannedPlatform, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object `agc plan --json` prints for it."""
        return {
            "name": self.name,
            "graphDigest": self.graph_digest,
            "platforms": [
                {
                    "platform": platform.platform,
                    "graphDigest": platform.graph_digest,
                    "layers": [
                        {"component": layer.component, "version": layer.version, "graphDigest": layer.graph_digest}
                        for layer in platform.layers
                    ],
                }
                for platform in self.platforms
            ],
        }


def planned_images(compositions: Iterable[Composition]) -> tuple[PlannedImage, ...]:
    """Return compositions by image, each with its platforms, in the order they come."""
    grouped: dict[str, list[PlannedPlatform]] = {}
    for composition in compositions:
        grouped.setdefault(composition.plan.name, []).append(planned_platform(composition))
    return tuple(
        PlannedImage(
            name,
            combined_digest({platform.platform: platform.graph_digest for platform in platforms}),
            tuple(platforms),
        )
        for name, platforms in grouped.items()
    )


def planned_platform(composition: Composition) -> PlannedPlatform:
    """Return a composition as a value that knows no graph."""
    layers = tuple(
        PlannedLayer(one.component, one.version, one.state.digest, one.pin, one.contents, one.below)
        for one in composition.layers
    )
    config = composition.document["config"]
    return PlannedPlatform(str(composition.plan.platform), composition.graph_digest, layers, config)


@dataclass(frozen=True, slots=True)
class LayerReport:
    """A layer of a built image; `size` in bytes as stored, `cached` when nothing had to be built for it."""

    component: str
    digest: Digest
    size: int
    cached: bool


@dataclass(frozen=True, slots=True)
class PlatformReport:
    """An image on one platform."""

    platform: str
    digest: Digest
    graph_digest: Digest
    layers: tuple[LayerReport, ...]


@dataclass(frozen=True, slots=True)
class ImageReport:
    """A built image; `seconds` is wall time per stage, `outputs` where it went, `command` how to run it.

    It is `tested` unless its smoke tests were left out on purpose.
    """

    name: str
    digest: Digest
    graph_digest: Digest
    platforms: tuple[PlatformReport, ...]
    smoke: tuple[SmokeReport, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    command: str = ""
    tested: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the object of the CLI contract, with what people need beside it."""
        return {
            "name": self.name,
            "digest": self.digest,
            "graphDigest": self.graph_digest,
            "platforms": [
                {
                    "platform": platform.platform,
                    "digest": platform.digest,
                    "graphDigest": platform.graph_digest,
                    "layers": [
                        {
                            "component": layer.component,
                            "digest": layer.digest,
                            "size": layer.size,
                            "cached": layer.cached,
                        }
                        for layer in platform.layers
                    ],
                }
                for platform in self.platforms
            ],
            "smoke": {
                "passed": sum(report.passed for report in self.smoke),
                "failed": sum(len(report.failures) for report in self.smoke),
                **({} if self.tested else {"skipped": True}),
            },
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
            "outputs": list(self.outputs),
            "command": self.command,
        }
