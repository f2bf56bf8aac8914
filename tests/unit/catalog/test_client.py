"""Reading a catalog as other programs do."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.catalog.client import load_catalog
from pipeline.errors import CatalogError
from tests.conftest import GOLDEN


def test_the_first_version_of_the_file_is_still_read() -> None:
    """Whoever wrote it, whoever reads it."""
    catalog = load_catalog(GOLDEN / "catalog" / "v1.json")

    assert catalog.images["small-chatter"].repositories == ("ghcr.io/me/small-chatter",)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what makes it."""
    with pytest.raises(CatalogError, match="is not there") as caught:
        load_catalog(tmp_path / "catalog.json")

    assert caught.value.remedy == "publish something first: agc publish"
