"""A workbench with no machine under it: an engine in memory, registries that are tables, a reporter that remembers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from pipeline.digest import hex_of
from pipeline.engine.api import ProgressSink, StepEvent
from pipeline.engine.record import Answer, Recorder, Request
from pipeline.graph.ops import Copy, Files, Http, Run
from pipeline.models.defined import Definitions
from pipeline.models.packages import NpmArchive
from pipeline.platform import PLATFORMS
from pipeline.resolve.lock import Locks
from pipeline.resolve.pins import DebPin
from pipeline.settings import Settings
from pipeline.stages.destinations import Destinations, open_destinations
from pipeline.stages.outputs import Output, OutputKind
from pipeline.stages.project import Project
from pipeline.stages.workbench import Workbench
from tests.unit.compose.samples import VERSIONS, deb_pin, definitions, locks, root_digest

MIRRORS = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")


@dataclass
class Notes:
    """A reporter that remembers what it was told."""

    lines: list[str] = field(default_factory=list)
    events: list[StepEvent] = field(default_factory=list)

    def notify(self, text: str) -> None:
        """Remember one line."""
        self.lines.append(text)

    @contextmanager
    def stage(self, _: str) -> Iterator[ProgressSink]:
        """Remember the steps of a stage."""
        yield self.events.append


def no_registry(request: httpx.Request) -> httpx.Response:
    """Answer as an image registry that is not there."""
    raise httpx.ConnectError("no route", request=request)


@dataclass(frozen=True, slots=True)
class Bench(Workbench):
    """A workbench whose npm registry is `packages` and whose image registry is `registry`."""

    packages: Mapping[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    histories: list[str] = field(default_factory=list)
    registry: Callable[[httpx.Request], httpx.Response] = no_registry

    async def fetch_npm(self, path: str) -> Any:
        """Look the package up."""
        self.asked.append(path)
        return self.packages.get(path)

    async def fetch_npm_history(self, path: str) -> Any:
        """Look the package up; the table has full documents."""
        self.histories.append(path)
        return self.packages.get(path)

    def http_client(self) -> httpx.AsyncClient:
        """Return a client of the image registry."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self.registry))

    @property
    def notes(self) -> list[str]:
        """What people were told."""
        assert isinstance(self.reporter, Notes)
        return self.reporter.lines

    @property
    def requests(self) -> list[Request]:
        """What the engine was asked."""
        assert isinstance(self.engine, Recorder)
        return self.engine.requests


def bench(
    folder: Path,
    answer: Callable[[Request], Answer] = lambda _: Answer(),
    *,
    packages: Mapping[str, Any] | None = None,
    registry: Callable[[httpx.Request], httpx.Response] = no_registry,
    roots: bool = True,
) -> Bench:
    """Return a workbench with its cache in `folder`; with `roots` the locked ones lie there."""
    made = Bench(
        Settings(cache=folder / "cache"), Recorder(answer), Notes(), packages=packages or {}, registry=registry
    )
    for platform in PLATFORMS if roots else ():
        place = made.roots / hex_of(root_digest("bootstrap", platform))
        place.mkdir(parents=True, exist_ok=True)
    return made


def project(folder: Path, pins: Locks | None = None, found: Definitions | None = None) -> Project:
    """Return the small project as if it lay in `folder`."""
    known = found or definitions()
    return Project(folder, Settings(cache=folder / "cache"), known, locks(known) if pins is None else pins)


def npm_registry() -> dict[str, Any]:
    """Return a registry with every package the small project wants, at the versions its locks have."""
    found = definitions()
    wanted = [package for item in found.toolchains.values() for package in item.model.spec.packages]
    wanted += [package for item in found.agents.values() for package in item.model.spec.packages]
    registry = {}
    for package in wanted:
        assert isinstance(package, NpmArchive)
        for name in {package.npm, *(package.platforms or {}).values()}:
            registry[name.replace("/", "%2F")] = npm_document(name, VERSIONS[package.npm])
    return registry


def npm_document(name: str, *versions: str) -> dict[str, Any]:
    """Return what the registry says of a package whose archives hold their own addresses, all of one old age."""
    paths = {version: f"{name}/-/{name.rpartition('/')[2]}-{version}.tgz" for version in versions}
    dist = {
        version: {
            "tarball": f"https://registry.npmjs.org/{path}",
            "integrity": "sha512-" + base64.b64encode(hashlib.sha512(path.encode()).digest()).decode(),
        }
        for version, path in paths.items()
    }
    return {
        "dist-tags": {"latest": versions[-1]},
        "time": dict.fromkeys(versions, "2026-01-01T00:00:00.000Z"),
        "versions": {version: {"dist": dist[version]} for version in versions},
    }


def archive_answer(request: Request) -> Answer | None:
    """Answer as the step that looks into archives, where this is one."""
    if request.state.name not in {"check archives", "list archives"} or not isinstance(request.state.op, Run):
        return None
    lines = []
    (mount,) = request.state.op.mounts
    assert isinstance(mount.source.op, Files)
    copies = [copy for copy in mount.source.op.actions if isinstance(copy, Copy)]
    if request.state.name == "list archives":
        return Answer(files={copy.path.removeprefix("/in/"): _listing(copy).encode() for copy in copies})
    for copy in copies:
        assert isinstance(copy.state.op, Http)
        data = copy.state.op.url.removeprefix("https://registry.npmjs.org/").encode()
        sums = hashlib.sha512(data).hexdigest(), hashlib.sha256(data).hexdigest()
        lines.append(f"{copy.path.removeprefix('/in/')} {sums[0]} {sums[1]} {len(data)} package\n")
    return Answer(files={"digests": "".join(lines).encode()})


def _listing(copy: Copy) -> str:
    """Return what tar says of an archive, which holds a program named after itself."""
    assert isinstance(copy.state.op, Http)
    file = copy.state.op.url.rpartition("/")[2].removesuffix(".tgz")
    lines = [
        f"-rw-r--r-- 0/0 {len(file)} 2026-01-01 00:00 package/package.json",
        f"-rwxr-xr-x 0/0 7 2026-01-01 00:00 package/bin/{file}",
    ]
    return "".join(f"{line}\n" for line in lines)


def apt_answer(request: Request, versions: Mapping[str, str] | None = None) -> Answer | None:
    """Answer as apt asked for packages, where this is that step; all are at 1.0-1 but for those in `versions`."""
    if not request.state.name.startswith("resolve Debian packages") or not isinstance(request.state.op, Run):
        return None
    tools, *names = request.state.op.args[7:]
    pins = [deb_pin(name, (versions or {}).get(name, "1.0-1")) for name in names]
    return Answer(files=apt_files(pins, tools.split()))


def apt_files(pins: Iterable[DebPin], tools: Iterable[str] = ()) -> dict[str, bytes]:
    """Return what the step that asks apt writes; `tools` are the names of those packages that are common."""
    known = tuple(pins)
    common = "".join(f"{pin.name}={pin.version}\n" for pin in known if pin.name in tools)
    uris = "".join(
        f"'{MIRRORS[0]}/{pin.path}' {pin.name}.deb {pin.size} SHA256:{hex_of(pin.sha256)}\n" for pin in known
    )
    shown = "\n".join(
        f"Package: {pin.name}\nVersion: {pin.version}\nArchitecture: {pin.architecture}\nFilename: {pin.path}\n"
        f"Size: {pin.size}\nSHA256: {hex_of(pin.sha256)}\n"
        for pin in known
    )
    return {"uris": uris.encode(), "shown": shown.encode(), "tools": common.encode()}


def resolving(request: Request) -> Answer:
    """Answer every question of lock resolution."""
    return archive_answer(request) or apt_answer(request) or Answer()


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below `folder`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def destinations_of(output: Output, desk: Workbench) -> AbstractAsyncContextManager[Destinations]:
    """Return what opens the registry that an output goes to, if it goes to one."""
    return open_destinations([output.target] if output.kind is OutputKind.PUSH else [], desk)
