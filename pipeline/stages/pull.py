"""How many bytes a user pulls, from what is planned and what is recorded.

A layer with a graph digest that is recorded under any image has a known size. Another one is taken to be as large as
the layer it replaces, and the sum is then an estimate. Manifests and configs, a few kilobytes, are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from pipeline.catalog.record import ImageRecord, PlatformRecord, layer_sizes
from pipeline.digest import Digest
from pipeline.stages.report import PlannedLayer, PlannedPlatform


class Accuracy(StrEnum):
    """How far a number of bytes can be relied on; a sum is as good as the worst of its parts."""

    EXACT = "exact"
    ESTIMATE = "estimate"
    UNKNOWN = "unknown"


_WORSE = tuple(Accuracy)


@dataclass(frozen=True, slots=True)
class Pull:
    """Bytes that are pulled; where some of it is not even known roughly, those of the rest."""

    size: int = 0
    accuracy: Accuracy = Accuracy.EXACT

    def plus(self, other: Pull) -> Pull:
        """Return both together."""
        return Pull(self.size + other.size, max(self.accuracy, other.accuracy, key=_WORSE.index))

    def as_json(self) -> dict[str, Any]:
        """Return the object `--json` prints."""
        return {"bytes": self.size, "accuracy": self.accuracy}


@dataclass(frozen=True)
class Sizes:
    """What is known of the sizes of layers from all recorded images."""

    images: Mapping[str, ImageRecord]

    @cached_property
    def _exact(self) -> Mapping[Digest, int]:
        return {digest: size for _, one in self._platforms() for digest, size in layer_sizes(one.layers).items()}

    @cached_property
    def _alike(self) -> Mapping[tuple[str, str], int]:
        """The largest recorded layer of each component on each platform, and under "" on any."""
        found: dict[tuple[str, str], int] = {}
        for platform, one in self._platforms():
            sizes = layer_sizes(one.layers)
            for layer in one.layers:
                for key in ((layer.component, platform), (layer.component, "")):
                    found[key] = max(found.get(key, 0), sizes[layer.graph_digest])
        return found

    @cached_property
    def _held(self) -> Mapping[str, frozenset[Digest]]:
        held: dict[str, frozenset[Digest]] = {}
        for platform, one in self._platforms():
            held[platform] = held.get(platform, frozenset()) | {layer.graph_digest for layer in one.layers}
        return held

    def of_image(self, planned: PlannedPlatform, name: str) -> Pull:
        """Return what a user of the recorded image `name` pulls, all of it where there is none."""
        record = self.images.get(name)
        before = record.platforms.get(planned.platform) if record else None
        if before and before.graph_digest == planned.graph_digest:
            return Pull()
        held = {layer.graph_digest for layer in before.layers} if before else set()
        return self._sum(planned.layers, held, planned.platform, before)

    def of_all(self, planned: Iterable[PlannedPlatform]) -> Pull:
        """Return what is pulled by somebody who has every recorded image on the one platform of all `planned`."""
        total = Pull()
        seen: set[Digest] = set()
        for one in planned:
            held = self._held.get(one.platform, frozenset()) | seen
            total = total.plus(self._sum(one.layers, held, one.platform, None))
            seen.update(layer.graph_digest for layer in one.layers)
        return total

    def _sum(
        self,
        layers: Iterable[PlannedLayer],
        held: Iterable[Digest],
        platform: str,
        before: PlatformRecord | None,
    ) -> Pull:
        known = frozenset(held)
        wanted = {layer.graph_digest: layer for layer in layers if layer.graph_digest not in known}
        total = Pull()
        for layer in wanted.values():
            total = total.plus(self._of_layer(layer, platform, before))
        return total

    def _of_layer(self, layer: PlannedLayer, platform: str, before: PlatformRecord | None) -> Pull:
        if layer.graph_digest in self._exact:
            return Pull(self._exact[layer.graph_digest])
        replaced = [one.size for one in before.layers if one.component == layer.component] if before else []
        alike = self._alike.get((layer.component, platform)) or self._alike.get((layer.component, ""))
        size = sum(replaced) or alike
        return Pull(size, Accuracy.ESTIMATE) if size else Pull(0, Accuracy.UNKNOWN)

    def _platforms(self) -> Iterable[tuple[str, PlatformRecord]]:
        return ((key, one) for image in self.images.values() for key, one in image.platforms.items())


def largest(pulls: Iterable[Pull]) -> Pull:
    """Return the most that the user of one platform pulls, as good as the worst: nobody pulls two."""
    known = tuple(pulls)
    accuracy = max((pull.accuracy for pull in known), key=_WORSE.index, default=Accuracy.EXACT)
    return Pull(max((pull.size for pull in known), default=0), accuracy)
