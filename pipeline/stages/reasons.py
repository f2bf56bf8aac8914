"""Why an image is not what was published: pure functions over what is planned and what is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pipeline.catalog.record import ContentRecord, ImageRecord, LayerRecord, PlatformRecord
from pipeline.compose.labels import settings_of
from pipeline.stages.report import PlannedImage, PlannedLayer, PlannedPlatform

_SHOWN_PACKAGES = 3
_SHORT = len("sha256:") + 12


def called(component: str) -> str:
    """Return how people call a component: `agents/claude` is `agent claude`."""
    folder, _, name = component.partition("/")
    return f"common tools {name}" if folder == "common-tools" else f"{folder.removesuffix('s')} {name}"


class ReasonKind(StrEnum):
    """What sort of thing moved."""

    NEW = "new"
    PLATFORM = "platform"
    UNLABELLED = "unlabelled"
    VERSION = "version"
    PACKAGES = "packages"
    PIN = "pin"
    BELOW = "below"
    DEFINITION = "definition"
    ADDED = "added"
    REMOVED = "removed"
    ORDER = "order"
    CONFIG = "config"
    ELSEWHERE = "elsewhere"


_MOVES = frozenset({ReasonKind.VERSION, ReasonKind.PACKAGES, ReasonKind.PIN, ReasonKind.BELOW, ReasonKind.DEFINITION})


@dataclass(frozen=True, slots=True)
class PackageMove:
    """A package in a layer whose version is another; "" where it was not there, or is no more."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        """Return `name old → new`."""
        if not self.old:
            return f"{self.name} {self.new} added"
        return f"{self.name} {self.old} → {self.new}" if self.new else f"{self.name} removed"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that moved; `platforms` where it holds for some of them only."""

    kind: ReasonKind
    text: str
    component: str = ""
    old: str = ""
    new: str = ""
    packages: tuple[PackageMove, ...] = ()
    platforms: tuple[str, ...] = ()

    @property
    def moves(self) -> bool:
        """Tell whether a component moved, which it does in every image that holds it."""
        return self.kind in _MOVES

    @property
    def brief(self) -> str:
        """The same in few words, for a line that says it of many images."""
        return self.text if self.kind not in _MOVES or self.kind is ReasonKind.VERSION else called(self.component)

    def as_json(self) -> dict[str, Any]:
        """Return the object `--json` prints."""
        return {
            "kind": self.kind,
            "text": self.text,
            "component": self.component or None,
            "old": self.old or None,
            "new": self.new or None,
            "packages": [{"name": one.name, "old": one.old or None, "new": one.new or None} for one in self.packages],
            "platforms": list(self.platforms),
        }


def why(planned: PlannedImage, record: ImageRecord | None, contents: Mapping[str, ContentRecord]) -> tuple[Reason, ...]:
    """Return why `planned` is not what `record` says was published; nothing where it is.

    Platforms that are recorded and not planned are passed over. `contents` is what is known to be in recorded layers.
    """
    if record is None:
        return (Reason(ReasonKind.NEW, "never published"),)
    found: dict[Reason, list[str]] = {}
    for platform in planned.platforms:
        for reason in _on_platform(platform, record.platforms.get(platform.platform), contents):
            found.setdefault(reason, []).append(platform.platform)
    everywhere = len(planned.platforms)
    return tuple(
        reason if len(platforms) == everywhere else replace(reason, platforms=tuple(platforms))
        for reason, platforms in found.items()
    )


def _on_platform(
    planned: PlannedPlatform, record: PlatformRecord | None, contents: Mapping[str, ContentRecord]
) -> Iterator[Reason]:
    if record is None:
        yield Reason(ReasonKind.PLATFORM, f"not published for {planned.platform}", new=planned.platform)
        return
    if record.graph_digest == planned.graph_digest:
        return
    if not record.layers:
        yield Reason(ReasonKind.UNLABELLED, "what is published does not say what it is made of")
        return
    layers = tuple(_layers(planned.layers, record.layers, contents))
    settings = tuple(_settings(settings_of(planned.config), record.settings))
    yield from layers
    yield from settings
    if not layers and not settings:
        # The config holds more than its settings, and a newer program may put more into it.
        yield Reason(ReasonKind.CONFIG, "config written in another way")


def _layers(
    planned: Sequence[PlannedLayer], recorded: Sequence[LayerRecord], contents: Mapping[str, ContentRecord]
) -> Iterator[Reason]:
    before = {layer.component: layer for layer in recorded}
    after = {layer.component: layer for layer in planned}
    moved = {name for name in before.keys() & after if before[name].graph_digest != after[name].graph_digest}
    for name, layer in after.items():
        if name not in before:
            version = f" {layer.version}" if layer.version else ""
            yield Reason(ReasonKind.ADDED, f"{called(name)}{version} added", name, new=layer.version)
        elif name in moved:
            known = contents.get(before[name].graph_digest)
            yield _moved(layer, before[name], known, follows=layer.below in moved)
    for name, old in before.items():
        if name not in after:
            yield Reason(ReasonKind.REMOVED, f"{called(name)} removed", name, old=old.version)
    if [name for name in before if name in after] != [name for name in after if name in before]:
        yield Reason(ReasonKind.ORDER, "layers in another order")


def _moved(new: PlannedLayer, old: LayerRecord, known: ContentRecord | None, *, follows: bool) -> Reason:
    """Return why a layer has another graph digest: the first of what can be told, the most telling first."""
    name, whole = new.component, called(new.component)
    packages = _packages(known.packages, new.contents) if known else ()
    if new.version != old.version:
        text = f"{name.rpartition('/')[2]} {old.version or '(none)'} → {new.version or '(none)'}"
        return Reason(ReasonKind.VERSION, text, name, old.version, new.version, packages)
    if new.pin != old.pin:
        text = f"{whole} {old.pin[:_SHORT]} → {new.pin[:_SHORT]}"
        more = f" ({_listed(packages)})" if packages else ""
        return Reason(ReasonKind.PIN, text + more, name, old.pin, new.pin, packages)
    if packages:
        return Reason(ReasonKind.PACKAGES, f"{whole}: {_listed(packages)}", name, packages=packages)
    if follows:
        also = "" if known or not new.contents else ", its packages perhaps too"
        return Reason(ReasonKind.BELOW, f"{whole} made again on {called(new.below)}{also}", name)
    what = "Debian packages or definition" if new.contents and not known else "definition"
    return Reason(ReasonKind.DEFINITION, f"{what} of {whole} changed", name)


def _packages(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[PackageMove, ...]:
    return tuple(
        PackageMove(name, before.get(name, ""), after.get(name, ""))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _listed(packages: Sequence[PackageMove]) -> str:
    more = len(packages) - _SHOWN_PACKAGES
    shown = ", ".join(str(one) for one in packages[:_SHOWN_PACKAGES])
    return f"{shown}, {more} more" if more > 0 else shown


def _settings(planned: Mapping[str, Any], recorded: Mapping[str, Any]) -> Iterator[Reason]:
    before, after = dict(_flat(recorded)), dict(_flat(planned))
    for name in sorted({*before, *after}):
        old, new = before.get(name, ""), after.get(name, "")
        if name in before and name in after and old != new:
            yield Reason(ReasonKind.CONFIG, f"{name} {old} → {new}", old=old, new=new)
        elif name not in before:
            yield Reason(ReasonKind.CONFIG, f"{name} added", new=new)
        elif name not in after:
            yield Reason(ReasonKind.CONFIG, f"{name} removed", old=old)


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each setting with a name for people and its value as text."""
    for key, value in settings.items():
        match key, value:
            case "Env", list():
                yield from ((f"variable {name}", rest) for name, _, rest in (item.partition("=") for item in value))
            case "Labels", Mapping():
                yield from ((f"label {name}", str(text)) for name, text in value.items())
            case "Volumes" | "ExposedPorts", Mapping():
                yield from ((f"{key.lower().removesuffix('s')} {name}", "") for name in value)
            case _, None:
                pass
            case _, str():
                yield key.lower(), value
            case _:
                yield key.lower(), json.dumps(value, sort_keys=True)
