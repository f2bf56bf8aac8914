"""The catalog as a page: one HTML file that is a complete list by itself, one style sheet, one script.

The script finds what it needs in the page, so that the page works from a disk; nothing is asked of any other host, and
the page's own policy forbids it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pipeline.catalog.record import LayerRecord
from pipeline.outputs.generated import Generated
from pipeline.outputs.shelf import Item, shelf
from pipeline.outputs.subject import Subject
from pipeline.outputs.templates import render

PAGE = "index.html"
_STATIC = ("catalog.css", "catalog.js")
_FOLDER = "catalog"
_ORDER = ("roots", "common-tools", "bases", "toolchains", "toolpacks", "agents")
_WIDTH = 1000
_MEGA, _GIGA = 1_000_000, 1_000_000_000
_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


class Block(NamedTuple):
    """A piece of the picture of all layers: where it begins, how wide it is, of which kind, and what it is."""

    x: float
    width: float
    kind: str
    title: str


class Sharing(NamedTuple):
    """What sharing layers saves: bytes of all images one by one, bytes of each layer once, and the pictures' pieces.

    `kinds` are drawn to the scale of all images, `blocks` enlarged to the whole width.
    """

    apart: int
    once: int
    layers: int
    kinds: tuple[Block, ...]
    blocks: tuple[Block, ...]


def catalog_page(subject: Subject) -> tuple[Generated, ...]:
    """Return the files of the page, to be put beside each other."""
    items = shelf(subject)
    text = render(
        subject.templates,
        f"{_FOLDER}/{PAGE}.j2",
        items=items,
        agents=_distinct(item.agent for item in items),
        bases=_distinct(item.base for item in items),
        capabilities=_distinct(one for item in items for one in item.capabilities),
        published=sum(bool(item.repository) for item in items),
        sharing=sharing(items),
        size=size,
        data=json.dumps(_data(items), separators=(",", ":"), sort_keys=True).translate(_UNSAFE),
        width=_WIDTH,
    )
    static = (Generated(name, (subject.templates / _FOLDER / name).read_text(encoding="utf-8")) for name in _STATIC)
    return (Generated(PAGE, text), *static)


def size(number: int) -> str:
    """Return a number of bytes in megabytes, or gigabytes where those are many."""
    return f"{number / _GIGA:.1f} GB" if number >= _GIGA else f"{number / _MEGA:.1f} MB"


def sharing(items: Iterable[Item]) -> Sharing | None:
    """Return what sharing layers saves, None where nothing was published."""
    found: dict[str, LayerRecord] = {}
    used: Counter[str] = Counter()
    apart = 0
    for item in items:
        apart += item.size
        for layer in item.layers:
            found.setdefault(layer.digest, layer)
            used[layer.digest] += 1
    once = sum(layer.size for layer in found.values())
    if not apart:
        return None
    order = sorted(found.values(), key=lambda layer: (_ORDER.index(_kind(layer)), layer.component, layer.digest))
    parts = [(_kind(layer), layer.size, _words(layer, used[layer.digest])) for layer in order]
    kinds = [
        (kind, sum(one.size for one in order if _kind(one) == kind), kind) for kind in dict.fromkeys(map(_kind, order))
    ]
    return Sharing(apart, once, len(found), tuple(_blocks(kinds, apart)), tuple(_blocks(parts, once)))


def _blocks(parts: Iterable[tuple[str, int, str]], whole: int) -> Iterator[Block]:
    """Yield pieces side by side, as wide as their share of `whole`."""
    x = 0.0
    for kind, number, words in parts:
        width = number / whole * _WIDTH
        yield Block(round(x, 2), round(width, 2), kind, f"{words}: {size(number)}")
        x += width


def _kind(layer: LayerRecord) -> str:
    kind = layer.component.partition("/")[0]
    return kind if kind in _ORDER else _ORDER[0]


def _words(layer: LayerRecord, images: int) -> str:
    return f"{layer.component} {layer.version}".rstrip() + f", in {images} image{'s' if images > 1 else ''}"


def _data(items: Sequence[Item]) -> dict[str, Any]:
    """Return what the script shows when somebody asks: layers once, images by the numbers of theirs."""
    numbers: dict[str, int] = {}
    layers: list[list[Any]] = []
    for item in items:
        for layer in item.layers:
            if layer.digest not in numbers:
                numbers[layer.digest] = len(layers)
                layers.append([layer.component, layer.version, layer.size])
    images = [
        {
            "name": item.name,
            "repository": item.repository,
            "digest": item.digest,
            "tags": list(item.tags),
            "platforms": list(item.platforms),
            "layers": [numbers[layer.digest] for layer in item.layers],
            "verify": list(item.verify),
            "notes": list(item.notes),
        }
        for item in items
    ]
    return {"layers": layers, "images": images}


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))
