"""Make a Debian root file system with mmdebstrap, as an OCI layout an engine can read.

The result depends on the suite, variant, package versions and epoch alone: what mmdebstrap copies from the host
(resolv.conf, hostname, the mirror's address) is removed again, and logs and caches that carry dates are left out.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio

from pipeline.digest import Digest
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

# Run by mmdebstrap in the host's name with the root folder as $1.
_CLEAN = r"""
set -eu
rm -f "$1/etc/resolv.conf" "$1/etc/hostname" "$1/etc/apt/sources.list" "$1/etc/apt/apt.conf.d/99mmdebstrap"
rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/lists/* "$1"/tmp/* "$1"/run/*
rm -f "$1"/etc/passwd- "$1"/etc/shadow- "$1"/etc/group- "$1"/etc/gshadow- "$1"/var/lib/dpkg/*-old
: > "$1/etc/machine-id"
mkdir -p "$1/var/cache/apt/archives/partial" "$1/var/log/apt" "$1/var/cache/debconf"
cp "$AGC_SOURCES" "$1/etc/apt/sources.list.d/debian.sources"
chmod 644 "$1/etc/apt/sources.list.d/debian.sources"
chroot "$1" dpkg-query -W -f '${binary:Package}\t${Version}\n' | sort > "$AGC_PACKAGES"
"""


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


async def bootstrap(request: BootstrapRequest, platform: Platform, layouts: Path) -> Bootstrapped:
    """Bootstrap `request` and leave it as the layout `layouts/<hex digest>`; raises EngineError with mmdebstrap's words."""
    program = shutil.which("mmdebstrap")
    if program is None:
        raise EngineError("mmdebstrap is not installed, and it makes the root file system", remedy="agc doctor --fix")
    layouts.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".bootstrap-", dir=layouts))
    try:
        sources = work / "debian.sources"
        sources.write_text(_SOURCES.format(suite=request.suite, archive=request.archive, security=request.security))
        clean = work / "clean.sh"
        clean.write_text(_CLEAN)
        environment = {
            **os.environ,
            "SOURCE_DATE_EPOCH": str(request.epoch),
            "AGC_SOURCES": str(sources),
            "AGC_PACKAGES": str(work / "packages"),
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }
        # The umask and home folder of whoever builds must not show in the result.
        done = await anyio.run_process(
            _command(program, request, platform, work), env=environment, check=False, start_new_session=True
        )
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip().splitlines()[-12:]
            raise EngineError("mmdebstrap failed:\n  " + "\n  ".join(words), remedy="agc doctor")
        lines = (work / "packages").read_text().splitlines()
        packages = dict(line.split("\t", 1) for line in lines)
        layout = work / "layout"
        layout.mkdir()
        digest = write_single_layer_image(layout, work / "root.tar", platform.architecture)
        final = layouts / digest.partition(":")[2]
        if not final.exists():
            layout.rename(final)
        return Bootstrapped(digest, packages)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _command(program: str, request: BootstrapRequest, platform: Platform, work: Path) -> list[str]:
    archive, security = request.mirrored
    suite = request.suite
    return [
        "sh",
        "-c",
        'umask 022; exec "$@"',
        "sh",
        program,
        f"--variant={request.variant}",
        f"--architectures={platform.debian}",
        f"--include={','.join(request.include)}",
        "--format=tar",
        f'--customize-hook=sh {work / "clean.sh"} "$1"',
        suite,
        str(work / "root.tar"),
        f"deb {archive} {suite} main",
        f"deb {archive} {suite}-updates main",
        f"deb {security} {suite}-security main",
    ]
