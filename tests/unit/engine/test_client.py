"""The pure parts of the BuildKit client: exports as buildctl reads them, secrets, routes of the probe."""

from __future__ import annotations

import csv
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest

from pipeline.digest import digest_bytes
from pipeline.engine.api import (
    Compression,
    Export,
    FilesExport,
    ImageContent,
    LayoutExport,
    SecretFile,
    Solved,
)
from pipeline.engine.buildkit.client import BuildKit, export_argument
from pipeline.engine.buildkit.lowering import Wiring
from pipeline.engine.buildkit.probe import probe, routes
from pipeline.engine.buildkit.shared_cache import parse_caches
from pipeline.errors import BrokenFetchError, EngineError, UsageError
from pipeline.graph import scratch
from pipeline.platform import AMD64
from tests.unit.graph.samples import ROOT

CONFIG = json.dumps({"config": {"Env": ["A=b, c", 'Q="']}}).encode()
CONTENT = ImageContent("name:tag", CONFIG, 7)


def fields(export: Export) -> dict[str, str]:
    """Return the attributes of an export as a reader of CSV sees them."""
    (record,) = csv.reader([export_argument(export)])
    return {key: value for key, _, value in (field.partition("=") for field in record)}


def test_a_config_survives_commas_and_quotes() -> None:
    """JSON full of both comes through CSV as it was."""
    assert fields(LayoutExport(Path("/out"), CONTENT))["containerimage.config"] == CONFIG.decode()


@pytest.mark.parametrize(
    ("export", "attributes"),
    [
        (LayoutExport(Path("/a b,c"), CONTENT), {"type": "oci", "tar": "false", "dest": "/a b,c", "name": "name:tag"}),
        (FilesExport(Path("/out")), {"type": "local", "dest": "/out"}),
    ],
    ids=["layout", "files"],
)
def test_each_export_is_named_as_buildkit_names_it(export: Export, attributes: dict[str, str]) -> None:
    """Type, place and name."""
    assert fields(export).items() >= attributes.items()


@pytest.mark.parametrize(
    ("compression", "level"),
    [(Compression.ZSTD, "3"), (Compression.GZIP, "6"), (Compression.UNCOMPRESSED, None)],
)
def test_blobs_are_always_compressed_anew_at_one_level(compression: Compression, level: str | None) -> None:
    """Otherwise a digest would depend on what the daemon had before."""
    attributes = fields(LayoutExport(Path("/out"), ImageContent("x", b"{}", 0, compression)))

    assert attributes["compression"] == str(compression)
    assert attributes["force-compression"] == "true"
    assert attributes["source-date-epoch"] == "0"
    assert attributes.get("compression-level") == level


def test_a_root_that_lies_nowhere_is_named_before_anything_runs() -> None:
    """The digest and the way to get it are said."""
    engine = BuildKit("unix:///nowhere", Path("/nowhere/buildctl"))

    with pytest.raises(EngineError, match=digest_bytes(b"root")):
        anyio.run(lambda: engine.solve(ROOT, platform=AMD64, layouts={}))


def test_a_secret_that_cannot_be_read_is_named_before_anything_runs(tmp_path: Path) -> None:
    """By its name and path."""
    engine = BuildKit("unix:///nowhere", Path("/nowhere/buildctl"))
    secret = SecretFile("token", tmp_path / "absent")

    with pytest.raises(UsageError, match=r"secret token: .*absent: No such file"):
        anyio.run(
            lambda: engine.solve(ROOT, platform=AMD64, layouts={digest_bytes(b"root"): tmp_path}, secrets=[secret])
        )


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("https://registry.example/x", False),
        ("https://localhost/x", True),
        ("https://10.0.0.5:5000/x", True),
        ("https://npm.corp.example/x", True),
        ("https://corp.example/x", True),
        ("https://notcorp.test/x", False),
    ],
)
def test_the_probe_takes_the_proxy_but_for_exempt_hosts(url: str, direct: bool) -> None:
    """A name in no_proxy covers its subdomains."""
    wiring = Wiring(
        proxies={
            "https_proxy": "http://proxy:3128",
            "no_proxy": "localhost, 10.0.0.5,::1,192.168.0.0/16,.corp.example,corp.example",
        }
    )
    client = httpx.AsyncClient(mounts=routes(wiring), trust_env=False)
    direct_transport = client._transport

    assert (client._transport_for_url(httpx.URL(url)) is direct_transport) is direct


def test_no_proxy_at_all_is_a_star() -> None:
    """Then there is nothing to route."""
    assert routes(Wiring(proxies={"http_proxy": "http://p:1", "no_proxy": "*"})) == {}


@pytest.mark.parametrize("url", ["no url", "ftp://example.org/x", "http://host:port/"])
def test_what_cannot_be_asked_is_an_answer_in_words(url: str) -> None:
    """The probe explains a failure and must not be one."""
    assert isinstance(anyio.run(lambda: probe(url, Wiring(), None)), str)


def test_a_solve_takes_from_all_names_and_shares_under_the_first() -> None:
    """One that exports an image shares nothing, and neither does one that belongs to no image."""
    places = parse_caches("cache-to", ["type=registry,ref=registry.example/cache"])
    engine = BuildKit("tcp://x:1", Path("/buildctl"), cache_to=places, cache_from=places)
    shared = engine.sharing("node-bun-claude", "node-bun")

    taken = [
        f"--import-cache=type=registry,ref=registry.example/cache:{name}-linux-amd64"
        for name in ("node-bun-claude", "node-bun")
    ]
    *imports, export = shared._shared(AMD64, exporting=False)
    assert imports == taken
    assert export.startswith("--export-cache=")
    assert ":node-bun-claude-linux-amd64," in export
    assert list(shared._shared(AMD64, exporting=True)) == taken
    assert list(engine._shared(AMD64, exporting=False)) == []


@pytest.mark.parametrize(("failures", "tries"), [(0, 1), (1, 2), (2, 3)])
def test_a_fetch_that_broke_off_is_tried_again(failures: int, tries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice, with a pause before."""
    asked: list[object] = []

    async def once(*arguments: object) -> Solved:
        asked.append(arguments)
        if len(asked) <= failures:
            raise BrokenFetchError("EOF")
        return Solved()

    _solve_with(once, monkeypatch)

    assert len(asked) == tries


def test_a_fetch_that_breaks_off_again_and_again_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the third time."""

    async def once(*_: object) -> Solved:
        raise BrokenFetchError("EOF")

    with pytest.raises(BrokenFetchError):
        _solve_with(once, monkeypatch)


def _solve_with(once: Callable[..., Awaitable[Solved]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.engine.buildkit.client._PAUSES", (0.0, 0.0))
    monkeypatch.setattr(BuildKit, "_once", once)
    engine = BuildKit("unix:///nowhere", Path("/nowhere/buildctl"))
    anyio.run(partial(engine.solve, scratch(), platform=AMD64, layouts={}))
