"""Platforms and their spellings."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from pipeline.errors import UsageError
from pipeline.platform import AMD64, ARM64, PLATFORMS, Platform, host_platform, parse_platform


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_a_platform_is_read_as_it_is_written(platform: Platform) -> None:
    """The OCI form and the bare architecture both name it."""
    assert parse_platform(str(platform)) is platform
    assert parse_platform(f" {platform.architecture}\n") is platform


@pytest.mark.parametrize("text", ["", "linux", "linux/386", "windows/amd64", "linux/amd64/v2", "AMD64"])
def test_an_unknown_platform_is_refused_with_the_known_ones(text: str) -> None:
    """The remedy lists what may be written."""
    with pytest.raises(UsageError) as caught:
        parse_platform(text)

    assert caught.value.remedy == "use one of: linux/amd64, linux/arm64"


def test_debian_and_the_kernel_have_names_of_their_own() -> None:
    """One table answers for everybody's spelling."""
    assert [(platform.debian, platform.machine) for platform in (AMD64, ARM64)] == [
        ("amd64", "x86_64"),
        ("arm64", "aarch64"),
    ]


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_the_host_is_known_by_its_machine_name(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """`uname -m` decides."""
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=platform.machine))

    assert host_platform() is platform


def test_a_system_that_is_no_linux_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Mac has processors that images are built for, and nothing that would build them."""
    monkeypatch.setattr(sys, "platform", "darwin")

    with pytest.raises(UsageError, match="this is darwin") as caught:
        host_platform()
    assert "Linux virtual machine" in caught.value.remedy


def test_a_machine_nothing_is_built_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which machine it is and how to build for another."""
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="riscv64"))

    with pytest.raises(UsageError, match="riscv64") as caught:
        host_platform()
    assert "--platform" in caught.value.remedy
