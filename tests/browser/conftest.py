"""A real browser, the rules of axe-core, and pages served on loopback."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import os
import shutil
import ssl
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from pipeline.settings import NPM_REGISTRY, load_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE = "axe-core/-/axe-core-4.14.1.tgz"
AXE_INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
SHOTS = os.environ.get("AGC_SCREENSHOTS", "")
"""A folder for pictures of what the tests see, for a person to look at."""
Serve = Callable[[Path], AbstractContextManager[str]]


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback, and yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@dataclass(slots=True)
class Seen:
    """A page, and everything about it that should not have happened."""

    page: Page
    wrong: list[str] = field(default_factory=list)

    def goto(self, address: str) -> None:
        """Go somewhere, and wait until all of it is loaded."""
        self.page.goto(address, wait_until="load")

    def until(self, expression: str) -> Any:
        """Return what an expression comes to once that is true; raises TimeoutError after ten seconds.

        Playwright's own waiting has the page evaluate text again and again, which the page's policy forbids.
        """
        ends = time.monotonic() + 10
        while not (found := self.page.evaluate(expression)):
            if time.monotonic() > ends:
                raise TimeoutError(expression)
            self.page.wait_for_timeout(20)
        return found

    def picture(self, name: str, *, whole: bool = False) -> None:
        """Keep a picture, where somebody asked for them."""
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=whole)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium; its event loop runs in this thread until it ends, so it must not outlive its module."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Seen]]:
    """Return a maker of pages that remember errors, failed requests, and any request to another host."""
    contexts = []

    def make(**options: Any) -> Seen:
        context = browser.new_context(**options)
        contexts.append(context)
        seen = Seen(context.new_page())
        page = seen.page
        page.on("console", lambda message: seen.wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: seen.wrong.append(str(error)))
        page.on("requestfailed", lambda request: seen.wrong.append(f"failed: {request.url}"))
        page.on(
            "response",
            lambda answer: seen.wrong.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None,
        )
        page.on(
            "request", lambda request: seen.wrong.append(f"foreign: {request.url}") if _foreign(request.url) else None
        )
        return seen

    yield make
    for context in contexts:
        context.close()


def _foreign(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:"))


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the script of axe-core, fetched once and checked."""
    settings = load_settings(Path("/nonexistent"), os.environ)
    kept = settings.cache / "test-tools" / Path(AXE).name
    if not kept.is_file():
        # Not the client of `agc`: the browser's own loop runs in this thread.
        verify = ssl.create_default_context(cafile=str(settings.ca_bundle) if settings.ca_bundle else None)
        try:
            with httpx.Client(verify=verify, follow_redirects=True, timeout=60) as client:
                data = client.get(settings.mirrored(NPM_REGISTRY) + AXE).raise_for_status().content
        except httpx.HTTPError as error:
            pytest.skip(f"axe-core cannot be had: {error}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(data)
    data = kept.read_bytes()
    assert f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}" == AXE_INTEGRITY
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


@pytest.fixture(scope="session")
def faults(axe: str) -> Callable[[Page], list[str]]:
    """Return a check of a page: what axe-core finds that is serious, or worse."""

    def check(page: Page) -> list[str]:
        # Not a script of the page, whose own policy would forbid it.
        page.evaluate(axe)
        found = page.evaluate("async () => (await axe.run()).violations")
        serious = [one for one in found if one["impact"] in {"serious", "critical"}]
        return [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
            for one in serious
            for node in one["nodes"][:2]
        ]

    return check
