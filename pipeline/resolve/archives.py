"""Look into chosen archives once, inside the engine: check npm's integrity, record SHA-256 and size.

BuildKit pins what it fetches by SHA-256, npm publishes SHA-512. The engine fetches, a step compares the one and prints
the other; the bytes never pass through this program, and the build that follows finds them fetched.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from pipeline.digest import Digest, digest_bytes, hex_of
from pipeline.errors import IntegrityError, Location
from pipeline.graph import Mount, State, http
from pipeline.platform import Platform
from pipeline.resolve.npm import Candidate, Chosen
from pipeline.resolve.pins import ArchivePin, NpmPin
from pipeline.settings import NPM_REGISTRY

SolveFiles: TypeAlias = Callable[[State, Platform], Awaitable[Mapping[str, bytes]]]
"""Build a state and return its files, which are small: names relative to its root."""

_SCRIPT = r"""
set -eu
for folder in /in/*/; do
  name=$(basename "$folder")
  file=$folder/archive.tgz
  printf '%s %s %s %s\n' "$name" "$(sha512sum < "$file" | cut -d' ' -f1)" "$(sha256sum < "$file" | cut -d' ' -f1)" \
    "$(stat -c %s "$file")"
done > /out/digests
"""


async def pin_archives(
    chosen: Sequence[Chosen], tools: State, platform: Platform, solve: SolveFiles, location: Location
) -> tuple[NpmPin, ...]:
    """Return pins for what was chosen; `tools` is a root with coreutils for `platform`.

    Raises IntegrityError where an archive is not what the registry's integrity says.
    """
    candidates = {_key(item): item for one in chosen for item in one.archives.values()}
    mounts = [Mount(_fetched(item), f"/in/{key}") for key, item in sorted(candidates.items())]
    step = tools.run("sh", "-c", _SCRIPT, mounts=mounts, output="/out").named("check archives", location)
    lines = (await solve(step, platform))["digests"].decode().splitlines()
    pins = dict(_pin(line, candidates, location) for line in lines)
    return tuple(
        NpmPin(
            npm=one.npm,
            version=one.version,
            archives={name: pins[_key(item)] for name, item in one.archives.items()},
        )
        for one in chosen
    )


def _key(item: Candidate) -> str:
    return hex_of(digest_bytes(item.path.encode()))[:16]


def _fetched(item: Candidate) -> State:
    return http(NPM_REGISTRY + item.path, None, "archive.tgz").named(f"fetch {item.path}")


def _pin(line: str, candidates: Mapping[str, Candidate], location: Location) -> tuple[str, ArchivePin]:
    key, sha512, sha256, size = line.split()
    item = candidates[key]
    got = "sha512-" + base64.b64encode(bytes.fromhex(sha512)).decode()
    if got != item.integrity:
        raise IntegrityError(
            f"{item.path} is not what the registry says it is: got {got}, published {item.integrity}",
            location=location,
            remedy="a mirror or proxy may serve something else; do not use it before you know why",
        )
    digest = Digest(f"sha256:{sha256}")
    return key, ArchivePin(
        package=item.package, path=item.path, integrity=item.integrity, sha256=digest, size=int(size)
    )
