"""The catalog document: read, kept, merged and written, and refused where it cannot be understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.catalog.record import SCHEMA, Catalog, per_blob
from pipeline.catalog.store import catalog_path, parse_catalog, read_catalog, render_catalog, update_catalog
from pipeline.errors import AgcError, CatalogError, ExitCode
from pipeline.platform import AMD64
from tests.conftest import GOLDEN
from tests.unit.stages.published import planned, published

OLDER = GOLDEN / "catalog" / "v1.json"
SMALL = published(planned(names=["plain", "node-bun-claude"], platforms=[AMD64]))


def document() -> dict[str, Any]:
    """Return the committed document as plain data."""
    data: dict[str, Any] = json.loads(OLDER.read_text(encoding="utf-8"))
    return data


def test_a_catalog_looks_as_it_was_reviewed(golden: Callable[[str, str], None]) -> None:
    """It is committed, and read by other programs."""
    golden("catalog/small.json", render_catalog(SMALL))


def test_what_is_written_is_read_as_it_was() -> None:
    """And written again it has the same bytes."""
    text = render_catalog(SMALL)

    assert parse_catalog(text, "x") == SMALL
    assert render_catalog(parse_catalog(text, "x")) == text


def test_a_document_of_an_earlier_program_is_read() -> None:
    """The file is of the first version, and is never renewed."""
    catalog = parse_catalog(OLDER.read_text(encoding="utf-8"), "v1.json")
    image = catalog.images["small-chatter"]
    (layer, *_, agent) = image.platforms["linux/amd64"].layers

    assert image.repositories == ("ghcr.io/me/small-chatter",)
    assert image.reasons == ("chatter 1.0.0 → 1.1.0",)
    assert (layer.component, layer.version, layer.size) == ("roots/debian-trixie", "trixie", 43210987)
    assert (agent.component, agent.version, agent.pin) == ("agents/chatter", "1.1.0", "")
    assert catalog.contents[layer.graph_digest].packages == {"apt": "3.0.3", "dash": "0.5.12-12"}
    assert image.platforms["linux/amd64"].settings["Cmd"] == ["chatter"]


def test_fields_of_a_newer_program_are_kept() -> None:
    """Wherever they stand: who does not know them takes nothing away."""
    data = document()
    image = data["images"]["small-chatter"]
    for place in (data, image, image["platforms"]["linux/amd64"], image["platforms"]["linux/amd64"]["layers"][0]):
        place["licenceClass"] = {"publish": "baked"}

    assert json.loads(render_catalog(parse_catalog(json.dumps(data), "x"))) == data


@pytest.mark.parametrize("schema", ["agentcontainers/catalog/v2", "agentcontainers/lock/v1", 1, None])
def test_another_major_version_is_refused(schema: Any) -> None:
    """With both names, and not as damage."""
    with pytest.raises(CatalogError) as caught:
        parse_catalog(json.dumps({**document(), "schema": schema}), "catalog.json")

    assert repr(schema) in caught.value.message
    assert SCHEMA in caught.value.message
    assert "newer" in caught.value.remedy
    assert caught.value.exit_code is ExitCode.CATALOG


DAMAGED = {
    "cut": '{"schema": "agentcontainers/catalog/v1", "images": {',
    "no object": "[]",
    "no schema": "{}",
    "wrong type": '{"schema": "agentcontainers/catalog/v1", "images": []}',
    "no digest": json.dumps({"schema": SCHEMA, "images": {"x": {"repositories": [], "platforms": {}}}}),
    "bad digest": json.dumps({"schema": SCHEMA, "images": {"x": {"digest": "1", "repositories": [], "platforms": {}}}}),
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_catalog_is_refused_with_its_place(text: str) -> None:
    """And how to mend it."""
    with pytest.raises(CatalogError) as caught:
        parse_catalog(text, "registry/catalog.json")

    assert str(caught.value).startswith("registry/catalog.json: ")
    assert "git" in caught.value.remedy


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """As one that cannot be opened."""
    (tmp_path / "one").write_bytes(b"\xff\xfe")
    (tmp_path / "two").mkdir()

    for name in ("one", "two"):
        with pytest.raises(CatalogError, match="cannot be read"):
            read_catalog(tmp_path / name)


def test_a_missing_catalog_is_none_and_made_by_the_first_push(tmp_path: Path) -> None:
    """With nothing left beside it."""
    path = catalog_path(tmp_path)
    assert read_catalog(path) is None

    update_catalog(path, lambda catalog: published(planned(names=["plain"]), catalog))

    assert list(read_catalog(path).images) == ["plain"]  # type: ignore[union-attr]  # it was just written
    assert [file.name for file in path.parent.iterdir()] == ["catalog.json"]


def test_an_update_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    """A second push of the same image leaves no trace in git."""
    path = catalog_path(tmp_path)
    update_catalog(path, lambda _: SMALL)
    before = path.stat()

    update_catalog(path, lambda catalog: published(planned(names=["plain"], platforms=[AMD64]), catalog))

    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_update_of_what_cannot_be_read_leaves_it(tmp_path: Path) -> None:
    """It may be a newer program's."""
    path = catalog_path(tmp_path)
    path.parent.mkdir()
    path.write_text('{"schema": "agentcontainers/catalog/v2"}')

    with pytest.raises(CatalogError):
        update_catalog(path, lambda _: SMALL)

    assert path.read_text() == '{"schema": "agentcontainers/catalog/v2"}'


def test_contents_that_no_image_holds_are_dropped() -> None:
    """Once for all images that do."""
    whole = published(planned(names=["plain", "node-bun"], platforms=[AMD64]))
    held = {layer.graph_digest for layer in whole.images["plain"].platforms["linux/amd64"].layers}
    other = whole.images["plain"].model_copy(update={"digest": whole.images["node-bun"].digest})

    assert len(whole.contents) == 4
    assert set(whole.with_image("node-bun", other, {}).contents) == held & set(whole.contents)


def test_records_cannot_be_changed() -> None:
    """Neither a field nor a mapping."""
    with pytest.raises(ValidationError):
        SMALL.images["plain"].digest = "x"  # type: ignore[misc,assignment]  # that is what must fail
    with pytest.raises(TypeError):
        SMALL.images["plain"].platforms["x"] = None  # type: ignore[index]  # as above


def test_blobs_belong_to_layers_from_the_top() -> None:
    """A root from a registry may have several."""
    assert per_blob(["root", "base"], 4, "x") == ["root", "root", "root", "base"]
    assert per_blob([], 2, "x") == []
    with pytest.raises(AgcError, match="x has 1 layers where 2 were composed"):
        per_blob(["root", "base"], 1, "x")


def test_an_empty_catalog_is_one_too() -> None:
    """It says which form it has."""
    assert json.loads(render_catalog(Catalog())) == {"schema": SCHEMA}
    assert parse_catalog(render_catalog(Catalog()), "x") == Catalog()
