"""What a stage works with: an engine, the layouts it may read, and the network as this machine reaches it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from pipeline.digest import Digest
from pipeline.engine.api import Engine, FilesExport, ProgressSink, SharesCache
from pipeline.engine.bootstrap import Bootstrapped
from pipeline.errors import ResolveError, UsageError
from pipeline.graph import State
from pipeline.models.values import without_credentials
from pipeline.platform import Platform
from pipeline.settings import NPM_REGISTRY, PYPI_INDEX, Settings

if TYPE_CHECKING:
    import ssl

    import httpx

_NPM_ACCEPT = "application/vnd.npm.install-v1+json"
_NPM_ACCEPT_WHOLE = "application/json"
_TRIES = 4


class Reporter(Protocol):
    """Who tells the person what happens."""

    def notify(self, text: str) -> None:
        """Say one line."""

    def stage(self, name: str) -> AbstractContextManager[ProgressSink]:
        """Open a stage of work; its steps go to the sink."""
        ...


@dataclass(frozen=True, slots=True)
class Workbench:
    """An engine and where things lie.

    `layouts` grows as roots are found or made (digest to OCI layout folder), `made` as they are made, and
    `bootstrapped` by what was asked for: two roots may ask for the same. `exporting` is held while an image is written
    into a layout.
    """

    settings: Settings
    engine: Engine
    reporter: Reporter
    layouts: dict[Digest, Path] = field(default_factory=dict)
    made: set[Digest] = field(default_factory=set)
    bootstrapped: dict[tuple[object, Platform], Bootstrapped] = field(default_factory=dict)
    exporting: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def roots(self) -> Path:
        """Where bootstrapped roots are kept."""
        return self.settings.cache / "roots"

    def shared_as(self, *names: str) -> Workbench:
        """Return the bench for what belongs to images `names`; where engines share results, it goes by the first."""
        return replace(self, engine=self.engine.sharing(*names)) if isinstance(self.engine, SharesCache) else self

    async def solve_files(self, state: State, platform: Platform) -> Mapping[str, bytes]:
        """Build `state` and return its files, which must be small."""
        with tempfile.TemporaryDirectory(prefix="agc-files-") as folder, self.reporter.stage("resolve") as sink:
            await self.engine.solve(
                state,
                platform=platform,
                layouts=self.layouts,
                exports=(FilesExport(Path(folder)),),
                on_progress=sink,
            )
            return _read(Path(folder))

    def http_client(self) -> httpx.AsyncClient:
        """Return a client that reaches the network as this machine does."""
        return http_client(self.settings)

    async def fetch_npm(self, path: str) -> Any:
        """Return the abbreviated package document at `path` below the npm registry, or None where there is none."""
        return await self._fetch_npm(path, _NPM_ACCEPT)

    async def fetch_npm_history(self, path: str) -> Any:
        """Return the full document, with times and people, which may have 10 MB; or None where there is none."""
        return await self._fetch_npm(path, _NPM_ACCEPT_WHOLE)

    async def _fetch_npm(self, path: str, accept: str) -> Any:
        import httpx  # see http_client

        url = self.settings.mirrored(NPM_REGISTRY) + path
        reason = ""
        async with self.http_client() as client:
            for attempt in range(_TRIES):
                await anyio.sleep(attempt * attempt * 0.5)
                try:
                    answer = await client.get(url, headers={"Accept": accept})
                except httpx.HTTPError as error:
                    reason = str(error) or type(error).__name__
                    continue
                if answer.status_code == httpx.codes.NOT_FOUND:
                    return None
                if answer.is_success:
                    return _json(answer.content, url)
                reason = f"HTTP {answer.status_code}"
                if answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                    break
        raise ResolveError(f"{url} cannot be read: {reason}", remedy="check network, proxy and mirrors: agc doctor")

    async def compile_python(self, requirement: str, arguments: Sequence[str]) -> str:
        """Return the `pylock.toml` that uv resolves `requirement` to, from wheels alone; raises ResolveError."""
        command = [
            *(_uv(), "pip", "compile", "-", "--format=pylock.toml", "--only-binary=:all:"),
            *("--no-header", "--no-progress", "--no-config", f"--cache-dir={self.settings.cache / 'uv'}"),
            *(f"--default-index={self.settings.mirrored(PYPI_INDEX)}", *arguments),
        ]
        # Nothing of the person's own uv or pip settings may decide what is locked.
        environment = {"PATH": os.environ.get("PATH", ""), "UV_PYTHON_DOWNLOADS": "never"}
        environment |= self.settings.proxy.as_environment()
        if self.settings.ca_bundle:
            environment["SSL_CERT_FILE"] = str(self.settings.ca_bundle)
        done = await anyio.run_process(command, input=requirement.encode(), check=False, env=environment)
        if done.returncode:
            words = " ".join(done.stderr.decode(errors="replace").split())
            said = without_credentials(words.partition("error: ")[2] or words)
            raise ResolveError(said, remedy="check network, proxy and mirrors: agc doctor")
        return done.stdout.decode()


def _uv() -> str:
    """Return the program uv: of the package, or one on PATH; raises UsageError where there is neither."""
    # The package looks for its program beside itself, and finds none where a distribution took it apart.
    with contextlib.suppress(ModuleNotFoundError, FileNotFoundError):
        import uv  # only who locks a package of PyPI has use for it

        return uv.find_uv_bin()
    if found := shutil.which("uv"):
        return found
    raise UsageError(
        "locking packages of PyPI needs uv, which is not installed", remedy="pip install 'agentcontainers[pypi]'"
    )


def http_client(settings: Settings) -> httpx.AsyncClient:
    """Return a client that uses this machine's proxies and CA bundle, and nothing from the environment beside."""
    import httpx  # slow to import, and a build that finds everything locked never needs the network

    context = _tls(settings.ca_bundle)
    # As everywhere: what is on this machine, or named in no_proxy, is reached without a proxy.
    hosts = ["localhost", "127.0.0.1", *(host.strip().lstrip(".") for host in settings.proxy.no.split(","))]
    mounts: dict[str, httpx.AsyncHTTPTransport | None] = {
        f"all://{pattern}": None for host in hosts if host for pattern in (host, f"*.{host}")
    }
    mounts |= {
        f"{scheme}://": httpx.AsyncHTTPTransport(proxy=address, verify=context)
        for scheme, address in (("http", settings.proxy.http), ("https", settings.proxy.https))
        if address
    }
    return httpx.AsyncClient(
        verify=context, mounts=mounts, trust_env=False, follow_redirects=True, timeout=httpx.Timeout(30)
    )


@cache
def _tls(bundle: Path | None) -> ssl.SSLContext:
    # Reading a bundle of certificates takes longer than most questions that are asked with it.
    import ssl

    return ssl.create_default_context(cafile=str(bundle) if bundle else None)


def _read(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _json(content: bytes, url: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ResolveError(f"{url} did not answer with JSON: {error}") from error
