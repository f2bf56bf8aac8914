"""Read and write `registry/catalog.json`: whole, in one spelling, by rename, one writer at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.catalog.record import SCHEMA, Catalog
from pipeline.errors import CatalogError, Location, OutputError
from pipeline.files import write_text

_RESTORE = "restore it from git, or move it away: it is written again as images are pushed"


def catalog_path(project: Path) -> Path:
    """Return where a project keeps its catalog."""
    return project / "registry" / "catalog.json"


def read_catalog(path: Path) -> Catalog | None:
    """Return the catalog in `path`, None where there is no file; raises CatalogError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CatalogError(f"cannot be read: {reason}", location=Location(str(path)), remedy=_RESTORE) from error
    return parse_catalog(text, str(path))


def parse_catalog(text: str, shown: str) -> Catalog:
    """Return the catalog in `text`; raises CatalogError where it is malformed or of another major version."""
    place = Location(shown)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"is no catalog: {error}", location=place, remedy=_RESTORE) from error
    if not isinstance(document, dict) or "schema" not in document:
        raise CatalogError("is no catalog: it names no `schema`", location=place, remedy=_RESTORE)
    if document["schema"] != SCHEMA:
        text = f"is a catalog of the form {document['schema']!r}; this program reads {SCHEMA!r}"
        raise CatalogError(text, location=place, remedy="use the version of agc that wrote it, or a newer one")
    try:
        return Catalog.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise CatalogError(text, location=place, remedy=_RESTORE) from error


def render_catalog(catalog: Catalog) -> str:
    """Return the text of a catalog."""
    content: dict[str, Any] = catalog.model_dump(mode="json", exclude_defaults=True)
    return json.dumps({**content, "schema": SCHEMA}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def update_catalog(path: Path, change: Callable[[Catalog], Catalog]) -> None:
    """Replace the catalog in `path` by what `change` makes of it; an unchanged one is not written.

    Raises CatalogError where the present one cannot be read, OutputError where the new one cannot be written.
    """
    with _alone(path.parent):
        before = read_catalog(path)
        after = change(before or Catalog())
        if after != before:
            write_text(path, render_catalog(after))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out, by a lock on the folder itself: a lock file beside the catalog would be committed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}", remedy="check space and permissions") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
