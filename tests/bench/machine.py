"""What a comparison runs on: one BuildKit daemon of its own, a registry for each side, and a mirror for both."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from pipeline.engine.buildkit import daemon
from pipeline.engine.buildkit.programs import obtain_programs
from pipeline.errors import EngineError
from pipeline.settings import DEBIAN_ARCHIVE, DEBIAN_SECURITY, NPM_REGISTRY, PYPI_FILES, Settings, load_settings
from tests.bench.mirror import CachingMirror
from tests.engine.support import CHECKOUT, free_port, wait_for

_MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}}}
http:
  addr: 127.0.0.1:{port}
"""
LEAST_FREE = 45 * 10**9
"""What the whole comparison takes at its height, with some to spare."""
_OURS = ("AGC_", "BUILDKIT_HOST", "DOCKER_HOST", "NO_COLOR", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True, slots=True)
class Registry:
    """An image registry on loopback whose blobs lie in `folder`."""

    address: str
    folder: Path

    def blobs(self) -> dict[str, int]:
        """Return every blob it holds, with its size."""
        found = (self.folder / "docker/registry/v2/blobs/sha256").glob("*/*/data")
        return {f"sha256:{path.parent.name}": path.stat().st_size for path in found}

    def clear(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder / "docker", ignore_errors=True)

    def layers(self, repository: str) -> dict[str, int]:
        """Return what one who pulls `latest` needs: config and layers, each with its size."""
        url = f"http://{self.address}/v2/{repository}/manifests/latest"
        manifest = httpx.get(url, headers={"Accept": _MANIFESTS}).raise_for_status().json()
        return {part["digest"]: part["size"] for part in (manifest["config"], *manifest["layers"])}


@dataclass(frozen=True, slots=True)
class Machine:
    """The parts, and the environment in which `agc` uses them."""

    folder: Path
    settings: Settings
    address: str
    buildctl: Path
    mirror: CachingMirror
    registries: Mapping[str, Registry]

    @property
    def cache(self) -> Path:
        """The cache `agc` works in."""
        return self.settings.cache

    def environment(self) -> dict[str, str]:
        """Return the environment of a run of `agc`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        mirrors = {
            NPM_REGISTRY: f"{self.mirror.address}/",
            PYPI_FILES: f"{self.mirror.address}/pypi-files/",
            DEBIAN_ARCHIVE: f"{self.mirror.address}/debian",
            DEBIAN_SECURITY: f"{self.mirror.address}/debian-security",
        }
        return {
            **kept,
            "AGC_CACHE": str(self.cache),
            "AGC_ROOT_SOURCE": "bootstrap",
            "AGC_BUILDCTL": str(self.buildctl),
            "AGC_MIRRORS": ",".join(f"{prefix}={mirror}" for prefix, mirror in mirrors.items()),
            "BUILDKIT_HOST": self.address,
        }

    def agc(self, *arguments: str | Path, log: Path) -> str:
        """Run this checkout's `agc` and return what it prints; its steps go to `log`. Raises CalledProcessError."""
        program = (sys.executable, "-c", "import sys; from pipeline.cli import main; sys.exit(main())")
        with log.open("wb") as stderr:
            done = subprocess.run(
                [*program, *arguments],
                cwd=CHECKOUT,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=stderr,
                check=False,
            )
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, ["agc", *arguments], stderr=log.read_text()[-2000:])
        return done.stdout.decode()

    def prune(self, option: str) -> None:
        """Drop from the daemon's cache what `option` says."""
        command = [str(self.buildctl), f"--addr={self.address}", "prune", option]
        subprocess.run(command, check=True, capture_output=True)

    def forget(self, side: str) -> None:
        """Make it cold: nothing in the daemon, in the registry of `side`, or among our exported layouts."""
        self.prune("--all")
        self.registries[side].clear()
        shutil.rmtree(self.cache / "images", ignore_errors=True)


@contextmanager
def new_machine(kept: Path, sides: tuple[str, ...], least_free: int) -> Iterator[Machine]:
    """Yield a machine that lasts for the block; `kept` is where archives stay for the next one.

    Raises EngineError where this machine cannot run a daemon or a registry, or has less than `least_free` bytes free.
    """
    if shutil.which("docker-registry") is None:
        raise EngineError("docker-registry is not installed", remedy="ci/setup --test")
    outside = load_settings(CHECKOUT, os.environ)
    if (free := shutil.disk_usage(tempfile.gettempdir()).free) < least_free:
        text = f"{tempfile.gettempdir()} has {free / 1e9:.0f} GB free, and {least_free / 1e9:.0f} are needed"
        raise EngineError(text, remedy="set TMPDIR to a folder with more space")
    programs = anyio.run(obtain_programs, outside, print)
    routes = {
        "/": outside.mirrored(NPM_REGISTRY),
        "/pypi-files/": outside.mirrored(PYPI_FILES),
        "/debian/": outside.mirrored(DEBIAN_ARCHIVE) + "/",
        "/debian-security/": outside.mirrored(DEBIAN_SECURITY) + "/",
    }
    with ExitStack() as stack:
        # A short name: the socket's path is below it.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agc-b-", ignore_cleanup_errors=True)))
        settings = outside.model_copy(update={"cache": folder / "cache"})
        settings.cache.mkdir()
        mirror = stack.enter_context(CachingMirror(routes, kept / "mirror").run())
        registries = {side: stack.enter_context(_registry(folder / f"registry-{side}")) for side in sides}
        stack.callback(anyio.run, daemon.stop, settings)
        address = anyio.run(daemon.ensure, settings, programs, print)
        yield Machine(folder, settings, address, programs.buildctl, mirror, registries)


@contextmanager
def _registry(folder: Path) -> Iterator[Registry]:
    port = free_port()
    folder.mkdir()
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder / "data", port=port))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
        try:
            wait_for("the registry", lambda: _answers(f"http://localhost:{port}/v2/"))
            yield Registry(f"localhost:{port}", folder / "data")
        finally:
            server.terminate()
            server.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False
