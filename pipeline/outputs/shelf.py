"""The images of a catalog as a reader looks for them: agent, base, capabilities, day, size, and the commands to copy.

Rules kept here:

- what was published comes from the catalog alone; definitions add what is not published yet, and what toolchains do;
- nothing is asked of a clock: the day of an image is that of its newest dated tag, and a reader's browser knows today.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.catalog.record import ImageRecord, LayerRecord
from pipeline.outputs.subject import Subject
from pipeline.resolve.matrix import Combination

_DAY = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Item:
    """An image on the shelf; `repository` is empty for one that was not published, `layers` are those of a platform.

    `verify` are commands that check it, `notes` what else there is to say of it.
    """

    name: str
    base: str
    agent: str = ""
    version: str = ""
    toolpack: str = ""
    capabilities: tuple[str, ...] = ()
    day: str = ""
    repository: str = ""
    digest: str = ""
    tags: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    layers: tuple[LayerRecord, ...] = ()
    verify: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all layers, compressed."""
        return sum(layer.size for layer in self.layers)

    @property
    def tag(self) -> str:
        """The tag a person would name: `latest` where it has that."""
        return "latest" if "latest" in self.tags or not self.tags else self.tags[0]

    @property
    def get(self) -> str:
        """The command that gets the image: pulls it, or builds it where it was not published."""
        return f"docker pull {self.repository}:{self.tag}" if self.repository else f"agc build {self.name} -o docker"


def shelf(subject: Subject) -> tuple[Item, ...]:
    """Return every image that was published or is one of the project, ordered by name."""
    toolchains = {name: tuple(one.model.spec.provides) for name, one in subject.project.definitions.toolchains.items()}
    planned = {one.name: one for one in subject.project.combinations if not one.reason}
    found = {name: _planned(one, toolchains) for name, one in planned.items()}
    found |= {
        name: _published(name, image, toolchains, planned.get(name)) for name, image in subject.catalog.images.items()
    }
    return tuple(found[name] for name in sorted(found))


def day_of(tags: Iterable[str]) -> str:
    """Return the newest day that any of these tags names, as `2026-11-21`; "" where none does."""
    days = [f"{match[1]}-{match[2]}-{match[3]}" for tag in tags if (match := _DAY.match(tag))]
    return max(days, default="")


def _planned(item: Combination, toolchains: Mapping[str, tuple[str, ...]]) -> Item:
    parts = item.parts
    return Item(
        item.name,
        parts.base.name,
        parts.agent.name if parts.agent else "",
        toolpack=parts.toolpack.name if parts.toolpack else "",
        capabilities=_capabilities(parts.base.model.spec.toolchains, toolchains),
        platforms=item.platforms,
    )


def _published(
    name: str, image: ImageRecord, toolchains: Mapping[str, tuple[str, ...]], planned: Combination | None
) -> Item:
    first = next((image.platforms[key] for key in sorted(image.platforms)), None)
    layers = first.layers if first else ()
    named: dict[str, list[LayerRecord]] = {}
    for layer in layers:
        named.setdefault(layer.component.partition("/")[0], []).append(layer)
    agent = next(iter(named.get("agents", ())), None)
    toolpack = next(iter(named.get("toolpacks", ())), None)
    on = [layer.component.partition("/")[2] for layer in named.get("toolchains", ())]
    # A toolchain that an agent brings is off PATH: where the definition is known, it says which are on it.
    on = [one for one in on if planned is None or one in planned.parts.base.model.spec.toolchains]
    program = agent or toolpack
    return Item(
        name,
        next((layer.component.partition("/")[2] for layer in named.get("bases", ())), ""),
        agent.component.partition("/")[2] if agent else "",
        program.version if program else "",
        toolpack.component.partition("/")[2] if toolpack else "",
        _capabilities(on, toolchains),
        day_of(image.tags),
        image.repositories[0] if image.repositories else "",
        image.digest,
        image.tags,
        tuple(sorted(image.platforms)),
        layers,
        image.verify,
        tuple(_notes(image)),
    )


def _notes(image: ImageRecord) -> Iterator[str]:
    """Yield what else the catalog says of an image: licences, tests it passed, evidence, and what is newer by now."""
    for component, licence in sorted(image.licences.items()):
        yield f"Licence of {component}: {licence.name} ({licence.publish})"
    if depths := dict.fromkeys(depth for key in sorted(image.platforms) for depth in image.platforms[key].smoke):
        yield f"Smoke tests passed: {', '.join(depths)}"
    if claims := sorted({f"{one.predicate_type}{' (signed)' if one.signed else ''}" for one in image.evidence}):
        yield f"Evidence: {', '.join(claims)}"
    for component, newest in sorted(image.upstream.items()):
        if newest.reason:
            yield f"Newest of {component}: {newest.version}; {newest.reason}"


def _capabilities(names: Iterable[str], toolchains: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({capability for name in names for capability in toolchains.get(name, (name,))}))
