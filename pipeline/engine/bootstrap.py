"""Make a Debian root file system with mmdebstrap, as an OCI layout an engine can read.

The result depends on the suite, variant, package versions and epoch alone: what mmdebstrap copies from the host
(resolv.conf, hostname, the mirror's address) is removed again, and logs and caches that carry dates are left out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import anyio
import anyio.abc
import anyio.to_thread

from pipeline.digest import Digest, hex_of
from pipeline.engine.layout import write_single_layer_image
from pipeline.errors import EngineError
from pipeline.platform import Platform

_SOURCES = """Types: deb
URIs: {archive}
Suites: {suite} {suite}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: {security}
Suites: {suite}-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""

# Run by mmdebstrap with the root folder as $1. Handed over as words, not as a file: a path would have to be quoted
# for a shell, and be readable for the user that mmdebstrap becomes.
_CLEAN = r"""
set -eu
umask 022
rm -f "$1/etc/resolv.conf" "$1/etc/hostname" "$1/etc/apt/sources.list" "$1/etc/apt/apt.conf.d/99mmdebstrap"
rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/lists/* "$1"/tmp/* "$1"/run/*
rm -f "$1"/etc/passwd- "$1"/etc/shadow- "$1"/etc/group- "$1"/etc/gshadow- "$1"/var/lib/dpkg/*-old
: > "$1/etc/machine-id"
mkdir -p "$1/var/cache/apt/archives/partial" "$1/var/log/apt" "$1/var/cache/debconf"
cat > "$1/etc/apt/sources.list.d/debian.sources" <<'END_OF_SOURCES'
{sources}END_OF_SOURCES
"""
_STOP_SECONDS = 20
_WORDS_KEPT = 12
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class BootstrapRequest:
    """What to bootstrap. `archive` and `security` are the public URLs; `mirrored` is where they are fetched from."""

    suite: str
    variant: str
    include: tuple[str, ...]
    archive: str
    security: str
    mirrored: tuple[str, str]
    epoch: int


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """A bootstrapped root: manifest digest and installed packages (name to version)."""

    digest: Digest
    packages: Mapping[str, str]


async def bootstrap(
    request: BootstrapRequest, platform: Platform, layouts: Path, *, environment: Mapping[str, str] = _NOTHING
) -> Bootstrapped:
    """Bootstrap `request` and leave it as the layout `layouts/<hex digest>`.

    `environment` is added to that of this process: proxies, for one. Raises EngineError with mmdebstrap's words.
    """
    program = shutil.which("mmdebstrap")
    if program is None:
        raise EngineError("mmdebstrap is not installed, and it makes the root file system", remedy="agc doctor --fix")
    with _work_folder(layouts) as work:
        # The locale, time zone and home folder of whoever builds must not show in the result.
        fixed = {"SOURCE_DATE_EPOCH": str(request.epoch), "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/root"}
        tar = work / "root.tar"
        code = await _run(
            _command(program, request, platform, tar), {**os.environ, **environment, **fixed}, work / "log"
        )
        if code != 0:
            raise EngineError(f"mmdebstrap failed:\n{_last_words(work / 'log')}", remedy="agc doctor")
        return await anyio.to_thread.run_sync(_adopt, work, tar, platform, layouts)


@contextlib.contextmanager
def _work_folder(layouts: Path) -> Iterator[Path]:
    layouts.mkdir(parents=True, exist_ok=True)
    # Next to the result, so that it can be renamed into place.
    work = Path(tempfile.mkdtemp(prefix=".bootstrap-", dir=layouts))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _command(program: str, request: BootstrapRequest, platform: Platform, tar: Path) -> list[str]:
    archive, security = request.mirrored
    suite = request.suite
    sources = _SOURCES.format(suite=suite, archive=request.archive, security=request.security)
    return [
        program,
        f"--variant={request.variant}",
        f"--architectures={platform.debian}",
        *([f"--include={','.join(request.include)}"] if request.include else []),
        "--format=tar",
        # Whether foreign programs run here is checked before, without the extra package mmdebstrap asks for.
        "--skip=check/qemu",
        f"--customize-hook={_CLEAN.replace('{sources}', sources)}",
        suite,
        str(tar),
        f"deb {archive} {suite} main",
        f"deb {archive} {suite}-updates main",
        f"deb {security} {suite}-security main",
    ]


async def _run(command: list[str], environment: Mapping[str, str], log: Path) -> int:
    with _opened(log) as stderr:
        process = await anyio.open_process(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
            umask=0o022,
        )
        async with process:
            try:
                return await process.wait()
            except BaseException:
                await _stop(process)
                raise


async def _stop(process: anyio.abc.Process) -> None:
    """End mmdebstrap and what it started; asked politely it takes its mounts and temporary root away first."""
    with anyio.CancelScope(shield=True), contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with anyio.move_on_after(_STOP_SECONDS):
            await process.wait()
            return
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _opened(log: Path) -> Iterator[int]:
    with log.open("wb") as file:
        yield file.fileno()


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()[-_WORDS_KEPT:]
    return "\n".join(f"  {line}" for line in lines)


def _adopt(work: Path, tar: Path, platform: Platform, layouts: Path) -> Bootstrapped:
    packages = read_packages(tar)
    layout = work / "layout"
    layout.mkdir()
    digest = write_single_layer_image(layout, tar, platform.architecture)
    final = layouts / hex_of(digest)
    # Another process may have been faster; its bytes are the same, and rename refuses a folder that is not empty.
    with contextlib.suppress(OSError):
        layout.rename(final)
    if not final.is_dir():
        raise EngineError(f"{final} could not be written", remedy="check the space and permissions of the cache folder")
    return Bootstrapped(digest, packages)


def read_packages(tar: Path) -> Mapping[str, str]:
    """Return the packages installed in a root's tar: name to version, named as dpkg does (`libc6:amd64`)."""
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.name.removeprefix("./") == "var/lib/dpkg/status" and (file := archive.extractfile(member)):
                return MappingProxyType(dict(_installed(file.read().decode())))
    raise EngineError(f"{tar} holds no dpkg database")


def _installed(status: str) -> Iterator[tuple[str, str]]:
    for paragraph in sorted(status.strip().split("\n\n")):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if line[:1].strip() and ": " in line)
        if fields.get("Status", "").endswith(" installed"):
            same = fields.get("Multi-Arch") == "same"
            yield fields["Package"] + (f":{fields['Architecture']}" if same else ""), fields["Version"]
