"""Pictures of the idea of layers, as SVG: a chain of steps, and the layers of this project with the images they are in.

They bring their own background, so they can be read on a light page and on a dark one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from math import cos, radians, sin

from pipeline.outputs.subject import Subject
from pipeline.resolve.capabilities import brought, provided
from pipeline.resolve.matrix import Combination

_FONT = "font-family='system-ui, sans-serif'"
_INK, _FAINT, _PAPER, _GRID = "#1f2430", "#5b6474", "#ffffff", "#e3e7ee"
_COLOURS = (
    ("roots", "#5b6474"),
    ("common-tools", "#7a6a3a"),
    ("bases", "#8a5a2b"),
    ("toolchains", "#2f6f4f"),
    ("toolpacks", "#7b3f8c"),
    ("agents", "#2457b8"),
)
_CELL, _ROW, _LABEL = 26, 24, 190
_LEAN = 60  # degrees; a letter of a head is about 6.4 wide
_LETTER = 6.4


def chain_picture(header: str) -> str:
    """Return the picture of two Dockerfiles that differ in their last step: everything after a change is made again."""
    steps = ("root", "packages", "Node.js", "agent")
    body = [_text(24, 34, "Two Dockerfiles: what comes after a change is made again, twice", 15, weight=600)]
    for row, agent in enumerate(("claude", "codex")):
        y = 58 + row * 62
        for at, step in enumerate(steps):
            x = 24 + at * 170
            again = at > 0
            fill, ink = ("#b3372b", "#ffffff") if again else ("#5b6474", "#ffffff")
            label = agent if step == "agent" else step
            body.append(f"<rect x='{x}' y='{y}' width='134' height='42' rx='6' fill='{fill}'/>")
            body.append(_text(x + 67, y + 26, label, 15, ink, anchor="middle"))
            if at:
                body.append(
                    f"<path d='M{x - 34} {y + 21}h26m-7 -6l7 6l-7 6' fill='none' stroke='{_FAINT}' stroke-width='2'/>"
                )
    body.append(_text(24, 200, "red: made again, and pulled again by everybody", 13, _FAINT))
    words = "Two chains of root, packages, Node.js and an agent. A changed package makes Node.js and both agents again."
    return _svg(header, 720, 220, "A Dockerfile is a chain", words, body)


def layer_picture(header: str, subject: Subject) -> str:
    """Return the picture of all layers of a project, and which images each of them is in."""
    images = [item for item in subject.project.combinations if not item.reason and item.parts.programs]
    held = {item.name: tuple(_layers(item, subject)) for item in images}
    order = [folder for folder, _ in _COLOURS]
    layers = sorted({one for found in held.values() for one in found}, key=lambda one: (order.index(one[0]), one[1]))
    longest = _LETTER * max((len(item.name) for item in images), default=0)
    top = 30 + round(longest * sin(radians(_LEAN)))
    width = _LABEL + len(images) * _CELL + max(110, round(longest * cos(radians(_LEAN))))
    height = top + len(layers) * _ROW + 46
    body = list(_heads(images, top))
    for row, layer in enumerate(layers):
        body += _row_of(layer, top + row * _ROW, [layer in held[item.name] for item in images])
    places = sum(len(found) for found in held.values())
    summary = f"{len(images)} images put {places} layers together; only {len(layers)} are ever built."
    body.append(_text(16, height - 16, summary, 14, weight=600))
    return _svg(header, width, height, "Which layer is in which image", summary, body)


def _layers(item: Combination, subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield the layers of an image, lowest first: the folder of what each holds, and its name."""
    parts, definitions, locks = item.parts, subject.project.definitions, subject.project.locks
    spec = parts.base.model.spec
    yield "roots", spec.root
    yield from (("common-tools", name) for name in spec.common_tools)
    yield "bases", parts.base.name
    yield from (("toolchains", name) for name in spec.toolchains)
    there = provided(parts.base, definitions, locks)
    for program in parts.programs:
        yield from (("toolchains", name) for name in brought(program, parts.base, there, definitions))
    if parts.toolpack:
        yield "toolpacks", parts.toolpack.name
    if parts.agent:
        yield "agents", parts.agent.name


def _heads(images: Iterable[Combination], top: int) -> Iterator[str]:
    for at, item in enumerate(images):
        x = _LABEL + at * _CELL + _CELL // 2
        yield _text(x + 4, top - 12, item.name, 12, turn=-_LEAN)


def _row_of(layer: tuple[str, str], y: int, marks: list[bool]) -> Iterator[str]:
    folder, name = layer
    colour = dict(_COLOURS)[folder]
    yield f"<path d='M16 {y + _ROW - 2}H{_LABEL + len(marks) * _CELL}' stroke='{_GRID}'/>"
    yield f"<rect x='16' y='{y + 5}' width='10' height='10' rx='2' fill='{colour}'/>"
    yield _text(34, y + 15, f"{folder}/{name}", 12)
    for at, there in enumerate(marks):
        if there:
            x = _LABEL + at * _CELL + 3
            yield f"<rect x='{x}' y='{y + 1}' width='{_CELL - 6}' height='{_ROW - 6}' rx='4' fill='{colour}'/>"
    yield _text(_LABEL + len(marks) * _CELL + 8, y + 15, f"in {sum(marks)}", 12, _FAINT)


def _text(
    x: int, y: int, words: str, size: int, fill: str = _INK, *, anchor: str = "start", turn: int = 0, weight: int = 400
) -> str:
    turned = f" transform='rotate({turn} {x} {y})'" if turn else ""
    look = f"font-size='{size}' font-weight='{weight}' fill='{fill}' text-anchor='{anchor}'"
    return f"<text x='{x}' y='{y}' {look}{turned}>{escape(words)}</text>"


def _svg(header: str, width: int, height: int, title: str, words: str, body: Iterable[str]) -> str:
    size = f"viewBox='0 0 {width} {height}' width='{width}' height='{height}'"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} role='img' {_FONT}>"
    paper = f"<rect width='{width}' height='{height}' rx='8' fill='{_PAPER}'/>"
    lines = [header, head, f"<title>{escape(title)}</title>", f"<desc>{escape(words)}</desc>", paper, *body, "</svg>"]
    return "\n".join(lines) + "\n"
