"""What each kind of package puts into its component's layer: file actions, and the folders they touch.

Files belong to root and nobody else can write them. Everything is pinned; only wheels need a step that runs, because
BuildKit does not unpack them: pip installs them from locked files, without network, in a base made for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.compose.layers import EPOCH
from pipeline.errors import Location, LockError
from pipeline.graph import Copy, Mkdir, Mount, State, http, image, scratch
from pipeline.graph.ops import ROOT, FileAction
from pipeline.models.packages import ImageFiles, NpmArchive, Package, PypiPackage
from pipeline.platform import Platform
from pipeline.resolve.pins import ArchivePin, ImageFilesPin, NpmPin, PackagePin, PypiPin
from pipeline.settings import NPM_REGISTRY, PYPI_FILES

_ARCHIVE = "archive.tgz"
_FOR_ALL = "u=rwX,go=rX"
_WHEELS = "/run/agc-wheels"

# $1 the environment's folder, then the packages as `name==version`. Scripts name the folder they are installed in, so
# it is made where it will lie. Unchecked hashes: nobody can change the sources of a layer, so nobody need look at them.
# One process: what several workers compile depends on which of them got what, down to the bytes of a .pyc.
# Some packages carry files that are no Python, templates for one, which makes it end badly and matters to nobody.
_INSTALL = r"""
set -eu
umask 022
place=$1; shift
python3 -m venv --without-pip --symlinks "$place"
pip --python "$place/bin/python" install --quiet --no-index --find-links /run/agc-wheels/wheels --no-deps --no-compile \
  --no-cache-dir --no-warn-script-location --disable-pip-version-check --root-user-action ignore "$@"
PYTHONHASHSEED=0 python3 -m compileall -q -j 1 --invalidation-mode unchecked-hash \
  "$place"/lib/python3*/site-packages || true
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a package adds to a layer."""

    actions: tuple[FileAction, ...]
    folders: frozenset[str]


def contents(
    component: str, package: Package, pin: PackagePin, platform: Platform, builder: State | None, location: Location
) -> Contents:
    """Return what `package` puts below `/opt/<component>`; raises LockError where `pin` has nothing for `platform`."""
    match package, pin:
        case NpmArchive(), NpmPin():
            return _npm(component, package, pin, platform, location)
        case PypiPackage(), PypiPin() if builder:
            return _pypi(component, package, pin, platform, builder, location)
        case ImageFiles(), ImageFilesPin():
            return _image(component, package, pin, location)
        case _:
            text = f"{component}: {package.name} is locked as something else"
            raise LockError(text, location=location, remedy="agc lock")


def _place(component: str, below: str) -> str:
    return f"/opt/{component}/{below}".rstrip("/")


def _npm(component: str, package: NpmArchive, pin: NpmPin, platform: Platform, location: Location) -> Contents:
    actions: list[FileAction] = []
    folders: set[str] = set()
    target = _place(component, package.folder)
    files = tuple(dict.fromkeys(package.binaries.values()))
    for below, archive in npm_archives(component, package, pin, platform, location):
        place = _place(component, below)
        own = files if place == target else ()
        unpacked, source = _unpacked(archive, location), f"/{archive.folder}"
        left_out = (*package.exclude, *own) if place == target else ()
        actions.append(Copy(unpacked, source, place, ROOT, EPOCH, _FOR_ALL, left_out))
        # npm makes a package's commands executable when it installs them; not all are published so.
        actions.extend(
            Copy(unpacked, f"{source}/{file}", f"{place}/{file}", ROOT, EPOCH, "u=rwx,go=rx") for file in own
        )
        folders.update({place, *(str(PurePosixPath(f"{place}/{file}").parent) for file in own)})
    return Contents(tuple(actions), frozenset(folders))


def _pypi(
    component: str, package: PypiPackage, pin: PypiPin, platform: Platform, builder: State, location: Location
) -> Contents:
    wheels = pin.wheels_for(str(platform))
    if not wheels:
        raise LockError(f"{component}: {package.pypi} is not locked for {platform}", location=location)
    place = _place(component, package.folder)
    actions: list[FileAction] = [Mkdir("/wheels", 0o755, ROOT, EPOCH)]
    for wheel in wheels:
        fetched = http(PYPI_FILES + wheel.path, wheel.sha256, wheel.file).named(f"fetch {wheel.file}", location)
        actions.append(Copy(fetched, f"/{wheel.file}", f"/wheels/{wheel.file}", ROOT, EPOCH))
    together = scratch().files(*actions).named(f"{component}: wheels", location)
    installed = builder.run(
        *("sh", "-c", _INSTALL, "sh", place, *(f"{wheel.package}=={wheel.version}" for wheel in wheels)),
        env=(("SOURCE_DATE_EPOCH", str(EPOCH)), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C.UTF-8")),
        mounts=(Mount(together, _WHEELS),),
        output=place,
    ).named(f"{component}: install", location)
    return Contents((Copy(installed, "/", place, ROOT, EPOCH, _FOR_ALL, package.exclude),), frozenset({place}))


def _image(component: str, package: ImageFiles, pin: ImageFilesPin, location: Location) -> Contents:
    place = _place(component, package.folder)
    source = image(f"{pin.image}@{pin.index}").named(f"fetch {package.image}", location)
    return Contents((Copy(source, package.path, place, ROOT, EPOCH, _FOR_ALL, package.exclude),), frozenset({place}))


def npm_archives(
    component: str, package: NpmArchive, pin: NpmPin, platform: Platform, location: Location
) -> Iterator[tuple[str, ArchivePin]]:
    """Yield every archive of a package for `platform`, with the folder it goes to below the component's own.

    A tree's come outermost first, so that what is nested in a package is put into it and not under it.
    """
    if package.tree:
        for branch in sorted(pin.branches(str(platform)), key=lambda branch: (branch.path.count("/"), branch.path)):
            yield "/".join(part for part in (package.to, branch.path) if part), branch.archive
    elif archive := pin.archive(str(platform)):
        yield package.to, archive
    else:
        raise LockError(f"{component}: {package.npm} is not locked for {platform}", location=location)


def _unpacked(archive: ArchivePin, location: Location) -> State:
    fetched = http(NPM_REGISTRY + archive.path, archive.sha256, _ARCHIVE).named(f"fetch {archive.path}", location)
    return fetched.unpack(_ARCHIVE).named(f"unpack {archive.package}", location)
