"""The site, built from docs/ and opened in a real browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Seen, serve
from tests.engine.support import CHECKOUT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

Look = Callable[..., Seen]
PAGES = {
    "home": "",
    "layers": "explanation/layers/",
    "agent": "catalog/agents/openclaw/",
    "stack": "catalog/stacks/gateway-headroom/",
    "images": "catalog/images/",
    "cli": "reference/cli/",
    "schema": "reference/schemas/agents/",
    "tutorial": "tutorial/own-agent/",
    "catalog": "images/index.html",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; malformed pages and links that lead nowhere end it."""
    out = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "ci/site.py", str(out)]
    done = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serve it."""
    with serve(site) as address:
        yield address


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_without_a_fault(
    look: Look, address: str, faults: Callable[[Page], list[str]], name: str, scheme: str
) -> None:
    """No error, no failed request, nobody else asked, and nothing serious for axe-core."""
    seen = look(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    seen.goto(f"{address}/{PAGES[name]}")
    seen.picture(f"site-{name}-{scheme}")

    assert faults(seen.page) == []
    assert seen.wrong == []


def test_the_site_has_every_page(site: Path) -> None:
    """What is written in docs/ is on it."""
    pages = [path.relative_to(CHECKOUT / "docs") for path in (CHECKOUT / "docs").rglob("*.md")]
    folders = [path.parent if path.name in {"README.md", "index.md"} else path.with_suffix("") for path in pages]

    assert [str(folder) for folder in folders if not (site / folder / "index.html").is_file()] == []


def test_the_site_can_be_searched(look: Look, address: str) -> None:
    """By what a person types."""
    seen = look(viewport={"width": 1280, "height": 900})
    seen.goto(f"{address}/")
    page = seen.page
    page.keyboard.press("/")
    page.keyboard.type("late-bound")
    page.get_by_text("late-bound").first.wait_for(timeout=10_000)

    assert seen.wrong == []
