"""What a build says about itself: the values behind the summary and behind `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.digest import Digest
from pipeline.verify.smoke import SmokeReport


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
    """A built image; `seconds` is wall time per stage, `outputs` where it went, `command` how to run it."""

    name: str
    digest: Digest
    graph_digest: Digest
    platforms: tuple[PlatformReport, ...]
    smoke: tuple[SmokeReport, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    command: str = ""

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
            },
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
            "outputs": list(self.outputs),
            "command": self.command,
        }
