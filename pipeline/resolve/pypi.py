"""Resolve a package of PyPI with uv, and choose from its answer the wheel of each package that pip would install.

uv runs beside this program and only to resolve: wheels alone are allowed, so no code of any package runs. Formats:
`pylock.toml` (PEP 751), wheel file names and their platform tags (PEP 425, 600).
"""

from __future__ import annotations

import tomllib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from pipeline.digest import Digest
from pipeline.errors import Location, ResolveError
from pipeline.models.packages import PypiPackage
from pipeline.platform import parse_platform
from pipeline.resolve.pins import PypiPin, WheelPin

Compile: TypeAlias = Callable[[str, Sequence[str]], Awaitable[str]]
"""Run `uv pip compile` on a requirement with further arguments and return what it writes; raises ResolveError."""

_GLIBC = 41
"""The minor version of the C library that wheels may ask for: Debian trixie's."""
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
_NAMES_OF_OLD = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a package comes to, and when its own wheels were published, where the index says so."""

    pin: PypiPin
    published: datetime | None


async def resolve_pypi(
    wanted: PypiPackage,
    platforms: Sequence[str],
    compile_: Compile,
    files: Sequence[str],
    location: Location,
    *,
    before: datetime | None = None,
) -> Resolved:
    """Return the wheels of `wanted` and its dependencies for each of `platforms`.

    `files` are the addresses under which an index's files lie, of which pins keep what follows; nothing uploaded
    after `before` is taken. Raises ResolveError with uv's words, or naming the package that has no fitting wheel.
    """
    found: dict[tuple[str, str, str, str], list[str]] = {}
    versions: dict[str, str] = {}
    times: list[datetime] = []
    for platform in platforms:
        machine = parse_platform(platform).machine
        arguments = [f"--python-version={wanted.python}", f"--python-platform={machine}-manylinux_2_{_GLIBC - 1}"]
        if before is not None:
            arguments.append(f"--exclude-newer={before.isoformat()}")
        try:
            answer = await compile_(_requirement(wanted), arguments)
        except ResolveError as error:
            text = f"{wanted.pypi} for {platform}: {error.message}"
            raise ResolveError(text, location=location, remedy=error.remedy) from error
        for wheel, published in read_pylock(answer, wanted.python, platform, files, location):
            key = (wheel.package, wheel.version, wheel.path, wheel.sha256)
            found.setdefault(key, []).append(platform)
            if wheel.package == canonicalize_name(wanted.pypi):
                versions[platform] = wheel.version
                times += [published] if published else []
    if len(set(versions.values())) != 1:
        has = ", ".join(f"{version} for {platform}" for platform, version in versions.items())
        text = f"{wanted.pypi} is not published alike for every platform: {has}"
        raise ResolveError(text, location=location, remedy="wait for the release to be complete, or give a version")
    version = next(iter(versions.values()))
    wheels = (
        WheelPin(
            package=package,
            version=release,
            path=path,
            sha256=Digest(sha256),
            platforms=() if len(on) == len(platforms) else tuple(on),
        )
        for (package, release, path, sha256), on in sorted(found.items())
    )
    pin = PypiPin(pypi=wanted.pypi, version=version, python=wanted.python, wheels=tuple(wheels))
    return Resolved(pin, max(times) if times else None)


def read_pylock(
    text: str, python: str, platform: str, files: Sequence[str], location: Location
) -> tuple[tuple[WheelPin, datetime | None], ...]:
    """Return the wheel of each package in a `pylock.toml` that suits `python` on `platform`, and its time.

    Raises ResolveError where a package has none.
    """
    tags = {tag: rank for rank, tag in reversed(list(enumerate(_tags(python, platform))))}
    pins = []
    for package in tomllib.loads(text).get("packages", ()):
        ranked = [(rank, wheel) for wheel in package.get("wheels", ()) if (rank := _rank(wheel, tags)) is not None]
        if not ranked:
            raise ResolveError(
                f"{package['name']} {package['version']} has no wheel for Python {python} on {platform}",
                location=location,
                remedy="nothing is compiled here; give a version that has wheels",
            )
        wheel = min(ranked, key=lambda pair: pair[0])[1]
        path = _below(wheel["url"], files, location)
        sha256 = Digest(f"sha256:{wheel['hashes']['sha256']}")
        pin = WheelPin(package=package["name"], version=package["version"], path=path, sha256=sha256)
        pins.append((pin, wheel.get("upload-time")))
    return tuple(pins)


def _requirement(wanted: PypiPackage) -> str:
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    if wanted.version == "latest":
        return f"{wanted.pypi}{extras}"
    exact = wanted.version[0].isdigit()
    return f"{wanted.pypi}{extras}{'==' if exact else ''}{wanted.version}"


def _tags(python: str, platform: str) -> Iterator[Tag]:
    """Yield the tags of wheels that can be installed, the best first."""
    major, minor = map(int, python.split("."))
    platforms = list(_platform_tags(parse_platform(platform).machine))
    yield from cpython_tags((major, minor), platforms=platforms)
    yield from compatible_tags((major, minor), f"cp{major}{minor}", platforms)


def _platform_tags(machine: str) -> Iterator[str]:
    for minor in range(_GLIBC, _OLDEST_GLIBC.get(machine, 17) - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _NAMES_OF_OLD:
            yield f"{_NAMES_OF_OLD[minor]}_{machine}"
    yield f"linux_{machine}"


def _rank(wheel: Mapping[str, Any], tags: Mapping[Tag, int]) -> int | None:
    name = str(wheel["url"]).rpartition("/")[2]
    try:
        *_, own = parse_wheel_filename(name)
    except InvalidWheelFilename:
        return None
    return min((tags[tag] for tag in own if tag in tags), default=None)


def _below(url: str, files: Sequence[str], location: Location) -> str:
    for prefix in files:
        if url.startswith(prefix):
            return url.removeprefix(prefix)
    raise ResolveError(
        f"{url} does not lie below {' or '.join(files)}",
        location=location,
        remedy="name the place of your index's files in agc.toml, under [mirrors]",
    )
