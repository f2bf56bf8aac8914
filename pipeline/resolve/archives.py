"""Look into chosen archives once, inside the engine: check npm's integrity, record SHA-256 and size.

BuildKit pins what it fetches by SHA-256, npm publishes SHA-512. The engine fetches, a step compares the one and prints
the other; the bytes never pass through this program, and the build that follows finds them fetched.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

from pipeline.digest import Digest, digest_bytes, hex_of
from pipeline.errors import IntegrityError, Location
from pipeline.graph import Copy, Mount, State, http, scratch
from pipeline.platform import Platform
from pipeline.resolve.npm import Candidate
from pipeline.resolve.pins import ArchivePin
from pipeline.settings import NPM_REGISTRY

SolveFiles: TypeAlias = Callable[[State, Platform], Awaitable[Mapping[str, bytes]]]
"""Build a state and return its files, which are small: names relative to its root."""

_ARCHIVE = "archive.tgz"
_SCRIPT = r"""
set -eu
for file in /in/*; do
  first=$(tar -tzf "$file" | sed -n '1{s|^[.]/||;s|/.*||;p;q}' || :)
  printf '%s %s %s %s %s\n' "${file#/in/}" "$(sha512sum < "$file" | cut -d' ' -f1)" \
    "$(sha256sum < "$file" | cut -d' ' -f1)" "$(stat -c %s "$file")" "$first"
done > /out/digests
"""


async def pin_archives(
    candidates: Iterable[Candidate], tools: State, platform: Platform, solve: SolveFiles, location: Location
) -> Mapping[Candidate, ArchivePin]:
    """Return the pin of each candidate; `tools` is a root with coreutils and tar for `platform`.

    Raises IntegrityError where an archive is not what the registry's integrity says.
    """
    known = {_key(item): item for item in candidates}
    together = scratch().files(
        *(Copy(_fetched(item), f"/{_ARCHIVE}", f"/in/{key}", None, None) for key, item in sorted(known.items()))
    )
    mount = Mount(together.named("archives"), "/in", "/in")
    step = tools.run("sh", "-c", _SCRIPT, mounts=(mount,), output="/out").named("check archives", location)
    lines = (await solve(step, platform))["digests"].decode().splitlines()
    return dict(_pin(line, known, location) for line in lines)


def _key(item: Candidate) -> str:
    return hex_of(digest_bytes(item.path.encode()))[:16]


def _fetched(item: Candidate) -> State:
    return http(NPM_REGISTRY + item.path, None, _ARCHIVE).named(f"fetch {item.path}")


def _pin(line: str, known: Mapping[str, Candidate], location: Location) -> tuple[Candidate, ArchivePin]:
    key, sha512, sha256, size, folder = line.split(" ", 4)
    item = known[key]
    got = "sha512-" + base64.b64encode(bytes.fromhex(sha512)).decode()
    if got != item.integrity:
        raise IntegrityError(
            f"{item.path} is not what the registry says it is: got {got}, published {item.integrity}",
            location=location,
            remedy="a mirror or proxy may serve something else; do not use it before you know why",
        )
    return item, ArchivePin(
        package=item.package,
        path=item.path,
        integrity=item.integrity,
        sha256=Digest(f"sha256:{sha256}"),
        size=int(size),
        folder=folder,
    )
