"""What a registry would hold of the small project, recorded as a push does it; and locks that moved since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.catalog.record import Catalog, ContentRecord, ImageRecord, LayerRecord, PlatformRecord
from pipeline.compose.image import compose_all
from pipeline.compose.labels import settings_of
from pipeline.digest import Digest, digest_bytes, digest_json
from pipeline.models.defined import Definitions
from pipeline.platform import PLATFORMS, Platform
from pipeline.resolve.lock import Locks
from pipeline.resolve.pins import BootstrapPin, DebPin, PackagesLock, SystemLock
from pipeline.resolve.plan import plan_images
from pipeline.stages.recording import Publication, with_publication
from pipeline.stages.report import PlannedImage, PlannedPlatform, planned_images
from tests.unit.compose.samples import archive, deb_pin, definitions, locks, of_npm

IMAGES = ("node-bun", "node-bun-claude", "node-bun-picky", "plain", "plain-claude")
REPOSITORY = "ghcr.io/me"
FOUND = definitions()


def planned(
    pins: Locks | None = None,
    names: Iterable[str] = IMAGES,
    platforms: Iterable[Platform] = PLATFORMS,
    found: Definitions | None = None,
) -> tuple[PlannedImage, ...]:
    """Return images as they would be built."""
    known = found or FOUND
    return planned_images(compose_all(plan_images(tuple(names), platforms, known, pins or locks(known), "auto")))


def blob_size(graph_digest: Digest) -> int:
    """Return the size of the blob that a layer becomes."""
    return int(graph_digest[-5:], 16) + 1


def published(images: Iterable[PlannedImage], catalog: Catalog | None = None) -> Catalog:
    """Return a catalog after these images were pushed."""
    known = catalog or Catalog()
    for image in images:
        known = with_publication(known, publication_of(image))
    return known


def publication_of(image: PlannedImage) -> Publication:
    """Return what pushing an image leaves to remember."""
    platforms = {one.platform: platform_record(one) for one in image.platforms}
    contents = {
        str(layer.graph_digest): ContentRecord(packages=layer.contents)
        for one in image.platforms
        for layer in one.layers
        if layer.contents or layer.below
    }
    record = ImageRecord(
        digest=digest_json([one.digest for one in platforms.values()]),
        repositories=(f"{REPOSITORY}/{image.name}",),
        tags=("latest",),
        platforms=platforms,
    )
    return Publication(image, record, contents)


def platform_record(platform: PlannedPlatform) -> PlatformRecord:
    """Return an image on one platform, as a registry has it."""
    return PlatformRecord(
        digest=digest_bytes(b"manifest" + platform.graph_digest.encode()),
        config=digest_bytes(b"config" + platform.graph_digest.encode()),
        graph_digest=platform.graph_digest,
        layers=tuple(
            LayerRecord(
                component=layer.component,
                graph_digest=layer.graph_digest,
                digest=digest_bytes(b"blob" + layer.graph_digest.encode()),
                size=blob_size(layer.graph_digest),
                version=layer.version,
                pin=layer.pin,
            )
            for layer in platform.layers
        ),
        settings=settings_of(platform.config),
    )


def moved(pins: Locks, component: str, version: str = "99.9.9") -> Locks:
    """Return locks after the pins of one component moved: its version, its Debian packages, or its digest.

    Common tools move in all bases that have them.
    """
    if component.startswith("common-tools/"):
        for base in pins.bases.values():
            pins = pins.with_lock(_with_newer(base, base.system[0].of_tools[:1], version))
        return pins
    (lock,) = (lock for lock in pins.all() if lock.component == component)
    if isinstance(lock, PackagesLock):
        first = of_npm(lock.packages[0])
        archives = {name: archive(pin.package, version) for name, pin in first.archives.items()}
        newer = first.model_copy(update={"version": version, "archives": archives})
        return pins.with_lock(lock.model_copy(update={"packages": (newer, *lock.packages[1:])}))
    if isinstance(lock, SystemLock):
        return pins.with_lock(_with_newer(lock, lock.system[0].of_base[:1] or (deb_pin("jq"),), version))
    bootstrap: Mapping[str, BootstrapPin] = {
        platform: BootstrapPin(
            digest=digest_bytes(f"{version} {platform}".encode()), packages={"apt": version, "dash": "1"}
        )
        for platform in lock.bootstrap  # type: ignore[attr-defined]  # a root's, as nothing else is left
    }
    return pins.with_lock(lock.model_copy(update={"bootstrap": bootstrap}))


def _with_newer(lock: SystemLock, replaced: Iterable[DebPin], version: str) -> SystemLock:
    names = [pin.name for pin in replaced]
    system = tuple(
        pin.model_copy(
            update={
                "packages": (
                    *(deb_pin(name, version) for name in names),
                    *(one for one in pin.packages if one.name not in names),
                )
            }
        )
        for pin in lock.system
    )
    return lock.model_copy(update={"system": system})
