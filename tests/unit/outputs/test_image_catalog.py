"""IMAGE-CATALOG.md says what the catalog says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from pipeline.catalog.record import Catalog, EvidenceRecord, LicenceRecord, UpstreamRecord
from pipeline.digest import digest_bytes
from pipeline.outputs.image_catalog import image_catalog_files
from pipeline.outputs.subject import Subject
from pipeline.platform import AMD64
from pipeline.stages.project import load_project, shipped_folder
from pipeline.stages.releasing import with_upstream
from tests.unit.stages.published import planned, published

PROJECT = load_project(shipped_folder(), {})
NEWEST = UpstreamRecord(package="claude", version="2.1.331", published=date(2026, 11, 21), reason="it is too young")


def page(catalog: Catalog) -> str:
    """Return the page of a catalog."""
    (file,) = image_catalog_files(
        Subject(shipped_folder() / "templates", "1", own=True, project=PROJECT, catalog=catalog)
    )
    return file.text


def test_nothing_published_is_said() -> None:
    """With what publishes."""
    assert "`agc publish`" in page(Catalog())


def test_what_was_published_is_told_in_full(golden: Callable[[str, str], None]) -> None:
    """Digests, sizes, tests, versions, what is newer and why it waits, licence, evidence, and how to check it."""
    catalog = published(planned(names=["plain", "node-bun-claude"], platforms=[AMD64]))
    image = catalog.images["node-bun-claude"]
    told = image.model_copy(
        update={
            "licences": {"agents/claude": LicenceRecord(name="LicenseRef-Anthropic", publish="late-bound")},
            "evidence": (
                EvidenceRecord(
                    predicate_type="https://slsa.dev/provenance/v1",
                    subject=image.digest,
                    digest=digest_bytes(b"bundle"),
                    signed=True,
                ),
            ),
            "verify": (f"agc verify ghcr.io/me/node-bun-claude@{image.digest} --key cosign.pub",),
            "platforms": {
                name: one.model_copy(update={"smoke": ("answer", "presence", "work")})
                for name, one in image.platforms.items()
            },
            "waiver": "the mirror of the database is down today",
        }
    )
    catalog = catalog.model_copy(update={"images": {**catalog.images, "node-bun-claude": told}})

    golden("catalog/IMAGE-CATALOG.md", page(with_upstream(catalog, {"agents/claude": NEWEST})))


def test_what_is_newest_is_told_of_the_images_that_hold_it() -> None:
    """And of no other; what was known of others stays."""
    catalog = published(planned(names=["plain", "node-bun-claude"], platforms=[AMD64]))
    now = with_upstream(catalog, {"agents/claude": NEWEST, "agents/other": NEWEST})

    assert now.images["node-bun-claude"].upstream == {"agents/claude": NEWEST}
    assert now.images["plain"] == catalog.images["plain"]
    assert with_upstream(now, {}).images["node-bun-claude"].upstream == {"agents/claude": NEWEST}
