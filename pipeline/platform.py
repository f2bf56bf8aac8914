"""Platforms, and the one table of how everybody else spells them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from pipeline.errors import UsageError


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system and CPU, as OCI image indexes name them (`linux/arm64`)."""

    os: str
    architecture: str

    def __str__(self) -> str:
        """Return the OCI form."""
        return f"{self.os}/{self.architecture}"

    @property
    def debian(self) -> str:
        """Debian's name of the architecture."""
        return _SPELLINGS[self.architecture].debian

    @property
    def machine(self) -> str:
        """The kernel's name of the architecture, as in `uname -m` and qemu's file names."""
        return _SPELLINGS[self.architecture].machine

    @property
    def loader(self) -> str:
        """The file name of the C library's program loader (glibc, `ldd`)."""
        return _SPELLINGS[self.architecture].loader


@dataclass(frozen=True, slots=True)
class _Spelling:
    debian: str
    machine: str
    loader: str


_SPELLINGS = {
    "amd64": _Spelling(debian="amd64", machine="x86_64", loader="ld-linux-x86-64.so.2"),
    "arm64": _Spelling(debian="arm64", machine="aarch64", loader="ld-linux-aarch64.so.1"),
}

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
PLATFORMS = (AMD64, ARM64)


def parse_platform(text: str) -> Platform:
    """Return the platform named `text`; raises UsageError with the known names."""
    for platform in PLATFORMS:
        if text.strip() in {str(platform), platform.architecture}:
            return platform
    known = ", ".join(str(platform) for platform in PLATFORMS)
    raise UsageError(f"unknown platform {text!r}", remedy=f"use one of: {known}")


def is_native(platform: Platform) -> bool:
    """Tell whether this machine runs a platform without emulation; what is no Linux is taken for one that does not."""
    return platform.machine == os.uname().machine


def host_platform() -> Platform:
    """Return the platform of this machine; raises UsageError where it is not a supported one."""
    if sys.platform != "linux":
        raise UsageError(
            f"agc builds and runs on Linux, and this is {sys.platform}",
            remedy="run it in a Linux virtual machine or in WSL 2",
        )
    machine = os.uname().machine
    for platform in PLATFORMS:
        if platform.machine == machine:
            return platform
    raise UsageError(f"this machine is {machine}, for which nothing is built", remedy="pass --platform linux/amd64")
