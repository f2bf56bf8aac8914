"""What is in archives, and how two of them differ: read inside the engine, from the pinned bytes themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.digest import digest_bytes, hex_of
from pipeline.errors import Location
from pipeline.graph import Copy, Mount, State, http, scratch
from pipeline.platform import Platform
from pipeline.resolve.archives import SolveFiles
from pipeline.resolve.pins import ArchivePin
from pipeline.settings import NPM_REGISTRY

_ARCHIVE = "archive.tgz"
_SCRIPT = r"""
set -eu
for file in /in/*; do
  tar --list --verbose --gzip --numeric-owner --quoting-style=escape --file "$file" > "/out/${file#/in/}"
done
"""
_COLUMNS = 5
_MARKS = {"l": " -> ", "h": " link to "}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of an archive; `program` tells whether it may be run."""

    size: int
    program: bool = False


@dataclass(frozen=True, slots=True)
class FilesDiff:
    """How the content of two archives differs: what came, what went, and what has another size now.

    `programs` are the new files that may be run, and those that could not be before.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    kept: int = 0


async def list_archives(
    pins: Iterable[ArchivePin], tools: State, platform: Platform, solve: SolveFiles, location: Location
) -> Mapping[str, Mapping[str, Entry]]:
    """Return the files of each archive by its path below the registry; `tools` is a root with tar for `platform`.

    Raises SourceGoneError where an archive is not there any more.
    """
    known = {hex_of(digest_bytes(pin.path.encode()))[:16]: pin for pin in pins}
    together = scratch().files(
        *(Copy(_fetched(pin), f"/{_ARCHIVE}", f"/in/{key}", None, None) for key, pin in sorted(known.items()))
    )
    mount = Mount(together.named("archives"), "/in", "/in")
    step = tools.run("sh", "-c", _SCRIPT, mounts=(mount,), output="/out").named("list archives", location)
    files = await solve(step, platform)
    return {pin.path: read_listing(files[key].decode()) for key, pin in known.items()}


def read_listing(text: str) -> Mapping[str, Entry]:
    """Return the files in what `tar --list --verbose` printed, without the one folder they all lie in."""
    found = {}
    for line in text.splitlines():
        mode, _, size, _, rest = line.split(None, _COLUMNS - 1)
        name = rest.partition(" ")[2]
        if mode[0] != "d":
            name = name.partition(_MARKS[mode[0]])[0] if mode[0] in _MARKS else name
            found[name.removeprefix("./").partition("/")[2]] = Entry(int(size), mode[0] in "-h" and "x" in mode)
    return found


def compare(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> FilesDiff:
    """Return how the files of an archive differ from those of the one before."""
    both = before.keys() & after.keys()
    return FilesDiff(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        resized=tuple(sorted(name for name in both if before[name].size != after[name].size)),
        programs=tuple(
            sorted(
                name for name, entry in after.items() if entry.program and not (name in before and before[name].program)
            )
        ),
        kept=len(both),
    )


def _fetched(pin: ArchivePin) -> State:
    return http(NPM_REGISTRY + pin.path, pin.sha256, _ARCHIVE).named(f"fetch {pin.path}")
