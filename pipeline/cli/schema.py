"""`agc schema`: JSON Schemas of the definitions and of the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.catalog.schema import catalog_schema
from pipeline.cli.app import session_of
from pipeline.cli.output import line
from pipeline.errors import DefinitionError, Location
from pipeline.files import write_text
from pipeline.models.schema import json_schemas
from pipeline.supply.check.schema import policy_schema


def command(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail where a file differs.")] = False,
) -> None:
    """Write registry/schemas/*.schema.json, by which editors complete and check definitions, and others the catalog."""
    session = session_of(context)
    folder = session.project / "registry" / "schemas"
    schemas = {**json_schemas(), **catalog_schema(), **policy_schema()}
    differing = [name for name, text in schemas.items() if not _same(folder / name, text)]
    if check and differing:
        raise DefinitionError(
            f"out of date: {', '.join(differing)}", location=Location(str(folder)), remedy="agc schema"
        )
    for name in differing:
        write_text(folder / name, schemas[name])
    session.output.result(
        {"schemas": sorted(schemas), "written": differing},
        lambda: [line(f"{len(schemas)} schemas, {len(differing)} written to {folder}")],
    )


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
