"""`agc catalog`: the list, the object, and the files of the page."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from pipeline.catalog.store import render_catalog
from pipeline.cli import main
from pipeline.errors import ExitCode
from tests.shelves import catalog_of

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project from which two images were published."""
    (tmp_path / "registry").mkdir()
    text = render_catalog(catalog_of(2, date(2026, 11, 21)))
    (tmp_path / "registry" / "catalog.json").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_list_says_where_images_are(project: Path, capsys: Capture) -> None:
    """And which were not published yet."""
    assert main(["-C", str(project), "catalog"]) == ExitCode.OK
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}

    assert lines["node-bun-claude"][:2] == ["2.1.330", "2026-11-21"]
    assert lines["node-bun-claude"][-1] == "registry.example/agents/node-bun-claude:latest"
    assert lines["python"][-2:] == ["not", "published"]


def test_the_object_has_what_programs_want(project: Path, capsys: Capture) -> None:
    """Digest, tags and platforms; null for what is not known."""
    assert main(["-C", str(project), "catalog", "--json"]) == ExitCode.OK
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)["images"]}

    assert found["node-bun-codex"]["digest"].startswith("sha256:")
    assert found["node-bun-codex"]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert found["node-bun-codex"]["capabilities"] == ["bun", "node", "npm"]
    assert found["python"]["digest"] is None
    assert found["python"]["size"] is None


def test_the_page_is_three_files(project: Path, tmp_path: Path, capsys: Capture) -> None:
    """Written again they have the same bytes."""
    page = tmp_path / "some" / "where"
    assert main(["-C", str(project), "catalog", "--html", str(page)]) == ExitCode.OK
    first = {path.name: path.read_bytes() for path in page.iterdir()}
    assert main(["-C", str(project), "catalog", "--html", str(page)]) == ExitCode.OK

    assert set(first) == {"index.html", "catalog.css", "catalog.js"}
    assert {path.name: path.read_bytes() for path in page.iterdir()} == first
    assert "wrote " in capsys.readouterr().out


def test_a_place_that_cannot_be_written_to_is_told(project: Path, capsys: Capture) -> None:
    """With the exit code for that."""
    (project / "page").write_text("a file")

    assert main(["-C", str(project), "catalog", "--html", str(project / "page")]) == ExitCode.OUTPUT
    assert "page" in capsys.readouterr().err


def test_a_damaged_catalog_is_told(project: Path, capsys: Capture) -> None:
    """And no page is made of it."""
    (project / "registry" / "catalog.json").write_text("{}")

    assert main(["-C", str(project), "catalog", "--html", str(project / "page")]) == ExitCode.CATALOG
    assert not (project / "page").exists()
    assert "is no catalog" in capsys.readouterr().err
