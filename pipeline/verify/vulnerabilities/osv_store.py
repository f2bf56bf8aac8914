"""An OSV database on this machine: a folder per ecosystem, as the public bucket has them, and an index of each.

    osv/Debian/all.zip    osv/npm/all.zip      osv/PyPI/all.zip
    osv/Go/all.zip        osv/NuGet/all.zip    osv/crates.io/all.zip

In place of `all.zip` the records may lie there as single files. Every record is read once, when the index is made; it
is named by the digest of what it was made from, so it is never out of date. A damaged record makes the whole database
one that cannot be relied on.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from pipeline.digest import Digest, digest_file, digest_json, hex_of
from pipeline.errors import DatabaseError
from pipeline.verify.vulnerabilities.osv_record import Record, comparable_name

RECORD_LIMIT = 32 << 20
_FORM = 1  # of the index: part of its name
_REMEDY = "get it again; see docs/how-to/gate.md"


@dataclass(frozen=True, slots=True)
class Ecosystem:
    """The records of one ecosystem: the digest of what they came from, when the newest was written, and the index."""

    name: str
    digest: Digest
    built: datetime
    index: Path

    def records(self, name: str) -> tuple[Record, ...]:
        """Return the records about a package, sorted by id, those withdrawn left out; raises DatabaseError."""
        try:
            with closing(sqlite3.connect(f"{self.index.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                found = connection.execute(
                    "SELECT record FROM records WHERE name = ? ORDER BY id", (comparable_name(self.name, name),)
                ).fetchall()
            records = [Record.model_validate_json(data) for (data,) in found]
        except (sqlite3.Error, ValidationError) as error:
            with suppress(OSError):
                self.index.unlink()
            raise DatabaseError(f"{self.index} is damaged", remedy="run it again; the index is made anew") from error
        return tuple(record for record in records if record.withdrawn is None)


def open_ecosystem(folder: Path, name: str, cache: Path) -> Ecosystem:
    """Return one ecosystem of the database in `folder`, with its index in `cache`.

    Raises DatabaseError where it is absent, empty or damaged.
    """
    source = _source(folder, name)
    try:
        digest = digest_file(source) if source.is_file() else _digest_of_files(source)
        index = cache / f"osv-{name}-{_FORM}-{hex_of(digest)}.sqlite"
        built = _built(index)
        if built is None:
            cache.mkdir(parents=True, exist_ok=True)
            built = _make(source, name, index)
    except OSError as error:
        raise DatabaseError(f"{error.filename or source}: {error.strerror}", remedy=_REMEDY) from error
    return Ecosystem(name, digest, built, index)


def _source(folder: Path, name: str) -> Path:
    """Return the archive or the folder that holds an ecosystem's records."""
    if (archive := folder / name / "all.zip").is_file():
        return archive
    if any((folder / name).glob("*.json")):
        return folder / name
    raise DatabaseError(
        f"{folder} knows nothing of {name}, and the image has packages of it",
        remedy=f"put OSV's {name}/all.zip there; see docs/how-to/gate.md",
    )


def _digest_of_files(folder: Path) -> Digest:
    return digest_json({path.name: digest_file(path) for path in sorted(folder.glob("*.json"))})


def _built(index: Path) -> datetime | None:
    """Return when the newest record of a finished index was written; None where there is no index to be used."""
    if not index.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            ((text,),) = connection.execute("SELECT built FROM about").fetchall()
            return datetime.fromisoformat(text)
    except (sqlite3.Error, ValueError, TypeError):
        return None


def _make(source: Path, name: str, index: Path) -> datetime:
    """Write the index under a temporary name and rename it; return when the newest record was written."""
    handle, temporary = tempfile.mkstemp(prefix=".new-", suffix=".sqlite", dir=index.parent)
    os.close(handle)
    try:
        with closing(sqlite3.connect(temporary)) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # it is renamed when whole, and made again when lost
            connection.execute("CREATE TABLE records (name TEXT, id TEXT, record BLOB)")
            newest = _fill(connection, source, name)
            connection.execute("CREATE INDEX by_name ON records (name)")
            connection.execute("CREATE TABLE about (built TEXT)")
            connection.execute("INSERT INTO about VALUES (?)", (newest.isoformat(),))
            connection.commit()
        Path(temporary).replace(index)
    except sqlite3.Error as error:
        raise DatabaseError(f"{index}: {error}", remedy="make room, or set another `cache`") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return newest


def _fill(connection: sqlite3.Connection, source: Path, name: str) -> datetime:
    newest = datetime.min.replace(tzinfo=UTC)
    empty = True
    for member, data in _members(source):
        try:
            record = Record.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            text = f"{source}: {member} is no OSV record: {where}: {first['msg']}"
            raise DatabaseError(text, remedy=_REMEDY) from error
        empty = False
        newest = max(newest, record.modified)
        packages = {
            comparable_name(name, item.package.name)
            for item in record.affected
            if item.package and item.package.ecosystem.partition(":")[0] == name
        }
        connection.executemany(
            "INSERT INTO records VALUES (?, ?, ?)", [(package, record.id, data) for package in sorted(packages)]
        )
    if empty:
        raise DatabaseError(f"{source} has no record in it", remedy=_REMEDY)
    return newest


def _members(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each record."""
    if source.is_dir():
        for path in sorted(source.glob("*.json")):
            if path.stat().st_size > RECORD_LIMIT:
                raise DatabaseError(f"{path} is larger than any OSV record", remedy=_REMEDY)
            yield path.name, path.read_bytes()
        return
    try:
        with zipfile.ZipFile(source) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if not info.filename.endswith(".json"):
                    continue
                with archive.open(info) as file:
                    data = file.read(RECORD_LIMIT + 1)
                if len(data) > RECORD_LIMIT:
                    raise DatabaseError(f"{source}: {info.filename} is larger than any OSV record", remedy=_REMEDY)
                yield info.filename, data
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DatabaseError(f"{source} is no sound zip archive: {error}", remedy=_REMEDY) from error
