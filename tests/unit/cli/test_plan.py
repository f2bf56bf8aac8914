"""`agc plan` and `agc build --changed`, as a person and as a program see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog.record import Catalog
from pipeline.catalog.store import catalog_path, render_catalog
from pipeline.cli import main
from pipeline.cli import plan_markdown as markdown
from pipeline.cli.output import text_of
from pipeline.cli.plan import _lines
from pipeline.errors import ExitCode
from pipeline.platform import AMD64
from pipeline.stages.changes import Comparison, compare
from tests.unit.compose.samples import locks
from tests.unit.stages.published import FOUND, moved, planned, published

Capture = pytest.CaptureFixture[str]
PINS = locks(FOUND)
NAMES = ("node-bun-claude", "node-bun-codex")


def comparison() -> Comparison:
    """Return a plan in which much has happened."""
    before = planned(moved(moved(PINS, "agents/claude", "2.1.329"), "bases/plain", "0.9"))
    catalog = published(image for image in before if image.name != "node-bun-picky")
    gone = catalog.model_copy(update={"images": {**catalog.images, "old-claude": catalog.images["plain"]}})
    return compare(planned(), gone, "registry/catalog.json", whole=True)


@pytest.mark.parametrize("detailed", [False, True])
def test_a_plan_looks_as_it_was_reviewed(detailed: bool, golden: Callable[[str, str], None]) -> None:
    """A line for each image, or everything about it."""
    text = text_of(_lines(comparison(), changed_only=False, detailed=detailed))

    golden(f"cli/plan{'-detailed' if detailed else ''}.txt", text)
    assert max(len(one) for one in text.splitlines()) < 80


def test_a_plan_of_what_changed_leaves_the_rest_out() -> None:
    """But counts it."""
    text = text_of(_lines(comparison(), changed_only=True, detailed=False))

    assert "\nnode-bun " not in text
    assert "1 new, 3 changed, 1 unchanged, against registry/catalog.json" in text


def test_a_plan_is_readable_in_a_summary(golden: Callable[[str, str], None]) -> None:
    """As a table with all reasons."""
    golden("cli/plan.md", text_of(markdown.lines_of(comparison(), changed_only=True)))


def test_what_others_wrote_is_no_markdown() -> None:
    """A version that looks like markup, a mention or the end of a cell stays words."""
    hostile = "1.0`|<img src=x>@everyone\n| [x](http://evil.example)"
    found = compare(planned(moved(PINS, "agents/claude", hostile)), published(planned()), "x", whole=True)
    rows = text_of(markdown.lines_of(found, changed_only=True)).splitlines()

    outside = ["".join(row.split("`")[::2]) for row in rows]
    assert any("everyone" in row for row in rows)
    assert not any("everyone" in row or "evil" in row or "<img" in row for row in outside)
    assert {row.replace("\\|", "").count("|") for row in rows if row.startswith("|")} == {5}


def test_names_and_versions_of_any_length_fit_a_terminal() -> None:
    """What does not fit is counted or cut."""
    version = "2026.11.21-beta.1234567890+abcdef0123456789abcdef0123456789abcdef0123456789"
    found = compare(planned(moved(PINS, "agents/claude", version)), published(planned()), "x", whole=True)
    rows = text_of(_lines(found, changed_only=True, detailed=False)).partition("what moves")[0].splitlines()

    assert max(len(row) for row in rows) < 80
    assert [row for row in rows if row.endswith("…")]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Return an empty project after two of the shipped images were pushed from it."""
    assert shipped(tmp_path) is not None
    return tmp_path


def shipped(folder: Path) -> Catalog:
    """Record two shipped images as pushed from a project in `folder`."""
    from pipeline.compose.image import compose_all
    from pipeline.stages.project import load_project
    from pipeline.stages.report import planned_images

    # To a place that nobody else reads, agents go as they are.
    (folder / "agc.toml").write_text('[publish]\nprivate = ["ghcr.io/me"]\n')
    plans = load_project(folder, {}).plan(NAMES, (AMD64,))
    catalog = published(planned_images(compose_all(plans)))
    catalog_path(folder).parent.mkdir()
    catalog_path(folder).write_text(render_catalog(catalog))
    return catalog


def answer(project: Path, capsys: Capture, *arguments: str) -> Any:
    """Return the object that a command prints."""
    command = ["-C", str(project), *arguments, "--platform", "amd64", "--json"]
    assert main(command) == ExitCode.OK, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_a_plan_reads_the_catalog_of_its_project(recorded: Path, capsys: Capture) -> None:
    """What is recorded is unchanged, and all else is new."""
    found = answer(recorded, capsys, "plan")
    states = {image["name"]: image["state"] for image in found["images"]}

    assert {states.pop(name) for name in NAMES} == {"unchanged"}
    assert set(states.values()) == {"new"}
    assert sorted(states) == sorted(found["new"])
    assert found["against"] == "registry/catalog.json"
    changed = answer(recorded, capsys, "plan", "--changed")
    assert [image["name"] for image in changed["images"]] == found["new"]


def test_a_build_of_what_changed_has_nothing_to_do(recorded: Path, capsys: Capture) -> None:
    """No engine is looked for, and it is no failure."""
    command = ["-C", str(recorded), "build", *NAMES, "--changed", "--platform", "amd64"]

    assert main(command) == ExitCode.OK
    assert capsys.readouterr().out == "nothing to do: all 2 images are as in registry/catalog.json\n"
    assert main([*command[:3], NAMES[0], *command[5:]]) == ExitCode.OK
    assert capsys.readouterr().out == "nothing to do: the image is as in registry/catalog.json\n"
    assert answer(recorded, capsys, "build", *NAMES, "--changed") == {"images": []}


def test_a_plan_in_markdown_is_all_there_is_on_standard_output(recorded: Path, capsys: Capture) -> None:
    """So that it can be appended to a summary."""
    assert main(["-C", str(recorded), "plan", "--changed", "--markdown", "--platform", "amd64"]) == ExitCode.OK

    text = capsys.readouterr().out
    assert text.startswith("### Images: ")
    assert "| `node-bun-openclaw` | new |" in text
    assert "node-bun-claude`" not in text


def test_a_catalog_of_a_newer_program_ends_a_plan(tmp_path: Path, capsys: Capture) -> None:
    """With an exit code of its own."""
    catalog_path(tmp_path).parent.mkdir()
    catalog_path(tmp_path).write_text('{"schema": "agentcontainers/catalog/v2"}')

    assert main(["-C", str(tmp_path), "plan"]) == ExitCode.CATALOG
    assert "agentcontainers/catalog/v2" in capsys.readouterr().err


WRONG = {
    "two forms": (["plan", "--markdown", "--json"], "--markdown and --json are two forms of the same"),
    "nothing named": (["build"], "no image was named"),
    "against nothing": (["build", NAMES[0], "--against", "ghcr.io/me"], "--against says what --changed compares with"),
    "an address": (["plan", "--against", "https://ghcr.io/me"], "'https://ghcr.io/me' is no registry namespace"),
    "no place": (["plan", "--against", "/"], "'/' is no registry namespace"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_meant_is_refused(tmp_path: Path, capsys: Capture, arguments: list[str], words: str) -> None:
    """Before anything is built or asked."""
    assert main(["-C", str(tmp_path), *arguments]) == ExitCode.USAGE
    assert words in capsys.readouterr().err
