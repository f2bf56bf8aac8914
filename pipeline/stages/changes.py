"""What is planned beside what was published: which images are new or changed, why, what else moves, what is pulled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from pipeline.catalog.record import Catalog
from pipeline.stages.pull import Pull, Sizes, largest
from pipeline.stages.reasons import Reason, ReasonKind, why
from pipeline.stages.report import PlannedImage


class Standing(StrEnum):
    """How a planned image stands to the published one."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class ImageChange:
    """A planned image, why it is not the published one, and what its users pull, by platform."""

    image: PlannedImage
    standing: Standing
    reasons: tuple[Reason, ...]
    pulls: Mapping[str, Pull]

    @property
    def name(self) -> str:
        """The image's name."""
        return self.image.name

    @property
    def pull(self) -> Pull:
        """What a user pulls, on the platform where that is most."""
        return largest(self.pulls.values())

    def as_json(self) -> dict[str, Any]:
        """Return the object `agc plan --json` prints for it."""
        document = self.image.as_json()
        for platform in document["platforms"]:
            platform["pull"] = self.pulls[platform["platform"]].as_json()
        reasons = [reason.as_json() for reason in self.reasons]
        return {**document, "state": self.standing, "reasons": reasons, "pull": self.pull.as_json()}


@dataclass(frozen=True, slots=True)
class Move:
    """A component that moved, in how many ways, and every planned image that moves with it."""

    component: str
    texts: tuple[str, ...]
    images: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object `agc plan --json` prints for it."""
        return {"component": self.component, "texts": list(self.texts), "images": list(self.images)}


@dataclass(frozen=True)
class Comparison:
    """Planned images beside published ones; `against` names what they were compared with.

    `recorded` says whether there was anything to compare with, `gone` what is published and no longer planned.
    """

    against: str
    recorded: bool
    images: tuple[ImageChange, ...]
    gone: tuple[str, ...]
    total: Pull

    def named(self, standing: Standing) -> tuple[str, ...]:
        """Return the names of the images that stand so."""
        return tuple(change.name for change in self.images if change.standing is standing)

    @property
    def to_build(self) -> tuple[str, ...]:
        """The names of all images that are new or changed."""
        return tuple(change.name for change in self.images if change.standing is not Standing.UNCHANGED)

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """Every component that moved, in the order in which images hold them."""
        texts: dict[str, dict[str, None]] = {}
        images: dict[str, dict[str, None]] = {}
        for change in self.images:
            for reason in change.reasons:
                if reason.moves:
                    texts.setdefault(reason.component, {})[reason.text] = None
                    images.setdefault(reason.component, {})[change.name] = None
        return tuple(Move(component, tuple(texts[component]), tuple(images[component])) for component in texts)

    def as_json(self, *, changed_only: bool = False) -> dict[str, Any]:
        """Return the object of `agc plan --json`."""
        return {
            "images": [change.as_json() for change in self.shown(changed_only=changed_only)],
            "against": self.against,
            "changed": list(self.named(Standing.CHANGED)),
            "new": list(self.named(Standing.NEW)),
            "gone": list(self.gone),
            "moves": [move.as_json() for move in self.moves],
            "pull": self.total.as_json(),
        }

    def shown(self, *, changed_only: bool) -> Iterator[ImageChange]:
        """Yield the images to show: all, or those that are new or changed."""
        return (change for change in self.images if not changed_only or change.standing is not Standing.UNCHANGED)


def compare(
    planned: Sequence[PlannedImage], catalog: Catalog | None, against: str, *, whole: bool, to: str = ""
) -> Comparison:
    """Compare images with the published ones; pure.

    `whole` says that these are all images of the project, so that what is recorded beside them is gone. With `to`, a
    registry namespace, an image that is not there yet counts as changed.
    """
    known = catalog or Catalog()
    sizes = Sizes(known.images)
    changes = tuple(_change(image, known, sizes, to) for image in planned)
    names = {image.name for image in planned}
    by_platform: dict[str, list[Any]] = {}
    for image in planned:
        for platform in image.platforms:
            by_platform.setdefault(platform.platform, []).append(platform)
    return Comparison(
        against=against,
        recorded=bool(known.images),
        images=changes,
        gone=tuple(sorted(known.images.keys() - names)) if whole else (),
        total=largest(sizes.of_all(platforms) for platforms in by_platform.values()),
    )


def _change(image: PlannedImage, catalog: Catalog, sizes: Sizes, to: str) -> ImageChange:
    record = catalog.images.get(image.name)
    reasons = why(image, record, catalog.contents)
    if to and record and f"{to}/{image.name}" not in record.repositories:
        reasons = (*reasons, Reason(ReasonKind.ELSEWHERE, f"not in {to} yet", new=to))
    standing = Standing.NEW if record is None else Standing.CHANGED if reasons else Standing.UNCHANGED
    pulls = {one.platform: sizes.of_image(one, image.name) for one in image.platforms}
    return ImageChange(image, standing, reasons, pulls)
