"""Find the BuildKit that builds: the one configured, one that runs already, or one that is started now.

The order is that of `connect`, and each step says in `Located` what was chosen. The usual case, a daemon of ours that
runs, starts no process.
"""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from pipeline.engine.buildkit import container, daemon
from pipeline.engine.buildkit.client import BuildKit
from pipeline.engine.buildkit.daemon_config import registry_mirrors
from pipeline.engine.buildkit.lowering import Wiring
from pipeline.engine.buildkit.programs import Notify, Programs, cached_buildctl, cached_programs, obtain_programs
from pipeline.engine.buildkit.shared_cache import parse_caches
from pipeline.engine.buildkit.tls import Tls, check_conversation, tls_of
from pipeline.errors import EngineError
from pipeline.settings import Settings

_SCHEMES = ("unix", "tcp", "docker-container", "podman-container", "nerdctl-container", "kube-pod", "ssh")
_CONNECT_SECONDS = 5


class Kind(StrEnum):
    """Where a daemon comes from."""

    CONFIGURED = "configured"
    EMBEDDED = "embedded"
    DOCKER = "docker"
    PODMAN = "podman"
    INSTALLED = "installed"


@dataclass(frozen=True, slots=True)
class Located:
    """An engine, where it comes from, and one line about it for people."""

    engine: BuildKit
    kind: Kind
    detail: str


async def connect(settings: Settings, notify: Notify) -> Located:
    """Return the first engine that works; raises EngineError where the configured one does not, or none does."""
    if settings.engine.host:
        await anyio.to_thread.run_sync(check_answers, settings.engine.host, tls_of(settings.engine))
        buildctl = await _buildctl(settings, notify)
        return _located(settings, settings.engine.host, buildctl, Kind.CONFIGURED, settings.engine.host)
    return (
        await _running(settings, notify)
        or await _in_container(settings, Kind.DOCKER, notify)
        or await _in_container(settings, Kind.PODMAN, notify)
        or await _start(settings, notify)
    )


def check_answers(address: str, tls: Tls = Tls()) -> None:  # noqa: B008  # a frozen value
    """Raise EngineError if `address` is no address, or if nobody answers where that can be told by connecting."""
    remedy = "check BUILDKIT_HOST or [engine] host in agc.toml, or unset it to have an engine found"
    parts = urlsplit(address)
    if parts.scheme not in _SCHEMES:
        raise EngineError(
            f"{address!r} is no BuildKit address; it starts with one of: "
            + ", ".join(f"{scheme}://" for scheme in _SCHEMES),
            remedy=remedy,
        )
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(_CONNECT_SECONDS)
                client.connect(address.partition("://")[2])
        elif parts.scheme == "tcp":
            if not parts.hostname or not parts.port:
                raise ValueError("it names no port")  # noqa: TRY301  # ends as every unusable address does
            with socket.create_connection((parts.hostname, parts.port), _CONNECT_SECONDS) as connection:
                check_conversation(connection, parts.hostname, address, tls)
    except (OSError, ValueError) as error:
        raise EngineError(f"no BuildKit answers at {address}: {error}", remedy=remedy) from error


async def _running(settings: Settings, notify: Notify) -> Located | None:
    found = daemon.running(settings)
    if found is None:
        return None
    if found.buildkitd.is_relative_to(settings.cache):
        # After an upgrade of this program the pinned version may be another than the running one.
        programs = cached_programs(settings) or await obtain_programs(settings, notify)
        return await _ensure(settings, programs, Kind.EMBEDDED, notify)
    if not found.buildkitd.is_file():
        return None
    programs = Programs(await _buildctl(settings, notify), found.buildkitd, found.version)
    return await _ensure(settings, programs, Kind.INSTALLED, notify)


async def _in_container(settings: Settings, kind: Kind, notify: Notify) -> Located | None:
    program = shutil.which(kind)
    if program is None or not await container.answers(program):
        return None
    try:
        await container.ensure_container(settings, program, notify)
        buildctl = cached_buildctl(settings) or await container.copy_buildctl(settings, program)
    except EngineError as error:
        notify(f"{kind} cannot run BuildKit, looking further: {error.message}")
        return None
    detail = f"{settings.engine.image} in {kind} container {container.NAME}"
    return _located(settings, f"{kind}-container://{container.NAME}", buildctl, kind, detail)


async def _start(settings: Settings, notify: Notify) -> Located:
    # Known before anything is built for minutes.
    daemon.require_host()
    if installed := shutil.which("buildkitd"):
        version = await _version(installed)
        programs = Programs(await _buildctl(settings, notify), Path(installed), version)
        return await _ensure(settings, programs, Kind.INSTALLED, notify)
    return await _ensure(settings, await obtain_programs(settings, notify), Kind.EMBEDDED, notify)


async def _ensure(settings: Settings, programs: Programs, kind: Kind, notify: Notify) -> Located:
    address = await daemon.ensure(settings, programs, notify)
    return _located(settings, address, programs.buildctl, kind, f"{programs.buildkitd} {programs.version}")


async def _buildctl(settings: Settings, notify: Notify) -> Path:
    if found := cached_buildctl(settings):
        return found
    if installed := shutil.which("buildctl"):
        return Path(installed)
    return (await obtain_programs(settings, notify)).buildctl


async def _version(buildkitd: str) -> str:
    done = await anyio.run_process([buildkitd, "--version"], check=False)
    words = done.stdout.decode(errors="replace").split()
    return next((word for word in words if word.startswith("v") and word[1:2].isdigit()), "unknown")


def _located(settings: Settings, address: str, buildctl: Path, kind: Kind, detail: str) -> Located:
    mirrors = {**settings.mirrors, **registry_mirrors(settings)}
    wiring = Wiring(mirrors=tuple(mirrors.items()), proxies=settings.proxy.as_llb())
    engine = BuildKit(
        address,
        buildctl,
        wiring,
        settings.ca_bundle,
        tls_of(settings.engine),
        parse_caches("cache-to", settings.engine.cache_to),
        parse_caches("cache-from", settings.engine.cache_from),
    )
    return Located(engine, kind, detail)
