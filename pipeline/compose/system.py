"""The Debian layers of a base: its common tools, and on these its own packages, its user and its commands.

The tools are a layer of their own because bases share them: it is made once, and pulled once, for all that have the
same tools on the same root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.compose.component import toolchain_commands
from pipeline.compose.layers import BINARIES, EPOCH, Layer, root_name, skeleton
from pipeline.errors import Location
from pipeline.graph import Copy, Mkdir, Mount, State, http, scratch, stack
from pipeline.graph.ops import ROOT, FileAction
from pipeline.models.kinds import RootSpec
from pipeline.resolve.pins import DebPin
from pipeline.resolve.plan import ImagePlan

_DEBS = "/run/agc-debs"

# What dpkg and apt leave behind that is a log, a cache or a backup, most of it dated; and manuals nobody reads here.
_NOT_CONTENT = (
    "etc/*-",
    "etc/hostname",
    "etc/hosts",
    "etc/machine-id",
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

# $1 uid, $2 gid, $3 name, $4 home, $5 shell, $6 workspace, all of them or none. The package files lie in _DEBS; nothing
# is fetched.
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
[ $# -gt 0 ] || exit 0
groupadd --gid "$2" "$3"
useradd --uid "$1" --gid "$2" --home-dir "$4" --create-home --shell "$5" --no-log-init "$3"
mkdir -p "$6"
chown "$1:$2" "$6"
chmod 0755 "$4" "$6"
"""


def tools_layer(plan: ImagePlan, root: State) -> Layer:
    """Return the Debian packages of a base's common tools; there must be some that stand by themselves."""
    pins = plan.system.of_tools
    component = f"common-tools/{'-'.join(sorted(item.name for item in plan.common_tools))}"
    location = plan.common_tools[0].at("spec", "debian")
    difference = _installed(component, pins, (), plan, root, location)
    state = scratch().files(Copy(difference, "/", "/", None, EPOCH, exclude=_NOT_CONTENT)).named(component, location)
    return Layer(component, "", state, contents=_versions(pins), below=root_name(plan.root))


def system_layer(plan: ImagePlan, root: State, tools: Layer | None) -> Layer:
    """Return a base's own Debian packages, its user and its workspace: what they change in the root with the tools.

    The links in /usr/local/bin are here and not with the toolchains, whose layers are so the same off PATH.
    """
    base = plan.base.model.spec
    component = f"bases/{plan.base.name}"
    location = plan.base.at("spec")
    user = base.user
    added = (str(user.uid), str(user.gid), user.name, user.home, user.shell, base.workspace)
    lower = stack(root, tools.state).named(f"{component}: root and tools") if tools else root
    difference = _installed(component, plan.system.of_base, added, plan, lower, location)
    actions: list[FileAction] = [Copy(difference, "/", "/", None, EPOCH, exclude=_NOT_CONTENT)]
    if links := _links(plan):
        frame = skeleton((BINARIES,), links).named(f"{component}: links")
        actions.append(Copy(frame, "/", "/", None, EPOCH))
    state = scratch().files(*actions).named(component, location)
    below = tools.component if tools else root_name(plan.root)
    return Layer(component, "", state, contents=_versions(plan.system.of_base), below=below)


def _installed(
    component: str, pins: Sequence[DebPin], user: Sequence[str], plan: ImagePlan, lower: State, location: Location
) -> State:
    """Return what installing packages, and adding a user where one is given, changes in `lower`."""
    debs = _debs(pins, plan.root.defined.model.spec, location).named(f"{component}: packages", location)
    installed = lower.run(
        *("sh", "-c", _INSTALL, "sh", *user),
        env=(("SOURCE_DATE_EPOCH", str(EPOCH)), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")),
        mounts=(Mount(debs, _DEBS, "/debs"),),
    ).named(f"{component}: install", location)
    return installed.diff(lower).named(f"{component}: difference")


def _versions(pins: Sequence[DebPin]) -> Mapping[str, str]:
    return {pin.name: pin.version for pin in pins}


def _links(plan: ImagePlan) -> Mapping[str, str]:
    return {
        f"{BINARIES}/{command.rpartition('/')[2]}": command
        for toolchain, _ in plan.toolchains
        for command in toolchain_commands(toolchain)
    }


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
