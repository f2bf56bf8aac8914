"""What a push leaves in the catalog."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import pytest

from pipeline.catalog.record import Catalog
from pipeline.catalog.store import catalog_path, read_catalog
from pipeline.compose.image import compose
from pipeline.engine.api import Compression
from pipeline.engine.layout import read_manifest
from pipeline.errors import OutputError
from pipeline.platform import AMD64, ARM64
from pipeline.stages.building import build_image
from pipeline.stages.changes import compare
from pipeline.stages.outputs import Output, parse_output
from pipeline.stages.recording import Publication, remember, with_publication
from pipeline.stages.report import ImageReport
from tests.unit.catalog.registry import MemoryRegistry
from tests.unit.compose.samples import locks, plan
from tests.unit.stages.bench import Bench, bench, destinations_of
from tests.unit.stages.published import FOUND, moved, planned, publication_of, published

NAME = "node-bun-claude"
ONE = planned(names=[NAME], platforms=[AMD64])


async def build(desk: Bench, output: Output, heard: list[Publication]) -> ImageReport:
    """Build and deliver the image for one platform; `heard` gets what is heard of a push."""
    async with destinations_of(output, desk) as destinations:
        return await build_image(
            *([compose(plan(NAME))], output, Compression.ZSTD, desk, []),
            locked=True,
            on_pushed=heard.append,
            destinations=destinations,
        )


def pushed(desk: Bench, output: Output) -> tuple[ImageReport, list[Publication]]:
    """Build and deliver the image for one platform, and return what was heard of a push."""
    heard: list[Publication] = []
    return anyio.run(build, desk, output, heard), heard


def test_what_was_pushed_is_recorded_as_its_manifest_has_it(tmp_path: Path) -> None:
    """Blob by blob, and a plan right after finds it unchanged."""
    desk = bench(tmp_path, registry=MemoryRegistry())
    report, (heard,) = pushed(desk, parse_output("push:ghcr.io/me"))
    remember(tmp_path, heard)
    catalog = read_catalog(catalog_path(tmp_path))
    assert catalog is not None
    image = catalog.images[NAME]
    one = image.platforms["linux/amd64"]
    manifest = read_manifest(desk.settings.cache / "images", one.digest)

    assert (image.digest, image.repositories, image.tags) == (report.digest, (f"ghcr.io/me/{NAME}",), ("latest",))
    assert image.reasons == ("never published",)
    assert [(layer.digest, layer.size) for layer in one.layers] == [
        (blob.digest, blob.size) for blob in manifest.layers
    ]
    assert one.config == manifest.config.digest
    assert compare(ONE, catalog, "x", whole=True).to_build == ()


@pytest.mark.parametrize("output", ["oci:out", "none"])
def test_what_stays_on_this_machine_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    """Nobody can pull it."""
    monkeypatch.chdir(tmp_path)

    assert pushed(bench(tmp_path), parse_output(output))[1] == []


def test_a_push_that_fails_is_not_recorded(tmp_path: Path) -> None:
    """The old image is still the one that users have."""
    registry = MemoryRegistry(before=lambda request: httpx.Response(403) if request.method == "PUT" else None)
    desk, heard = bench(tmp_path, registry=registry), list[Publication]()
    with pytest.raises(OutputError, match="HTTP 403"):
        anyio.run(build, desk, parse_output("push:ghcr.io/me"), heard)
    assert heard == []


def elsewhere(item: Publication, repository: str) -> Publication:
    """Return the same push to another place."""
    return Publication(item.planned, item.image.model_copy(update={"repositories": (repository,)}), item.contents)


def test_the_same_image_may_lie_in_several_places() -> None:
    """And keeps the reason for which it was once made."""
    first = published(planned(moved(locks(FOUND), "agents/claude", "1.0.0"), [NAME], [AMD64]))
    second = published(ONE, first)
    third = with_publication(second, elsewhere(publication_of(ONE[0]), f"quay.io/me/{NAME}"))

    assert second.images[NAME].reasons == ("claude 1.0.0 → 2.1.330",)
    assert third.images[NAME].repositories == (f"ghcr.io/me/{NAME}", f"quay.io/me/{NAME}")
    assert third.images[NAME].reasons == second.images[NAME].reasons
    assert published(ONE, second) == second


def test_another_image_lies_only_where_it_was_pushed() -> None:
    """The other place still has the old one."""
    one = published(ONE)
    newer = planned(moved(locks(FOUND), "agents/claude"), [NAME], [AMD64])[0]
    after = with_publication(one, elsewhere(publication_of(newer), f"quay.io/me/{NAME}"))

    assert after.images[NAME].repositories == (f"quay.io/me/{NAME}",)
    assert compare([newer], after, "x", whole=False, to="ghcr.io/me").to_build == (NAME,)


def test_a_push_for_one_platform_leaves_no_other_recorded() -> None:
    """Its tag names that one alone."""
    both = published(planned(names=[NAME], platforms=[AMD64, ARM64]))

    assert list(published(ONE, both).images[NAME].platforms) == ["linux/amd64"]


def test_other_images_are_left_as_they_are() -> None:
    """With what an older program did not know about them."""
    known = published(planned(names=["plain"]))
    strange = known.images["plain"].model_copy(update={"agedBehind": 3})
    before = known.model_copy(update={"images": {"plain": strange}})

    after = published(ONE, Catalog.model_validate(before.model_dump(by_alias=True)))

    assert set(after.images) == {"plain", NAME}
    assert after.images["plain"].model_dump(by_alias=True)["agedBehind"] == 3
