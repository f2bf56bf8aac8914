"""The catalog as a list and as a page: what stands in it, without any script, and that nothing in it can break out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from html import unescape

import pytest

from pipeline.catalog.record import Catalog, ImageRecord, LayerRecord, PlatformRecord
from pipeline.digest import digest_bytes
from pipeline.outputs.catalog_page import catalog_page, sharing, size
from pipeline.outputs.shelf import day_of, shelf
from pipeline.outputs.subject import Subject
from pipeline.stages.project import load_project, shipped_folder
from tests.shelves import catalog_of

PROJECT = load_project(shipped_folder(), {})
EMPTY = Subject(shipped_folder() / "templates", "1.2.3", own=True, project=PROJECT, catalog=Catalog())
FULL = replace(EMPTY, catalog=catalog_of(60, date(2026, 11, 21)))
X = digest_bytes(b"x")

DAYS = {
    ("latest", "2026.11.21"): "2026-11-21",
    ("2026.11.02", "2026.11.21.2", "2.1"): "2026-11-21",
    ("2026.11.21-abc1234",): "2026-11-21",
    ("latest", "2.1.330"): "",
    (): "",
}


def page_of(subject: Subject) -> str:
    """Return the text of the page."""
    return catalog_page(subject)[0].text


def rows(text: str) -> dict[str, str]:
    """Return the rows of the list by image."""
    return {match[1]: match[0] for match in re.finditer(r'<tr id="image-([^"]*)".*?</tr>', text)}


@pytest.mark.parametrize(("tags", "day"), DAYS.items())
def test_the_day_of_an_image_is_in_its_tags(tags: tuple[str, ...], day: str) -> None:
    """The newest of them; an image without one has none."""
    assert day_of(tags) == day


def test_what_was_not_published_is_there_with_the_command_that_builds_it() -> None:
    """All images of the project, and nothing that is none."""
    found = rows(page_of(EMPTY))

    assert set(found) == set(PROJECT.images)
    assert "agc build node-bun-claude -o docker" in found["node-bun-claude"]
    assert "not yet" in found["node-bun-claude"]
    assert "<section" not in page_of(EMPTY)


def test_what_was_published_is_there_with_the_command_that_pulls_it() -> None:
    """Agent, version, base, day and size come from the catalog."""
    row = rows(page_of(FULL))["node-bun-claude"]

    assert "docker pull registry.example/agents/node-bun-claude:latest" in row
    assert 'data-day="2026-11-21"' in row
    assert 'data-agent="claude"' in row
    assert 'data-base="node-bun"' in row
    assert 'data-can="bun node npm"' in row
    assert '<span class="version">2.1.330</span>' in row


def test_a_brought_toolchain_is_no_capability() -> None:
    """It is off PATH: only the agent that brings it finds it."""
    (plain,) = (item for item in shelf(EMPTY) if item.name == "python-openclaw")
    layers = [
        LayerRecord(component=f"toolchains/{name}", graph_digest=X, digest=X, size=1) for name in ("python", "node")
    ]
    platform = PlatformRecord(digest=X, config=X, layers=tuple(layers))
    image = ImageRecord(digest=X, repositories=("r/x",), platforms={"linux/amd64": platform})
    (item,) = (
        one
        for one in shelf(replace(EMPTY, catalog=Catalog(images={"python-openclaw": image})))
        if one.name == "python-openclaw"
    )

    assert "node" not in plain.capabilities
    assert item.capabilities == plain.capabilities


def test_each_layer_counts_once() -> None:
    """However many images hold it."""
    found = sharing(shelf(FULL))

    assert found is not None
    assert found.once < found.apart / 3
    assert sum(block.width for block in found.kinds) == pytest.approx(1000 * found.once / found.apart, abs=1)
    assert sum(block.width for block in found.blocks) == pytest.approx(1000, abs=1)
    assert len(found.blocks) == found.layers


def test_the_data_name_each_layer_once() -> None:
    """Images have the numbers of theirs."""
    text = page_of(FULL)
    data = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    image = next(one for one in data["images"] if one["name"] == "node-bun-claude")

    assert len({tuple(layer[:2]) for layer in data["layers"]}) == len(data["layers"])
    assert [data["layers"][number][0] for number in image["layers"]][-1] == "agents/claude"


def test_what_else_the_catalog_says_of_an_image_is_shown() -> None:
    """Licence, tests it passed, evidence, and how to verify it."""
    (item,) = (one for one in shelf(FULL) if one.name == "node-bun-claude")

    assert item.notes == (
        "Licence of agents/claude: MIT (baked)",
        "Smoke tests passed: presence, answer, work",
        "Evidence: https://slsa.dev/provenance/v1 (signed)",
    )
    assert item.verify == (f"agc verify registry.example/agents/node-bun-claude@{item.digest} --key cosign.pub",)


def test_nothing_in_a_catalog_breaks_out_of_the_page() -> None:
    """A registry may be of somebody else."""
    evil = "</script><script>alert(1)</script>\"'&"
    layer = LayerRecord(component=f"agents/{evil}", graph_digest=X, digest=X, size=1, version=evil)
    platform = PlatformRecord(digest=X, config=X, layers=(layer,))
    image = ImageRecord(digest=X, repositories=(evil,), tags=(evil,), platforms={evil: platform})

    text = page_of(replace(EMPTY, catalog=Catalog(images={evil: image})))

    assert text.count("<script") == 2
    assert "alert(1)</script>" not in text
    assert evil in unescape(text)


def test_no_other_host_is_asked_for_anything() -> None:
    """And the page's own policy says so."""
    for file in catalog_page(FULL):
        assert not re.search(r"""(src|href)=["']?(https?:)?//|@import|url\(""", file.text)
    assert "default-src 'none'" in page_of(FULL)


def test_the_same_catalog_gives_the_same_page() -> None:
    """In whatever order its images were recorded."""
    images = FULL.catalog.images
    turned = Catalog(images=dict(reversed(list(images.items()))))

    assert catalog_page(replace(FULL, catalog=turned)) == catalog_page(FULL)


@pytest.mark.parametrize(("number", "words"), [(0, "0.0 MB"), (71_900_000, "71.9 MB"), (1_250_000_000, "1.2 GB")])
def test_sizes_are_in_units_people_know(number: int, words: str) -> None:
    """Decimal ones, as registries count."""
    assert size(number) == words
