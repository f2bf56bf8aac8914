"""The page of all images, and which agent fits which base, with the reasons."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.outputs.docs.markdown import code, prose, section, table
from pipeline.outputs.subject import Subject
from pipeline.resolve.matrix import Combination


def image_page(subject: Subject) -> Iterator[str]:
    """Yield the lines of the page of images."""
    found = subject.project.combinations
    yield "# Images"
    yield ""
    yield "Every image of this project, with the versions that are locked. `agc build NAME` makes one of them."
    yield ""
    rows = (_row(item, subject) for item in found if not item.reason)
    yield from table(("Image", "Base", "Agent", "Version", "Toolpack", "Tier", "Platforms"), rows)
    yield from section("Which agent runs on which base", _grid(found))
    others = ((code(item.name), prose(item.reason), _place(item)) for item in found if item.reason)
    yield from section("Why others are no images", table(("Pair", "Because", "Said in"), others))


def _row(item: Combination, subject: Subject) -> tuple[str, ...]:
    parts, locks = item.parts, subject.project.locks
    lock = None
    if parts.agent:
        lock = locks.agents.get(parts.agent.name)
    elif parts.toolpack:
        lock = locks.toolpacks.get(parts.toolpack.name)
    return (
        code(item.name),
        f"[{parts.base.name}](bases/{parts.base.name}.md)",
        f"[{parts.agent.name}](agents/{parts.agent.name}.md)" if parts.agent else "",
        code(lock.version) if lock else "",
        f"[{parts.toolpack.name}](toolpacks/{parts.toolpack.name}.md)" if parts.toolpack else "",
        item.tier,
        ", ".join(item.platforms),
    )


def _grid(found: tuple[Combination, ...]) -> Iterator[str]:
    pairs = {
        (one.parts.base.name, one.parts.agent.name): one for one in found if one.parts.agent and not one.parts.toolpack
    }
    bases = sorted({base for base, _ in pairs})
    agents = sorted({agent for _, agent in pairs})
    if pairs:
        yield "“yes”: an image of this project. “by name”: it fits, and is made when it is asked for. “no”: see below."
        yield ""
    yield from table(
        ("Base", *(f"[{agent}](agents/{agent}.md)" for agent in agents)),
        ((f"[{base}](bases/{base}.md)", *(_mark(pairs[base, agent]) for agent in agents)) for base in bases),
    )


def _mark(item: Combination) -> str:
    if not item.reason:
        return "yes"
    return "by name" if item.can_be_named else "no"


def _place(item: Combination) -> str:
    # What this package ships lies elsewhere on each machine.
    place = item.location.file if item.location else ""
    return "" if not place or place.startswith("/") else code(place)
