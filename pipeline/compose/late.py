"""The layer of a program whose licence keeps its bytes out of a published image: what fetches it at first run.

Rules kept here:

- what is fetched is what is locked and was tested: each archive is named by its npm integrity, and nothing that has
  another SHA-512 is unpacked;
- it is fetched once, into a folder of the image's user that a volume may keep; several that start at once fetch once;
- a copy at hand, in AGC_LATE_ARCHIVES under its SHA-256, is taken instead, so it works without a network too. That is
  how smoke tests run: every one of them goes through fetching, checking and unpacking.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping

from pipeline.compose.layers import BINARIES, EPOCH, Layer, skeleton
from pipeline.compose.packages import npm_archives
from pipeline.digest import digest_bytes, hex_of
from pipeline.errors import RefusedError
from pipeline.graph import Copy, Mount, State, http, scratch
from pipeline.graph.ops import ROOT
from pipeline.models.defined import Program
from pipeline.models.packages import NpmArchive
from pipeline.models.parts import User, Volume
from pipeline.platform import Platform
from pipeline.resolve.pins import ArchivePin, NpmPin, PackagesLock
from pipeline.resolve.plan import ImagePlan
from pipeline.settings import NPM_REGISTRY

ARCHIVES_VARIABLE = "AGC_LATE_ARCHIVES"
"""Names a folder of archives by SHA-256, in hexadecimal, that are taken before any network is asked."""
NEEDS = ("ca-certificates", "curl")
"""Debian packages that fetching needs; the rest of what it calls is in every Debian."""
SHELF = ".cache/agc-late"
"""Where what was fetched is kept, below the home folder of the image's user."""
_MOUNTED = "/run/agc-late"
_READABLE = "u=rwX,go=rX"

_FETCH = r"""#!/bin/sh
# The licence of {name} keeps its files out of this image. They are fetched when it is first run, from where they are
# published, and used only if they are, byte for byte, those that this image was tested with.
set -eu
file=$1; shift
shelf=${{AGC_LATE_HOME:-$HOME/{shelf}}}
place=$shelf/{key}
die() {{ echo "{name}: $1" >&2; exit 69; }}
if [ ! -d "$place" ]; then
  mkdir -p "$shelf" 2>/dev/null && [ -w "$shelf" ] ||
    die "cannot write $shelf; mount a volume there, or set AGC_LATE_HOME"
  exec 9> "$shelf/.{key}.lock"
  flock 9
fi
if [ ! -d "$place" ]; then
  rm -rf "$shelf/.{key}-"*  # of one that was killed: whoever has the lock is alone
  work=$(mktemp -d "$shelf/.{key}-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'kill "$!" 2>/dev/null; exit 130' INT TERM HUP
  echo "{name}: fetching version {version}, once" >&2
  while read -r sha512 sha256 below path; do
    held=${{AGC_LATE_ARCHIVES:-/nonexistent}}/$sha256
    if [ -f "$held" ]; then
      cp "$held" "$work/archive"
    else
      # Waited for, because a shell hears of no signal while it runs something itself.
      curl -fsSL --retry 3 -o "$work/archive" "${{AGC_LATE_REGISTRY:-{registry}}}$path" 9>&- &
      wait "$!" || die "$path could not be fetched; check network and proxy"
    fi
    [ "$(sha512sum < "$work/archive")" = "$sha512  -" ] || die "$path is not what this image was tested with"
    mkdir -p "$work/root/$below"
    tar -xzf "$work/archive" -C "$work/root/$below" --strip-components=1 --no-same-owner --no-same-permissions
    rm "$work/archive"
  done <<'PINS'
{pins}PINS
  for program in {programs}; do chmod 0755 "$work/root/$program"; done
  mv "$work/root" "$place"
  rm -rf "$work"
  trap - EXIT INT TERM HUP
fi
exec 9>&-
exec "$place/$file" "$@"
"""

_COMMAND = """\
#!/bin/sh
{path}exec {fetch} {file} "$@"
"""


def late_volume(user: User) -> Volume:
    """Return the volume that keeps what was fetched."""
    return Volume(path=f"{user.home}/{SHELF}", purpose="cache", description="What is fetched at first run.")


def is_late(plan: ImagePlan, program: Program) -> bool:
    """Tell whether an image holds, in place of a program, what fetches it."""
    return plan.late and program.model.spec.licence.publish == "late-bound"


def late_layer(component: str, program: Program, lock: PackagesLock, platform: Platform, user: User) -> Layer:
    """Return the layer that stands for a program; raises RefusedError for what is not of npm."""
    folder = f"/opt/{component}"
    path = "".join(f"/opt/toolchains/{name}/bin:" for name in program.model.spec.brings)
    names = dict(_files(component, program))
    scripts = {
        f"{folder}/bin/{name}": _COMMAND.format(
            path=f'PATH="{path}$PATH" ' if path else "", fetch=f"{folder}/fetch", file=file
        )
        for name, file in names.items()
    }
    scripts[f"{folder}/fetch"] = _script(component, program, lock, platform, tuple(dict.fromkeys(names.values())))
    links = {f"{BINARIES}/{name}": f"{folder}/bin/{name}" for name in names}
    volumes = (*program.model.spec.volumes, late_volume(user))
    folders = {path.rpartition("/")[0] for path in (*links, *scripts)}
    location = program.at("spec", "licence", "publish")
    frame = skeleton(folders, links, scripts, volumes, user).named(f"{component}: what fetches it", location)
    return Layer(
        component, lock.version, scratch().files(Copy(frame, "/", "/", None, EPOCH)).named(component, location)
    )


def late_commands(component: str, program: Program) -> Mapping[str, str]:
    """Return the name of each command that fetches its program first, with its file."""
    return {name: f"/opt/{component}/bin/{name}" for name, _ in _files(component, program)}


def late_archives(plan: ImagePlan) -> tuple[tuple[tuple[str, str], ...], tuple[Mount, ...]]:
    """Return the environment and mounts by which an image without a network finds what it would fetch."""
    pins = {
        archive.sha256: archive
        for program, lock in plan.programs
        if is_late(plan, program)
        for _, archive in _archives(lock.component, program, lock, plan.platform)
    }
    if not pins:
        return (), ()
    held = [
        Copy(_fetched(archive), "/archive.tgz", f"/{hex_of(sha256)}", ROOT, EPOCH, _READABLE)
        for sha256, archive in sorted(pins.items())
    ]
    return ((ARCHIVES_VARIABLE, _MOUNTED),), (Mount(scratch().files(*held), _MOUNTED),)


def _fetched(archive: ArchivePin) -> State:
    return http(NPM_REGISTRY + archive.path, archive.sha256, "archive.tgz").named(f"fetch {archive.path}")


def _files(component: str, program: Program) -> Iterator[tuple[str, str]]:
    """Yield the name of each command with its file, below the folder that is fetched."""
    for package in program.model.spec.packages:
        if not isinstance(package, NpmArchive):
            raise RefusedError(f"{component}: only packages of npm can be fetched at first run, not {package.name}")
        for name, file in package.binaries.items():
            yield name, "/".join(part for part in (package.folder, file) if part)


def _archives(
    component: str, program: Program, lock: PackagesLock, platform: Platform
) -> Iterator[tuple[str, ArchivePin]]:
    for index, package in enumerate(program.model.spec.packages):
        pin = lock.pin(package.name)
        if isinstance(package, NpmArchive) and isinstance(pin, NpmPin):
            location = program.at("spec", "packages", index, package.key)
            yield from npm_archives(component, package, pin, platform, location)


def _script(component: str, program: Program, lock: PackagesLock, platform: Platform, programs: tuple[str, ...]) -> str:
    pins = "".join(
        f"{_sha512(archive)} {hex_of(archive.sha256)} {below or '.'} {archive.path}\n"
        for below, archive in _archives(component, program, lock, platform)
    )
    return _FETCH.format(
        name=program.name,
        version=re.sub(r"[^\w.+-]", "", lock.version),
        shelf=SHELF,
        key=f"{program.name}-{hex_of(digest_bytes(pins.encode()))[:16]}",
        registry=NPM_REGISTRY,
        pins=pins,
        programs=" ".join(programs),
    )


def _sha512(archive: ArchivePin) -> str:
    """Return npm's integrity in hexadecimal; raises RefusedError where it is of another kind."""
    kind, _, encoded = archive.integrity.partition("-")
    if kind != "sha512":
        raise RefusedError(f"{archive.package} is locked by {kind}, and is only fetched at first run by sha512")
    return base64.b64decode(encoded).hex()
