"""Resolve a package and its dependencies with npm itself, and read from its lock file where each package goes.

npm runs once, inside the engine, and only to resolve: no script, no download of content. Format: `package-lock.json`,
lockfileVersion 3, whose `packages` are keyed by folder (docs.npmjs.com, package-lock-json).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pipeline.errors import BuildError, Location, ResolveError
from pipeline.graph import Network, State
from pipeline.models.packages import NpmArchive
from pipeline.platform import Platform, parse_platform
from pipeline.resolve.archives import SolveFiles
from pipeline.resolve.cooldown import Caution
from pipeline.resolve.npm import Candidate, FetchJson, satisfies

# $1 package.json, $2 registry, $3 when the newest package to be taken was published (none: whenever). $4 is the time of
# asking: at another time it is another step, whose answer is not in the cache.
# npm looks into packages that bundle others, and calls their archives remote; that nothing comes from elsewhere is
# checked when its answer is read.
_SCRIPT = r"""
set -eu
export HOME=/tmp npm_config_cache=/tmp/npm-cache npm_config_update_notifier=false
mkdir /tmp/tree && cd /tmp/tree
printf '%s' "$1" > package.json
npm install --package-lock-only --ignore-scripts --no-audit --no-fund --loglevel=error \
  --allow-remote=all --registry="$2" ${3:+--before="$3"}
cp package-lock.json /out/
"""
_TOO_YOUNG = "with a date before"
_CPUS = {"amd64": "x64", "arm64": "arm64"}


class TooYoungError(ResolveError):
    """A release is old enough, something that it needs is not."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One package of a tree: its folder, its archive, and the platforms it is for (all of them: none)."""

    path: str
    archive: Candidate
    platforms: tuple[str, ...]


async def resolve_tree(
    wanted: NpmArchive,
    version: str,
    tools: State,
    registry: str,
    platforms: Sequence[str],
    platform: Platform,
    solve: SolveFiles,
    location: Location,
    caution: Caution,
    fetch: FetchJson,
) -> tuple[Branch, ...]:
    """Return every package of the tree of `wanted` at `version` that any of `platforms` needs.

    `tools` is a file system with npm for `platform`, `registry` the address to ask. Nothing is taken that `caution`
    finds too young: raises TooYoungError where the tree then lacks something. Raises ResolveError with npm's words, and
    for an install script nobody has looked at.
    """
    document = json.dumps({"name": "tree", "private": True, "dependencies": {wanted.npm: version}})
    before = _utc(caution.cutoff) if caution.cutoff else ""
    words = ("sh", "-c", _SCRIPT, "sh", document, registry, before, _utc(caution.now))
    step = tools.run(*words, network=Network.HOST, output="/out")
    try:
        files = await solve(step.named(f"resolve the dependencies of {wanted.npm}", location), platform)
    except BuildError as error:
        log = [line for line in (error.step.log if error.step else ()) if "error" in line.lower()]
        if before and (late := next((line for line in log if _TOO_YOUNG in line), None)):
            what = late.rpartition(" for ")[2].partition(f" {_TOO_YOUNG}")[0]
            raise _too_young(wanted, version, what, location) from error
        raise ResolveError(
            f"npm cannot resolve {wanted.npm} {version}: {'; '.join(log) or error.message}", location=location
        ) from error
    lock = json.loads(files["package-lock.json"])
    if before and (hidden := [name for name, spec in _absent(lock) if await _exists(name, spec, fetch)]):
        raise _too_young(wanted, version, ", ".join(hidden), location)
    return read_tree(lock, registry, platforms, wanted.skip_scripts, location)


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _too_young(wanted: NpmArchive, version: str, what: str, location: Location) -> TooYoungError:
    return TooYoungError(
        f"{wanted.npm} {version} needs what is too young to be taken: {what}",
        location=location,
        remedy="wait, or take it as it is: --cool-down 0",
    )


def _absent(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what packages ask for and have not got: npm is silent about what is optional and not to be had."""
    packages = document["packages"]
    for path, entry in packages.items():
        if entry.get("inBundle"):
            continue
        for name, wanted in entry.get("optionalDependencies", {}).items():
            if not any(f"{place}node_modules/{name}" in packages for place in _places(path)):
                yield name, wanted


def _places(path: str) -> Iterator[str]:
    """Yield the folders in which a package at `path` looks for others, as Node.js does."""
    while path:
        yield f"{path}/"
        path = path.rpartition("node_modules/")[0].rstrip("/")
    yield ""


async def _exists(name: str, wanted: str, fetch: FetchJson) -> bool:
    """Tell whether the registry has a version of what npm left out, which it then left out for its age."""
    if wanted.startswith("npm:"):
        name, _, wanted = wanted.removeprefix("npm:").rpartition("@")
    document = await fetch(quote(name, safe="@"))
    versions = document.get("versions", {}) if isinstance(document, dict) else {}
    return any(satisfies(version, wanted) for version in versions)


def read_tree(
    document: Mapping[str, Any],
    registry: str,
    platforms: Sequence[str],
    skip_scripts: Collection[str],
    location: Location,
) -> tuple[Branch, ...]:
    """Return the packages in a `package-lock.json`, sorted by folder; raises ResolveError."""
    branches: list[Branch] = []
    scripts: list[str] = []
    for path, entry in sorted(document["packages"].items()):
        # What is bundled lies in the archive of the package that bundles it.
        if not path or entry.get("inBundle"):
            continue
        fitting = tuple(name for name in platforms if _is_for(entry, name))
        if not fitting:
            continue
        package = path.rpartition("node_modules/")[2]
        if entry.get("hasInstallScript") and package not in skip_scripts:
            scripts.append(package)
        candidate = _candidate(package, entry, registry, location)
        branches.append(Branch(path, candidate, () if len(fitting) == len(platforms) else fitting))
    if scripts:
        raise ResolveError(
            f"these packages want to run scripts when installed, which is not done here: {', '.join(scripts)}",
            location=location,
            remedy="see whether they work without, then list them under `skipScripts`",
        )
    return tuple(branches)


def _is_for(entry: Mapping[str, Any], platform: str) -> bool:
    """Tell whether npm would install a package on `platform` with glibc (package.json `os`, `cpu`, `libc`)."""
    target = parse_platform(platform)
    wanted = {"os": target.os, "cpu": _CPUS[target.architecture], "libc": "glibc"}
    return all(_allows(entry.get(key, ()), value) for key, value in wanted.items())


def _allows(listed: Sequence[str], value: str) -> bool:
    refused = {name[1:] for name in listed if name.startswith("!")}
    allowed = {name for name in listed if not name.startswith("!")}
    return value not in refused and (not allowed or value in allowed)


def _candidate(package: str, entry: Mapping[str, Any], registry: str, location: Location) -> Candidate:
    resolved, integrity = str(entry.get("resolved", "")), str(entry.get("integrity", ""))
    if not resolved.startswith(registry) or "/-/" not in resolved:
        raise ResolveError(f"{package} does not come from the npm registry but from {resolved!r}", location=location)
    if not integrity.startswith("sha512-"):
        raise ResolveError(f"{package} is published without a SHA-512 integrity", location=location)
    return Candidate(package, resolved.removeprefix(registry), integrity)
