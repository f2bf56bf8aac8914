"""Packages of PyPI: what uv is asked, and which wheel of its answer is taken."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import anyio
import pytest

from pipeline.errors import Location, ResolveError
from pipeline.models.packages import PypiPackage
from pipeline.resolve.pins import PypiPin
from pipeline.resolve.pypi import Resolved, read_pylock, resolve_pypi

HERE = Location("pack.yaml", 3, 5)
FILES = ("https://files.example/", "https://files.pythonhosted.org/")
SHA = "ab" * 32


def wheel(name: str, folder: str = "https://files.pythonhosted.org/packages/") -> str:
    """Return a wheel as `pylock.toml` writes it."""
    return f'{{ url = "{folder}{name}", hashes = {{ sha256 = "{SHA}" }} }}'


def pylock(*packages: tuple[str, str, Sequence[str]]) -> str:
    """Return a `pylock.toml` with name, version and wheels of each package."""
    parts = [
        f'[[packages]]\nname = "{name}"\nversion = "{version}"\nwheels = [{", ".join(wheels)}]\n'
        for name, version, wheels in packages
    ]
    return 'lock-version = "1.0"\n' + "\n".join(parts)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a-1-py3-none-any.whl", "a-1-cp313-cp313-manylinux_2_28_x86_64.whl"], 1),
        (["a-1-cp313-cp313-manylinux_2_17_x86_64.whl", "a-1-cp313-cp313-manylinux_2_28_x86_64.whl"], 1),
        (["a-1-cp312-cp312-manylinux_2_17_x86_64.whl", "a-1-cp39-abi3-manylinux2014_x86_64.whl"], 1),
        (["a-1-cp313-cp313-musllinux_1_2_x86_64.whl", "a-1-py2.py3-none-any.whl"], 1),
        (["a-1-cp313-cp313-manylinux_2_28_aarch64.whl", "a-1-cp313-cp313-manylinux1_x86_64.whl"], 1),
        (["a-1-cp313-cp313t-manylinux_2_28_x86_64.whl", "a-1-cp313-none-linux_x86_64.whl"], 1),
        (["nonsense", "a-1-py3-none-any.whl"], 1),
    ],
)
def test_the_wheel_that_pip_would_take_is_taken(names: list[str], expected: int) -> None:
    """The most particular one that fits interpreter, C library and machine."""
    ((pin, _),) = read_pylock(pylock(("a", "1", [wheel(name) for name in names])), "3.13", "linux/amd64", FILES, HERE)

    assert pin.path == f"packages/{names[expected]}"
    assert (pin.package, pin.version, pin.sha256) == ("a", "1", f"sha256:{SHA}")


@pytest.mark.parametrize(
    "name",
    [
        "a-1-cp313-cp313-manylinux_2_42_x86_64.whl",
        "a-1-cp313-cp313-manylinux_2_28_aarch64.whl",
        "a-1-cp312-cp312-manylinux_2_28_x86_64.whl",
        "a-1-cp313-cp313-win_amd64.whl",
    ],
)
def test_a_package_without_a_fitting_wheel_is_refused(name: str) -> None:
    """By its name: nothing is compiled."""
    with pytest.raises(ResolveError) as caught:
        read_pylock(pylock(("a", "1", [wheel(name)])), "3.13", "linux/amd64", FILES, HERE)

    assert caught.value.message == "a 1 has no wheel for Python 3.13 on linux/amd64"
    assert caught.value.location == HERE


def test_files_may_lie_where_the_mirror_has_them() -> None:
    """Pins keep what is the same in both places; another place is refused."""
    text = pylock(("a", "1", [wheel("a-1-py3-none-any.whl", "https://files.example/x/")]))
    elsewhere = text.replace("https://files.example/", "https://evil.example/")

    assert read_pylock(text, "3.13", "linux/amd64", FILES, HERE)[0][0].path == "x/a-1-py3-none-any.whl"
    with pytest.raises(ResolveError, match="does not lie below"):
        read_pylock(elsewhere, "3.13", "linux/amd64", FILES, HERE)


def resolved(
    answers: dict[str, str], before: datetime | None = None, **wanted: object
) -> tuple[PypiPin, list[tuple[str, tuple[str, ...]]]]:
    """Return the pin that these answers of uv, by machine, come to, and what it was asked."""
    asked: list[tuple[str, tuple[str, ...]]] = []

    async def compile_(requirement: str, arguments: Sequence[str]) -> str:
        asked.append((requirement, tuple(arguments)))
        return next(text for machine, text in answers.items() if any(machine in item for item in arguments))

    package = PypiPackage.model_validate({"pypi": "a", "python": "3.13", "binaries": {"a": "bin/a"}, **wanted})

    async def ask() -> Resolved:
        return await resolve_pypi(package, ["linux/amd64", "linux/arm64"], compile_, FILES, HERE, before=before)

    return anyio.run(ask).pin, asked


def test_platforms_share_the_wheels_that_are_for_all() -> None:
    """And each has its own of the others."""
    answers = {
        machine: pylock(
            ("a", "1", [wheel(f"a-1-cp313-cp313-manylinux_2_28_{machine}.whl")]),
            ("b", "2", [wheel("b-2-py3-none-any.whl")]),
        )
        for machine in ("x86_64", "aarch64")
    }
    pin, asked = resolved(answers, extras=["z", "y"])

    assert (pin.version, pin.python) == ("1", "3.13")
    assert [(item.file, item.platforms) for item in pin.wheels] == [
        ("a-1-cp313-cp313-manylinux_2_28_aarch64.whl", ("linux/arm64",)),
        ("a-1-cp313-cp313-manylinux_2_28_x86_64.whl", ("linux/amd64",)),
        ("b-2-py3-none-any.whl", ()),
    ]
    assert [item.package for item in pin.wheels_for("linux/amd64")] == ["a", "b"]
    assert asked[0] == ("a[y,z]", ("--python-version=3.13", "--python-platform=x86_64-manylinux_2_40"))


@pytest.mark.parametrize(
    ("version", "requirement"),
    [("latest", "a"), ("0.42.0", "a==0.42.0"), (">=0.42,<1", "a>=0.42,<1"), ("~=1.2", "a~=1.2")],
)
def test_versions_are_asked_for_as_they_are_written(version: str, requirement: str) -> None:
    """An exact one is pinned."""
    text = pylock(("a", "1", [wheel("a-1-py3-none-any.whl")]))
    _, asked = resolved({"x86_64": text, "aarch64": text}, version=version)

    assert asked[0][0] == requirement


def test_nothing_newer_than_asked_is_taken() -> None:
    """A release waits before it is used."""
    text = pylock(("a", "1", [wheel("a-1-py3-none-any.whl")]))
    _, asked = resolved({"x86_64": text, "aarch64": text}, datetime(2026, 11, 20, 12, tzinfo=UTC))

    assert asked[0][1][-1] == "--exclude-newer=2026-11-20T12:00:00+00:00"


def test_a_release_that_is_not_complete_is_refused() -> None:
    """Where uv has to take an older one for one platform."""
    new, old = (pylock(("a", version, [wheel(f"a-{version}-py3-none-any.whl")])) for version in ("2", "1"))

    with pytest.raises(
        ResolveError, match=r"not published alike for every platform: 2 for linux/amd64, 1 for linux/arm64"
    ):
        resolved({"x86_64": new, "aarch64": old})
