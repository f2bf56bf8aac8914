"""Generated files beside what lies in a project: which differ, how, and putting that right.

Rule kept here: a file that no generator made is never written over. Every generated one has the words of `header`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DefinitionError, Location, OutputError
from pipeline.files import write_bytes

_MADE_BY = "Made by `agc generate --only "
_EXECUTABLE = 0o111


@dataclass(frozen=True, slots=True)
class Generated:
    """A file as it should be; `path` is below the project, with slashes."""

    path: str
    text: str
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    """A generated file that is not as it should be; `found` is what lies there, None for nothing."""

    wanted: Generated
    found: str | None

    def diff(self) -> tuple[str, ...]:
        """Return the lines of a unified diff from what lies there to what should."""
        before = (self.found or "").splitlines()
        lines = difflib.unified_diff(
            before,
            self.wanted.text.splitlines(),
            "/dev/null" if self.found is None else f"a/{self.wanted.path}",
            f"b/{self.wanted.path}",
            lineterm="",
        )
        return tuple(lines) or (f"{self.wanted.path}: permissions differ",)


def header(generator: str, template: str, comment: str) -> str:
    """Return the line that says of a file what made it."""
    return f"{comment} {_MADE_BY}{generator}`. Change templates/{template} or your copy, not this file."


def drifted(folder: Path, files: Iterable[Generated]) -> tuple[Drift, ...]:
    """Return those of `files` that lie in another form below `folder`, or not at all."""
    drifts = (Drift(file, _read(folder / file.path)) for file in files)
    return tuple(drift for drift in drifts if drift.found != drift.wanted.text or not _mode_is_right(folder, drift))


def write_all(folder: Path, drifts: Iterable[Drift]) -> None:
    """Write what drifted; raises DefinitionError, and writes nothing, where one was made by somebody else."""
    held = tuple(drifts)
    for drift in held:
        if drift.found is not None and _MADE_BY not in drift.found:
            raise DefinitionError(
                "this file was not made by agc, and one that is would take its place",
                location=Location(str(folder / drift.wanted.path)),
                remedy="move it away, then repeat the command",
            )
    for drift in held:
        mode = 0o755 if drift.wanted.executable else 0o644
        write_bytes(folder / drift.wanted.path, drift.wanted.text.encode(), mode=mode)


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", remedy="check permissions") from error


def _mode_is_right(folder: Path, drift: Drift) -> bool:
    return bool((folder / drift.wanted.path).stat().st_mode & _EXECUTABLE) == drift.wanted.executable
