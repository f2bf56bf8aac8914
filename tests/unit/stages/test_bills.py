"""The bill of materials of an image that was built: found where it lies, refused where it is another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.compose.image import compose
from pipeline.digest import Digest
from pipeline.engine.layout import manifests_of, write_image
from pipeline.errors import IntegrityError, UsageError
from pipeline.settings import Settings
from pipeline.stages.bills import BillFormat, bill_of_materials
from tests.unit.compose.samples import plan
from tests.unit.supply.sbom.samples import image_layers

NAME = "node-bun-claude"


def place(layout: Path, **changes: object) -> Digest:
    """Write the image of the small project as a build would."""
    made = compose(plan(NAME))
    config = {"os": "linux", "architecture": "amd64", "config": json.loads(made.config)["config"], **changes}
    return write_image(layout, NAME, config, image_layers())


def settings(tmp_path: Path) -> Settings:
    """Return settings whose cache is empty."""
    return Settings.model_validate({"cache": str(tmp_path / "cache")})


@pytest.mark.parametrize("form", BillFormat)
def test_it_is_read_from_the_layout(form: BillFormat, tmp_path: Path) -> None:
    """In the format that was asked for; twice the same."""
    digest = place(tmp_path / "layout")
    bill, again = (bill_of_materials(plan(NAME), form, tmp_path / "layout", settings(tmp_path)) for _ in "12")

    assert bill == again
    assert bill.digest == digest
    assert bill.packages == bill.as_json()["packages"] == 18
    assert json.loads(bill.document).get("bomFormat", "spdx").lower() == str(form)


def test_it_is_looked_for_where_builds_leave_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In ./out first, then in the cache."""
    monkeypatch.chdir(tmp_path)
    digest = place(tmp_path / "cache" / "images")

    assert bill_of_materials(plan(NAME), BillFormat.SPDX, None, settings(tmp_path)).digest == digest


def test_an_image_that_was_not_built_is_an_error(tmp_path: Path) -> None:
    """With the places that were looked at, and what to type."""
    with pytest.raises(UsageError, match="was not built: it is not in /") as caught:
        bill_of_materials(plan(NAME), BillFormat.SPDX, tmp_path / "none", settings(tmp_path))

    assert caught.value.remedy == f"agc build {NAME} --platform linux/amd64"


def test_an_image_for_another_platform_is_none(tmp_path: Path) -> None:
    """Its packages are others."""
    place(tmp_path / "layout", architecture="arm64")

    with pytest.raises(UsageError, match="was not built"):
        bill_of_materials(plan(NAME), BillFormat.SPDX, tmp_path / "layout", settings(tmp_path))


def test_an_image_of_another_lock_is_an_error(tmp_path: Path) -> None:
    """The lock would be quoted for packages it did not bring."""
    place(tmp_path / "layout", config={"Labels": {}})

    with pytest.raises(UsageError, match="built from other definitions or another lock"):
        bill_of_materials(plan(NAME), BillFormat.SPDX, tmp_path / "layout", settings(tmp_path))


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "x"}}]}']
)
def test_a_damaged_layout_is_an_error(text: str, tmp_path: Path) -> None:
    """It says which folder is meant."""
    (tmp_path / "index.json").write_text(text)

    with pytest.raises(IntegrityError, match=str(tmp_path)):
        manifests_of(tmp_path, "x")
