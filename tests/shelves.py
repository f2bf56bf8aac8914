"""A catalog of as many images as are asked for, with layers that are shared as real ones are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice, product

from pipeline.catalog.record import Catalog, EvidenceRecord, ImageRecord, LayerRecord, LicenceRecord, PlatformRecord
from pipeline.digest import Digest, digest_bytes

BASES = {"node-bun": ("node", "bun"), "python": ("python",), "node-py": ("node", "bun", "python"), "go": ("go",)}
AGENTS = ("claude", "codex", "copilot", "gemini", "openclaw", "opencode")
_DEPTHS = ("presence", "answer", "work")
_CLAIM = "https://slsa.dev/provenance/v1"
_SIZES = {"roots": 42, "common-tools": 28, "bases": 9, "toolchains": 50, "agents": 120}


def catalog_of(count: int, today: date) -> Catalog:
    """Return a catalog of `count` images, the first of which were published `today`, the last months ago."""
    images = dict(islice(_images(today), count))
    return Catalog(images=images)


def _images(today: date) -> Iterator[tuple[str, ImageRecord]]:
    for at, (edition, base, agent) in enumerate(product(range(1000), BASES, AGENTS)):
        on = f"{base}{edition or ''}"
        day = today - timedelta(days=at // 3)
        name = f"{on}-{agent}"
        layers = tuple(_layers(on, base, agent))
        digest = _digest(name)
        platform = PlatformRecord(digest=digest, config=_digest(name, "config"), layers=layers, smoke=_DEPTHS)
        yield (
            name,
            ImageRecord(
                digest=digest,
                repositories=(f"registry.example/agents/{name}",),
                tags=("latest", f"{day:%Y.%m.%d}", f"2.{at}"),
                platforms={"linux/amd64": platform, "linux/arm64": platform},
                licences={f"agents/{agent}": LicenceRecord(name="MIT", publish="baked")},
                evidence=(
                    EvidenceRecord(predicate_type=_CLAIM, subject=digest, digest=_digest(name, "x"), signed=True),
                ),
                verify=(f"agc verify registry.example/agents/{name}@{digest} --key cosign.pub",),
            ),
        )


def _layers(on: str, base: str, agent: str) -> Iterator[LayerRecord]:
    yield _layer("roots/debian-trixie", "trixie")
    yield _layer("common-tools/default")
    yield _layer(f"bases/{on}")
    yield from (_layer(f"toolchains/{name}", "26.10.0") for name in BASES[base])
    yield _layer(f"agents/{agent}", "2.1.330")


def _layer(component: str, version: str = "") -> LayerRecord:
    folder = component.partition("/")[0]
    size = _SIZES[folder] * 1_000_000 + sum(component.encode()) * 1_000
    digest = _digest(component)
    return LayerRecord(component=component, graph_digest=digest, digest=digest, size=size, version=version)


def _digest(*words: str) -> Digest:
    return digest_bytes("/".join(words).encode())
