"""Resolve Debian packages inside the root they will be added to, with apt itself.

What comes out is the exact set of package files: address below the archive, SHA-256, size. Formats: apt's
`--print-uris` lines, and `apt-cache show` stanzas (deb822).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from pipeline.digest import Digest
from pipeline.errors import BuildError, Location, ResolveError
from pipeline.graph import Network, State
from pipeline.models.kinds import RootSpec
from pipeline.platform import Platform
from pipeline.resolve.archives import SolveFiles
from pipeline.resolve.pins import DebPin

# $1 and $2: archive and security mirrors, $3: suite, $4: the packages that are common tools, the rest: all packages.
_SCRIPT = r"""
set -eu
archive=$1 security=$2 suite=$3 tools=$4; shift 4
cd /out
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
cat > /etc/apt/sources.list <<END
deb $archive $suite main
deb $archive $suite-updates main
deb $security $suite-security main
END
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get -qq -o APT::Sandbox::User=root update 2> errors || { cat errors >&2; exit 90; }
apt-get -qq --print-uris --no-install-recommends install "$@" > uris 2> errors || { cat errors >&2; exit 91; }
installs() { apt-get -qq -s --no-install-recommends install "$@" | sed -n 's/^Inst \([^ ]*\) .*(\([^ ]*\) .*/\1=\2/p'; }
installs "$@" > wanted
: > tools
test -z "$tools" || installs $tools > tools
: > shown
test ! -s wanted || xargs -a wanted apt-cache show --no-all-versions > shown
"""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Every package file that is to be added, sorted by name, and the names of those that common tools alone need."""

    packages: tuple[DebPin, ...]
    tools: tuple[str, ...] = ()


async def resolve_packages(
    root: State,
    spec: RootSpec,
    names: Iterable[str],
    tools: Iterable[str],
    mirrors: tuple[str, str],
    platform: Platform,
    solve: SolveFiles,
    location: Location,
) -> Resolution:
    """Return every package file that installing `names` on `root` adds; those of them that are common are `tools`.

    `mirrors` are the addresses to ask in place of the root's archive and security archive. Raises ResolveError with
    apt's own words where there is no way to install them.
    """
    arguments = (*mirrors, spec.suite, " ".join(tools), *names)
    step = root.run("sh", "-c", _SCRIPT, "sh", *arguments, network=Network.HOST, output="/out").named(
        f"resolve Debian packages on {platform}", location
    )
    try:
        files = await solve(step, platform)
    except BuildError as error:
        raise _explained(error, location) from error
    return parse_resolution(files, mirrors, location)


def parse_resolution(files: Mapping[str, bytes], mirrors: tuple[str, str], location: Location) -> Resolution:
    """Return the pins in the files the step wrote; raises ResolveError where apt's answers do not fit together."""
    main, security = (mirror.rstrip("/") + "/" for mirror in mirrors)
    paths: dict[str, str] = {}
    for line in files["uris"].decode().splitlines():
        address = line.split("'")[1]
        archive, prefix = ("security", security) if address.startswith(security) else ("main", main)
        paths[unquote(address.removeprefix(prefix))] = archive
    pins = []
    for stanza in files["shown"].decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] not in " \t")
        if fields.get("Filename") not in paths or "SHA256" not in fields:
            continue
        pins.append(
            DebPin(
                name=fields["Package"],
                version=fields["Version"],
                architecture=fields["Architecture"],
                archive="security" if paths.pop(fields["Filename"]) == "security" else "main",
                path=fields["Filename"],
                sha256=Digest("sha256:" + fields["SHA256"]),
                size=int(fields["Size"]),
            )
        )
    if paths:
        raise ResolveError(f"apt names no checksum for {', '.join(sorted(paths))}", location=location)
    return Resolution(tuple(sorted(pins, key=lambda pin: (pin.name, pin.architecture))), _tools(files, pins))


def _tools(files: Mapping[str, bytes], pins: Iterable[DebPin]) -> tuple[str, ...]:
    """Return the names of what common tools alone need.

    None where that is not a part of what all packages need: apt may satisfy an alternative in another way. The tools
    could then not be installed by themselves, and stay with the base.
    """
    added = {f"{pin.name}={pin.version}" for pin in pins}
    # apt names a package of a foreign architecture `name:architecture`; there is none on a root of ours.
    wanted = set(files["tools"].decode().split())
    return tuple(sorted(item.partition("=")[0] for item in wanted)) if wanted <= added else ()


def _explained(error: BuildError, location: Location) -> ResolveError:
    words = [line for line in (error.step.log if error.step else ()) if line.startswith(("E:", "W:", " "))]
    said = "; ".join(line.removeprefix("E: ") for line in words[-4:])
    match error.step.exit_code if error.step else None:
        case 90:
            return ResolveError(
                f"the Debian archive could not be read: {said}",
                location=location,
                remedy="check network, proxy and mirrors: agc doctor",
            )
        case 91:
            return ResolveError(
                f"apt cannot install these packages: {said}", location=location, remedy="check the package names"
            )
        case _:
            return ResolveError(f"resolving Debian packages failed: {error.message}", location=location)
