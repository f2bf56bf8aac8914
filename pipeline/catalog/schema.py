"""The JSON Schema of the catalog document."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.catalog import record
from pipeline.models.schema import schema_text


def catalog_schema() -> Mapping[str, str]:
    """Return file name and text of the schema of `registry/catalog.json`."""
    return {"catalog.schema.json": schema_text("Catalog", record.Catalog, (record,))}
