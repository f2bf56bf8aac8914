"""The layers of an image. Each is a function of its own pins and definition, so no layer knows another.

Normalisation happens here, in the graph: one timestamp, owner root, and nothing that carries a date or a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pipeline.errors import Location, LockError
from pipeline.graph import Copy, Mkdir, Mount, Owner, State, Symlink, http, image, layout, scratch
from pipeline.graph.ops import ROOT, FileAction
from pipeline.models.kinds import RootSpec
from pipeline.models.parts import NpmArchive, User, Volume
from pipeline.platform import Platform
from pipeline.resolve.pins import ArchivePin, DebPin, NpmPin, PackagesLock
from pipeline.resolve.plan import ImagePlan, RootPlan
from pipeline.settings import NPM_REGISTRY

EPOCH = 1767225600
"""The one timestamp of everything we write: 2026-01-01T00:00:00Z."""

_BINARIES = "/usr/local/bin"
_DEBS = "/run/agc-debs"
_ARCHIVE = "archive.tgz"

# What dpkg and apt leave behind that is a log, a cache or a backup, most of it dated; and manuals nobody reads here.
_NOT_CONTENT = (
    "etc/*-",
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "root/*",
    "root/.*",
    "run/*",
    "tmp/*",
    "usr/share/doc/**/changelog*",
    "usr/share/info",
    "usr/share/man",
    "var/cache/apt/*.bin",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/log/*",
)

# $1 uid, $2 gid, $3 name, $4 home, $5 shell, $6 workspace. The package files lie in _DEBS; nothing is fetched.
_INSTALL = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 TZ=UTC
umask 022
set_of_debs=$(find /run/agc-debs -name '*.deb')
if [ -n "$set_of_debs" ]; then
  apt-get -qq -o APT::Sandbox::User=root -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/dev/null -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-unsafe-io --no-install-recommends install $set_of_debs
fi
groupadd --gid "$2" "$3"
useradd --uid "$1" --gid "$2" --home-dir "$4" --create-home --shell "$5" --no-log-init "$3"
mkdir -p "$6"
chown "$1:$2" "$6"
chmod 0755 "$4" "$6"
"""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of an image: the component it holds (`agents/claude`), that component's version, and its state.

    The rest is prose for whoever asks why a layer moved: `pin` is what stands for the version of something that has
    none, `contents` are packages by name and version, `below` is the component that this layer is made on.
    """

    component: str
    version: str
    state: State
    pin: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)
    below: str = ""


def root_name(plan: RootPlan) -> str:
    """Return the component that a root is."""
    return f"roots/{plan.defined.name}"


def root_layer(plan: RootPlan) -> Layer:
    """Return the root file system."""
    location = plan.defined.at("spec", "image" if plan.source == "image" else "bootstrap")
    state = image(plan.ref) if plan.source == "image" else layout(plan.digest, plan.defined.name)
    component = root_name(plan)
    version = plan.defined.model.spec.suite
    return Layer(component, version, state.named(component, location), plan.digest, plan.packages)


def system_layer(plan: ImagePlan, root: State) -> Layer:
    """Return the Debian packages of a base, its user and its workspace: what installing them changes in the root."""
    base = plan.base.model.spec
    component = f"bases/{plan.base.name}"
    location = plan.base.at("spec")
    debs = _debs(plan.system.packages, plan.root.defined.model.spec, location).named(f"{component}: packages", location)
    user = base.user
    installed = root.run(
        *("sh", "-c", _INSTALL, "sh"),
        *(str(user.uid), str(user.gid), user.name, user.home, user.shell, base.workspace),
        env=(("SOURCE_DATE_EPOCH", str(EPOCH)), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")),
        mounts=(Mount(debs, _DEBS, "/debs"),),
    ).named(f"{component}: install", location)
    state = installed.diff(root).named(f"{component}: difference").layer(timestamp=EPOCH, exclude=_NOT_CONTENT)
    versions = {pin.name: pin.version for pin in plan.system.packages}
    return Layer(component, "", state.named(component, location), contents=versions, below=root_name(plan.root))


def packages_layer(
    component: str,
    packages: Sequence[NpmArchive],
    lock: PackagesLock,
    platform: Platform,
    locations: Sequence[Location],
    *,
    volumes: Iterable[Volume] = (),
    user: User | None = None,
) -> Layer:
    """Return packages unpacked below `/opt/<component>`, their commands linked in /usr/local/bin.

    `volumes` are folders made for `user`. Files belong to root and nobody else can write them. Raises LockError
    where a package has no archive for `platform`.
    """
    prefix = f"/opt/{component}"
    actions: list[FileAction] = []
    links: dict[str, str] = {}
    folders: set[str] = {_BINARIES}
    for package, location in zip(packages, locations, strict=True):
        target = f"{prefix}/{package.folder}".rstrip("/")
        files = tuple(dict.fromkeys(package.binaries.values()))
        for below, archive in _archives(component, package, lock.pin(package.npm), platform, location):
            place = f"{prefix}/{below}".rstrip("/")
            own = files if place == target else ()
            unpacked, source = _unpacked(archive, location), f"/{archive.folder}"
            left_out = (*package.exclude, *own) if place == target else ()
            actions.append(Copy(unpacked, source, place, ROOT, EPOCH, "u=rwX,go=rX", left_out))
            actions.extend(
                Copy(unpacked, f"{source}/{file}", f"{place}/{file}", ROOT, EPOCH, "u=rwx,go=rx") for file in own
            )
            folders.update({place, *(str(PurePosixPath(f"{place}/{file}").parent) for file in own)})
        links |= {f"{_BINARIES}/{name}": f"{target}/{file}" for name, file in package.binaries.items()}
    skeleton = _skeleton(folders, links, tuple(volumes), user).named(f"{component}: folders and links")
    # Copied last: a folder's time changes when something is put into it, and this sets them all.
    actions.append(Copy(skeleton, "/", "/", None, EPOCH))
    state = scratch().files(*actions)
    return Layer(component, lock.version, state.named(component, locations[0]))


def _skeleton(folders: Iterable[str], links: Mapping[str, str], volumes: Iterable[Volume], user: User | None) -> State:
    """Return all folders a layer touches, with their owners, and the links."""
    theirs: dict[str, Owner] = {}
    if user is not None:
        owner = Owner(user.uid, user.gid)
        for volume in volumes:
            for folder in (*PurePosixPath(volume.path).parents, PurePosixPath(volume.path)):
                if folder.is_relative_to(user.home) or str(folder) == volume.path:
                    theirs[str(folder)] = owner
    every = {str(parent) for name in (*folders, *theirs) for parent in PurePosixPath(name).parents}
    actions: list[FileAction] = [
        Mkdir(name, 0o755, theirs.get(name, ROOT), EPOCH) for name in sorted({*every, *folders, *theirs} - {"/"})
    ]
    actions.extend(Symlink(path, target, EPOCH) for path, target in sorted(links.items()))
    return scratch().files(*actions)


def _archives(
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


def _debs(pins: Sequence[DebPin], root: RootSpec, location: Location) -> State:
    """Return all package files side by side; the folder is there even where a base adds none."""
    archives = {"main": root.archive, "security": root.security}
    actions: list[FileAction] = [Mkdir("/debs", 0o755, ROOT, EPOCH)]
    for pin in pins:
        name = pin.path.rpartition("/")[2]
        url = f"{archives[pin.archive].rstrip('/')}/{pin.path}"
        fetched = http(url, pin.sha256, name).named(f"fetch {name}", location)
        actions.append(Copy(fetched, f"/{name}", f"/debs/{name}", ROOT, EPOCH))
    return scratch().files(*actions)
