"""Which of two versions is the older one, by the rules of where the package comes from.

Each by a library of that world: npm's by node-semver, PyPI's by packaging, Debian's and NuGet's by univers, Go's and
those of crates.io as npm's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any


class UnknownVersionError(ValueError):
    """A version that its own world could not put in order."""


def compare(ecosystem: str, first: str, second: str) -> int:
    """Return -1, 0 or 1 as `first` is older, equal or newer; raises UnknownVersionError where that cannot be told."""
    try:
        return _COMPARE[ecosystem](first, second)
    except Exception as error:  # four libraries, and none says all that it may raise
        raise UnknownVersionError(f"{first!r} and {second!r} of {ecosystem} cannot be compared") from error


def _debian(first: str, second: str) -> int:
    from univers.debian import compare_versions

    return int(compare_versions(_debian_version(first), _debian_version(second)))


@lru_cache(maxsize=4096)
def _debian_version(text: str) -> Any:
    from univers.debian import Version

    return Version.from_string(text)


def _nuget(first: str, second: str) -> int:
    one, other = _nuget_version(first), _nuget_version(second)
    return int(one > other) - int(one < other)


@lru_cache(maxsize=4096)
def _nuget_version(text: str) -> Any:
    from univers.nuget import Version

    return Version.from_string(text)


def _semantic(first: str, second: str) -> int:
    import nodesemver

    return int(nodesemver.compare(_three(first), _three(second), loose=True))


def _three(text: str) -> str:
    """Return a version with all three numbers: OSV writes 0 where npm would write 0.0.0."""
    plain = text.strip().removeprefix("v")
    core = plain.partition("-")[0].partition("+")[0]
    missing = 2 - core.count(".")
    return f"{core}{'.0' * missing}{plain[len(core) :]}" if missing > 0 else plain


def _python(first: str, second: str) -> int:
    one, other = _python_version(first), _python_version(second)
    return int(one > other) - int(one < other)


@lru_cache(maxsize=4096)
def _python_version(text: str) -> Any:
    from packaging.version import Version

    return Version(text)


_COMPARE: Mapping[str, Callable[[str, str], int]] = MappingProxyType(
    {
        "crates.io": _semantic,
        "Debian": _debian,
        "Go": _semantic,
        "npm": _semantic,
        "NuGet": _nuget,
        "PyPI": _python,
    }
)
