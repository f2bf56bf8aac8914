"""A state as a chain of Dagger calls: pure, so the same state over the same inputs makes the same calls.

The table of calls is in the package's docstring. Nothing is asked of an engine here: what comes back is a promise,
and `client.py` redeems it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import dagger

from pipeline.digest import Digest
from pipeline.engine.dagger.files import OUT, TIDY, UPPER, script
from pipeline.errors import EngineError
from pipeline.graph import State
from pipeline.graph.ops import Diff, Files, Http, Image, Layout, Merge, Network, Run, Scratch
from pipeline.mirrors import mirrored
from pipeline.platform import Platform

_CA_FILE = "/run/agc-ca/bundle.pem"
_CA_VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT")
_READABLE = 0o444

# What containers have unless somebody says otherwise; a step without network had to be given all of them first.
_CAPABILITIES = (
    *("chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service"),
    *("net_raw", "sys_chroot", "mknod", "audit_write", "setfcap"),
)
# Brings up the loopback interface of a new network namespace (SIOCGIFFLAGS, SIOCSIFFLAGS: IFF_UP | IFF_RUNNING).
_LOOPBACK = (
    'socket(my $s, 2, 2, 0) or die "no socket: $!\\n"; my $r = pack("a16 s x14", "lo", 0x41);'
    ' ioctl($s, 0x8914, $r) or die "no loopback: $!\\n"; close $s; exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\\n"'
)


@dataclass(frozen=True, slots=True)
class World:
    """How this machine reaches the world: URL prefixes and what replaces them, proxies, and a CA bundle."""

    mirrors: tuple[tuple[str, str], ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: Path | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """What a graph is lowered with: the client, the platform, and where things lie that a state only names.

    `layouts` are archives of OCI layouts, and `helper` is the state whose file system runs the scripts.
    """

    client: dagger.Client
    platform: Platform
    layouts: Mapping[Digest, dagger.File]
    secrets: Mapping[str, Path]
    helper: State | None
    world: World = field(default_factory=World)

    def container(self) -> dagger.Container:
        """Return an empty container of the platform."""
        return self.client.container(platform=dagger.Platform(str(self.platform)))


@dataclass(frozen=True, slots=True)
class Promise:
    """The file system of a state; where a process has to run for it, `process` is the container after that."""

    directory: dagger.Directory
    process: dagger.Container | None = None


def helper_of(state: State) -> State | None:
    """Return the root file system that `state` is built on: the first that a step, or a stack, starts from."""
    pending = [state]
    seen: set[Digest] = set()
    while pending:
        current = pending.pop()
        if current.digest in seen:
            continue
        seen.add(current.digest)
        if isinstance(current.op, Run | Merge) and (root := _source(current)):
            return root
        pending.extend(reversed(current.inputs))
    return _source(state)


def _source(state: State) -> State | None:
    """Return the image or layout at the bottom of `state`."""
    while True:
        match state.op:
            case Image() | Layout():
                return state
            case Run(root=below) | Files(base=below) | Merge(layers=(below, *_)):
                state = below
            case _:
                return None


def lower(state: State, built: Callable[[State], dagger.Directory], site: Site) -> Promise:
    """Return the calls for `state`; `built` gives the file system of a state that it is made from.

    Raises EngineError where the graph needs what is not at hand: a secret, a layout, a helper root.
    """
    match state.op:
        case Run():
            return _run(state.op, built, site)
        case Files():
            return _files(state, state.op, built, site)
        case Diff():
            return _diff(state.op, built, site)
        case Merge(layers):
            merged = built(layers[0])
            for layer in layers[1:]:
                merged = merged.with_directory("/", built(layer))
            return Promise(merged)
        case Scratch() | Image() | Layout() | Http():
            return Promise(_fetched(state.op, site))
        case _ as unreachable:
            assert_never(unreachable)


def _fetched(op: Scratch | Image | Layout | Http, site: Site) -> dagger.Directory:
    """Return what is made from no other state."""
    match op:
        case Scratch():
            return site.client.directory()
        case Image(ref):
            # The engine has its own mirrors of registries; ours replace the prefix of the reference.
            return site.container().from_(mirrored(ref, site.world.mirrors)).rootfs()
        case Layout(digest):
            if digest not in site.layouts:
                raise EngineError(f"no layout holds the root {digest}", remedy="agc lock, then repeat the command")
            return site.container().import_(site.layouts[digest]).rootfs()
        case Http(checksum, filename, url):
            file = site.client.http(mirrored(url, site.world.mirrors), name=filename, checksum=checksum)
            return site.client.directory().with_file(f"/{filename}", file)


def _run(op: Run, built: Callable[[State], dagger.Directory], site: Site) -> Promise:
    container = site.container().with_rootfs(built(op.root)).with_workdir(op.cwd)
    for name, value in op.env:
        container = container.with_env_variable(name, value)
    if op.output is not None:
        container = container.with_mounted_directory(op.output, site.client.directory())
    for mount in op.mounts:
        source, path = built(mount.source), mount.path.strip("/")
        if isinstance(mount.source.op, Http) and path:
            container = container.with_mounted_file(mount.target, source.file(path))
            continue
        folder = source.directory(path) if path else source
        container = container.with_mounted_directory(mount.target, folder, read_only=True)
    for name, target in op.caches:
        volume = site.client.cache_volume(name, sharing=dagger.CacheSharingMode.LOCKED)
        container = container.with_mounted_cache(target, volume, sharing=dagger.CacheSharingMode.LOCKED)
    for name, target in op.secrets:
        if name not in site.secrets:
            raise EngineError(f"a step asks for the secret {name!r}, which was not given")
        container = container.with_mounted_secret(target, _secret(site, site.secrets[name]), mode=_READABLE)
    if op.network is Network.NONE:
        container = container.with_user("0:0").with_exec(
            list(_alone(op)), no_init=True, insecure_root_capabilities=True
        )
    else:
        container = _reaching(container.with_user(op.user), site).with_exec(list(op.args), no_init=True)
    return Promise(container.directory(op.output) if op.output is not None else container.rootfs(), container)


def _alone(op: Run) -> Iterator[str]:
    """Yield the command of a step that reaches nothing but itself."""
    user, _, group = op.user.partition(":")
    yield from ("/usr/bin/unshare", "--net", "/usr/bin/perl", "-e", _LOOPBACK)
    yield from ("/usr/bin/setpriv", f"--reuid={user}", f"--regid={group or user}", "--clear-groups")
    yield from ("--inh-caps=-all", "--bounding-set=-all," + ",".join(f"+{name}" for name in _CAPABILITIES))
    yield "--"
    yield from op.args


def _reaching(container: dagger.Container, site: Site) -> dagger.Container:
    """Return the container with this machine's proxies and CA, neither of which is part of what is built."""
    for name, value in sorted(site.world.proxies.items()):
        container = container.with_volatile_variable(name, value)
    if site.world.ca_bundle:
        secret = _secret(site, site.world.ca_bundle)
        container = container.with_mounted_secret(_CA_FILE, secret, mode=_READABLE)
        for name in _CA_VARIABLES:
            container = container.with_volatile_variable(name, _CA_FILE)
    return container


def _secret(site: Site, file: Path) -> dagger.Secret:
    # By address: the value goes from the file to the engine, and never through a query.
    return site.client.secret(f"file://{file}")


def _diff(op: Diff, built: Callable[[State], dagger.Directory], site: Site) -> Promise:
    difference = built(op.lower).diff(built(op.upper))
    if site.helper is None:
        return Promise(difference)
    container = site.container().with_rootfs(built(site.helper)).with_mounted_directory(OUT, difference)
    container = container.with_mounted_directory(UPPER, built(op.upper), read_only=True)
    container = container.with_user("0:0").with_exec(list(TIDY), no_init=True)
    return Promise(container.directory(OUT), container)


def _files(state: State, op: Files, built: Callable[[State], dagger.Directory], site: Site) -> Promise:
    if site.helper is None:
        raise EngineError(
            f"{state.name or 'a step'} puts files in place, for which Dagger needs a root file system",
            location=state.location,
            remedy="build it with BuildKit",
        )
    step = script(op.actions)
    container = site.container().with_rootfs(built(site.helper)).with_mounted_directory(OUT, built(op.base))
    for source in step.sources:
        directory = built(source.state)
        if source.exclude:
            folder = directory.directory(source.path) if source.path.strip("/") else directory
            directory = folder.filter(exclude=list(source.exclude))
        container = container.with_mounted_directory(source.target, directory, read_only=True)
    for path, text in step.data:
        container = container.with_mounted_file(path, site.client.file(path.rpartition("/")[2], text))
    container = container.with_user("0:0").with_exec(list(step.command), no_init=True)
    return Promise(container.directory(OUT), container)
