"""Generated files beside what lies in a project: which differ, how, and putting that right.

Rules kept here:

- `registry/generated.json` says which files were made, and their digests: it tells a file that a person changed from
  one that is out of date, and one that nothing makes any more from one that nothing ever made;
- what a person changed is not written over and not removed, unless that is asked for;
- nothing is written where anything cannot be.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.digest import Digest, digest_bytes
from pipeline.errors import DefinitionError, ErrorGroup, Location, OutputError
from pipeline.files import write_bytes

RECORD = "registry/generated.json"
"""What was made, below the project."""
_SCHEMA = "agentcontainers/generated/v1"
_EXECUTABLE = 0o111


@dataclass(frozen=True, slots=True)
class Generated:
    """A file as it should be; `path` is below the project, with slashes."""

    path: str
    text: str
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    """A file that is not as it should be.

    `wanted` is None for one that is made no more, `found` is what lies there, None for nothing; `by_hand` tells
    whether a person wrote or changed that.
    """

    path: str
    wanted: Generated | None
    found: str | None
    by_hand: bool = False

    def diff(self) -> tuple[str, ...]:
        """Return the lines of a unified diff from what lies there to what should."""
        lines = difflib.unified_diff(
            (self.found or "").splitlines(),
            (self.wanted.text if self.wanted else "").splitlines(),
            "/dev/null" if self.found is None else f"a/{self.path}",
            "/dev/null" if self.wanted is None else f"b/{self.path}",
            lineterm="",
        )
        return tuple(lines) or (f"{self.path}: permissions differ",)


def header(generator: str, source: str, comment: str) -> str:
    """Return the line that says of a file what made it, from which template or definition."""
    return f"{comment} Made by `agc generate --only {generator}`. Change {source} or your copy, not this file."


def drifted(folder: Path, made: Mapping[str, Sequence[Generated]]) -> tuple[Drift, ...]:
    """Return the files that lie in another form below `folder`, or not at all, and those that are made no more.

    `made` are all files of some sorts; what belongs to others is passed over. The record of all files comes last.
    """
    record = _read_record(folder)
    wanted = {file.path: file for files in made.values() for file in files}
    drifts = [drift for file in wanted.values() if (drift := _drift(folder, file, record))]
    for path, (sort, digest) in record.items():
        if sort in made and path not in wanted and (found := _read(folder / path)) is not None:
            drifts.append(Drift(path, None, found, digest_bytes(found.encode()) != digest))
    text = _record_text(record, made)
    if (found := _read(folder / RECORD)) != text:
        drifts.append(Drift(RECORD, Generated(RECORD, text), found))
    return tuple(drifts)


def write_all(folder: Path, drifts: Sequence[Drift], *, force: bool = False) -> None:
    """Write what drifted and remove what is made no more.

    Raises ErrorGroup, and writes nothing, where a person wrote or changed any of it, unless that is to be lost.
    """
    by_hand = [drift for drift in drifts if drift.by_hand]
    if by_hand and not force:
        raise ErrorGroup(tuple(_kept(folder, drift) for drift in by_hand))
    for drift in drifts:
        path = folder / drift.path
        if drift.wanted:
            write_bytes(path, drift.wanted.text.encode(), mode=0o755 if drift.wanted.executable else 0o644)
        else:
            _remove(path, folder)


def _drift(folder: Path, file: Generated, record: Mapping[str, tuple[str, Digest]]) -> Drift | None:
    found = _read(folder / file.path)
    if found == file.text and _mode_is_right(folder, file):
        return None
    _, known = record.get(file.path, ("", None))
    by_hand = found is not None and found != file.text and digest_bytes(found.encode()) != known
    return Drift(file.path, file, found, by_hand)


def _kept(folder: Path, drift: Drift) -> DefinitionError:
    what = "differs from what was made" if drift.wanted else "is made no more, and differs from what was made"
    return DefinitionError(
        f"{what}: somebody wrote or changed it",
        location=Location(str(folder / drift.path)),
        remedy="keep your version under another name, or lose it: agc generate --force",
    )


def _read_record(folder: Path) -> dict[str, tuple[str, Digest]]:
    text = _read(folder / RECORD)
    if text is None:
        return {}
    try:
        document: Any = json.loads(text)
        files = {_SCHEMA: document["files"]}[document["schema"]]
        return {str(path): (str(one["sort"]), Digest(one["digest"])) for path, one in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DefinitionError(
            "is no record of generated files",
            location=Location(str(folder / RECORD)),
            remedy="restore it from version control, or delete it and use agc generate --force",
        ) from error


def _record_text(record: Mapping[str, tuple[str, Digest]], made: Mapping[str, Sequence[Generated]]) -> str:
    files = {path: {"sort": sort, "digest": digest} for path, (sort, digest) in record.items() if sort not in made}
    for sort, several in made.items():
        files |= {file.path: {"sort": sort, "digest": digest_bytes(file.text.encode())} for file in several}
    return json.dumps({"schema": _SCHEMA, "files": files}, indent=1, sort_keys=True) + "\n"


def _remove(path: Path, folder: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", remedy="check permissions") from error
    with suppress(OSError):  # the first folder that still holds something ends it
        for parent in _below(path, folder):
            parent.rmdir()


def _below(path: Path, folder: Path) -> Iterator[Path]:
    for parent in path.parents:
        if parent == folder:
            return
        yield parent


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", remedy="check permissions") from error


def _mode_is_right(folder: Path, file: Generated) -> bool:
    return bool((folder / file.path).stat().st_mode & _EXECUTABLE) == file.executable
