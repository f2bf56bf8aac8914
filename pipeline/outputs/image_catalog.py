"""IMAGE-CATALOG.md: what was published, for people who read it in the repository."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from pipeline.catalog.record import ImageRecord, PlatformRecord
from pipeline.outputs.generated import Generated, header
from pipeline.outputs.subject import Subject
from pipeline.outputs.templates import render

_TEMPLATE = "IMAGE-CATALOG.md.j2"
_DEPTHS = ("presence", "answer", "work")


def image_catalog_files(subject: Subject) -> tuple[Generated, ...]:
    """Return the page of everything in the project's catalog."""
    images = [_told(name, image) for name, image in sorted(subject.catalog.images.items())]
    text = render(
        subject.templates, _TEMPLATE, header=partial(header, "image-catalog", f"templates/{_TEMPLATE}"), images=images
    )
    return (Generated("IMAGE-CATALOG.md", text),)


def _told(name: str, image: ImageRecord) -> dict[str, Any]:
    platforms = [_platform(platform, one) for platform, one in sorted(image.platforms.items())]
    return {
        "name": name,
        "digest": image.digest,
        "repositories": image.repositories,
        "tags": image.tags,
        "platforms": platforms,
        "pulls": [f"{one['name']} ({one['size']})" for one in platforms],
        "contents": _contents(image),
        "licences": [
            f"{component.rpartition('/')[2]}: {one.name} ({one.publish})"
            for component, one in sorted(image.licences.items())
        ],
        "verify": image.verify,
        "notes": list(_notes(image)),
    }


def _notes(image: ImageRecord) -> Iterator[str]:
    if image.reasons:
        yield f"Made anew because: {'; '.join(image.reasons)}."
    if kinds := sorted({one.predicate_type for one in image.evidence}):
        signed = "signed" if any(one.signed for one in image.evidence) else "not signed"
        yield f"Evidence, {signed}: {', '.join(kinds)}."
    if image.waiver:
        yield f"Nobody looked for its vulnerabilities: {image.waiver}."


def _platform(platform: str, record: PlatformRecord) -> dict[str, str]:
    tested = [depth for depth in _DEPTHS if depth in record.smoke]
    return {
        "name": platform,
        "digest": record.digest,
        "size": f"{record.size / 1e6:.1f} MB",
        "tested": ", ".join(tested) or "not recorded",
    }


def _contents(image: ImageRecord) -> list[dict[str, str]]:
    """Return each component with a version, once for all platforms, and what is newest of it where that is known."""
    found: dict[str, dict[str, str]] = {}
    for platform in image.platforms.values():
        for layer in platform.layers:
            if not layer.version:
                continue
            upstream = image.upstream.get(layer.component)
            behind = ""
            if upstream and upstream.version != layer.version:
                since = f", published {upstream.published}" if upstream.published else ""
                behind = f"{upstream.version} is newer{since}" + (f": {upstream.reason}" if upstream.reason else "")
            found[layer.component] = {"name": layer.component, "version": layer.version, "behind": behind}
    return list(found.values())
