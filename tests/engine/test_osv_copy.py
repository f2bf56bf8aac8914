"""OSV's data fetched from a server: what is fetched, when it is fetched again, and what a bad server leaves behind."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import pytest

from pipeline.errors import DatabaseError
from pipeline.settings import GateSettings, Settings
from pipeline.stages.osv_copy import FetchedOsv
from pipeline.verify.vulnerabilities.finding import ScanResult
from tests.unit.verify.vulnerabilities.samples import DJANGO, LODASH, cyclonedx, write_database


@dataclass
class Server:
    """A folder on loopback that answers with ETags; `cut` breaks off in the middle of each answer."""

    folder: Path
    address: str = ""
    asked: list[str] = field(default_factory=list)
    cut: bool = False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return a server of the small OSV database."""
    state = Server(write_database(tmp_path / "public"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = state.folder / self.path.lstrip("/")
            if not file.is_file():
                self.send_error(404)
                return
            data = file.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()}"'
            known = self.headers.get("If-None-Match") == tag
            state.asked.append(f"{self.path} {304 if known else 200}")
            self.send_response(304 if known else 200)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", "0" if known else str(len(data)))
            self.end_headers()
            if not known:
                self.wfile.write(data[: len(data) // 2] if state.cut else data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def scan(folder: Path, server: Server, *purls: str) -> ScanResult:
    """Scan an SBOM by the data on the server."""
    path = folder / "sbom.json"
    path.write_bytes(cyclonedx(*purls))
    settings = Settings(cache=folder / "cache", gate=GateSettings(osv=server.address))
    return anyio.run(functools.partial(FetchedOsv(settings).scan, path))


def test_only_what_an_image_needs_is_fetched_and_only_when_it_is_new(tmp_path: Path, server: Server) -> None:
    """The second time the server is asked, and says that nothing changed."""
    first = scan(tmp_path, server, LODASH)
    again = scan(tmp_path, server, LODASH)

    assert first == again
    assert [item.id for item in first.findings] == ["CVE-2020-8203"]
    assert server.asked == ["/npm/all.zip 200", "/npm/all.zip 304"]


def test_a_fetch_that_breaks_off_leaves_what_was_there(tmp_path: Path, server: Server) -> None:
    """And is a failure all the same."""
    scan(tmp_path, server, LODASH)
    archive = tmp_path / "cache" / "gate" / "osv" / "npm" / "all.zip"
    before = archive.read_bytes()
    (server.folder / "npm" / "all.zip").write_bytes(before + b"more")
    server.cut = True
    with pytest.raises(DatabaseError, match=r"all\.zip"):
        scan(tmp_path, server, LODASH)

    assert archive.read_bytes() == before
    assert sorted(path.name for path in archive.parent.iterdir()) == ["all.zip", "etag"]


def test_a_server_without_the_ecosystem_is_no_pass(tmp_path: Path, server: Server) -> None:
    """The address and its answer are told."""
    (server.folder / "PyPI" / "all.zip").unlink()
    with pytest.raises(DatabaseError, match=r"PyPI/all\.zip answered 404"):
        scan(tmp_path, server, LODASH, DJANGO)


def test_a_server_that_is_not_there_is_no_pass(tmp_path: Path, server: Server) -> None:
    """Nor is a copy of unknown age beside it."""
    server.address = "http://127.0.0.1:1"
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:1"):
        scan(tmp_path, server, LODASH)
