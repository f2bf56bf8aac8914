"""Settle which release of a package of PyPI, or of a registry image, is locked."""

from __future__ import annotations

from datetime import datetime

from packaging.version import Version

from pipeline.errors import ResolveError
from pipeline.models.packages import ImageFiles, PypiPackage
from pipeline.resolve.cooldown import Caution, Decision, decide
from pipeline.resolve.oci import image_settings, resolve_image
from pipeline.resolve.pins import ImageFilesPin, PackagePin, PypiPin
from pipeline.resolve.pypi import Resolved, resolve_pypi
from pipeline.resolve.release import Part, Release
from pipeline.settings import PYPI_FILES
from pipeline.stages.project import Project
from pipeline.stages.settling import Place
from pipeline.stages.upgrade import taken
from pipeline.stages.workbench import Workbench


async def settle_pypi(
    package: PypiPackage, place: Place[PackagePin], caution: Caution, project: Project, bench: Workbench
) -> tuple[Decision, PypiPin]:
    """Return what was decided of a package of PyPI, and its pin.

    Its dependencies wait as it does. Raises RefusedError, ResolveError.
    """
    locked = place.pin if isinstance(place.pin, PypiPin) else None
    kept = locked if place.current else None
    by_hand = package.version[0].isdigit()
    # An index that is mirrored may name its own files or the public ones.
    files = tuple(dict.fromkeys((bench.settings.mirrored(PYPI_FILES), PYPI_FILES)))

    async def resolved(before: datetime | None) -> Resolved:
        with bench.reporter.stage("resolve"):
            return await resolve_pypi(
                package, project.platforms, bench.compile_python, files, place.location, before=before
            )

    newest = await resolved(None)
    found = {newest.pin.version: newest}
    if caution.cutoff and not by_hand:
        try:
            settled = await resolved(caution.cutoff)
        except ResolveError:
            found = {newest.pin.version: newest}
        else:
            found |= {settled.pin.version: settled}
    now = Version(kept.version) if kept else None
    decision = decide(
        package.pypi,
        [_release(one) for one in found.values() if now is None or Version(one.pin.version) > now],
        caution,
        locked=Release(package.pypi, locked.version) if locked else None,
        fits=kept is not None,
        by_hand=by_hand,
    )
    version = taken(place.component, decision, place.location).version
    if kept and (version not in found or _goes_back(kept, found[version].pin)):
        return decision, kept
    return decision, found[version].pin


async def settle_image(
    package: ImageFiles, place: Place[PackagePin], caution: Caution, project: Project, bench: Workbench
) -> tuple[Decision, ImageFilesPin]:
    """Return what was decided of a registry image, and its pin; raises RefusedError, ResolveError."""
    locked = place.pin if isinstance(place.pin, ImageFilesPin) else None
    kept = locked if place.current else None
    ref = bench.settings.mirrored(package.image)
    try:
        async with bench.http_client() as client:
            image = await resolve_image(ref, project.platforms, client)
            settings = await image_settings(ref, next(iter(image.platforms.values())), client)
    except ResolveError as error:
        error.location = place.location
        error.remedy = f"if this machine cannot reach it, give a mirror of {package.name} in agc.toml, under [mirrors]"
        raise
    version = settings.variables.get(package.version_from)
    if not version:
        has = ", ".join(sorted(settings.variables)) or "none"
        text = f"{package.image} does not say its version in {package.version_from}; its variables: {has}"
        raise ResolveError(text, location=place.location, remedy="name another under `versionFrom`")
    release = Release(package.name, version, (Part(package.name, settings.created),))
    moved = kept is None or kept.index != image.index
    before = Release(package.name, locked.version) if locked else None
    # Who names an image takes what its tag says; only how long it has said so is asked.
    found = decide(package.name, [release] if moved else [], caution, locked=before, fits=kept is not None)
    if kept and taken(place.component, found, place.location) != release:
        return found, kept
    return found, ImageFilesPin(image=package.name, version=version, index=image.index)


def _release(found: Resolved) -> Release:
    name = found.pin.pypi
    return Release(name, found.pin.version, (Part(name, found.published),))


def _goes_back(before: PypiPin, after: PypiPin) -> bool:
    """Tell whether a lock of the same version would get any dependency in an older version."""
    now = {wheel.package: Version(wheel.version) for wheel in after.wheels}
    return before.version == after.version and any(
        wheel.package in now and now[wheel.package] < Version(wheel.version) for wheel in before.wheels
    )
