"""npm says which packages a tree has and where each goes; we keep what a platform needs and run none of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from pipeline.digest import digest_bytes
from pipeline.errors import BuildError, FailedStep, Location, ResolveError
from pipeline.graph import Network, State, layout
from pipeline.graph.ops import Run
from pipeline.models.packages import NpmArchive
from pipeline.platform import AMD64, Platform
from pipeline.resolve.npm import Candidate
from pipeline.resolve.tree import Branch, read_tree, resolve_tree

HERE = Location("definitions/agents/x.yaml", 9, 7)
REGISTRY = "https://npm.example/"
BOTH = ("linux/amd64", "linux/arm64")


def entry(package: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    """Return what package-lock.json says of a package."""
    name = package.rpartition("/")[2]
    resolved = f"{REGISTRY}{package}/-/{name}-{version}.tgz"
    return {"version": version, "resolved": resolved, "integrity": "sha512-AA==", **more}


def read(packages: Mapping[str, Any], *, skip: tuple[str, ...] = ()) -> tuple[Branch, ...]:
    """Read a lock with these packages for both platforms."""
    return read_tree({"packages": {"": {}, **packages}}, REGISTRY, BOTH, skip, HERE)


def test_a_package_for_any_platform_is_for_all() -> None:
    """No platform is written out for it."""
    assert read({"node_modules/@a/b": entry("@a/b")}) == (
        Branch("node_modules/@a/b", Candidate("@a/b", "@a/b/-/b-1.0.0.tgz", "sha512-AA=="), ()),
    )


@pytest.mark.parametrize(
    ("limits", "platforms"),
    [
        ({"os": ["linux"], "cpu": ["x64"]}, ("linux/amd64",)),
        ({"os": ["linux"], "cpu": ["arm64"], "libc": ["glibc"]}, ("linux/arm64",)),
        ({"os": ["linux", "darwin"]}, ()),
        ({"cpu": ["!x64"]}, ("linux/arm64",)),
    ],
    ids=["x64", "arm64", "two systems", "all but one"],
)
def test_a_package_for_some_platforms_says_which(limits: Mapping[str, Any], platforms: tuple[str, ...]) -> None:
    """As npm reads `os`, `cpu` and `libc`."""
    (branch,) = read({"node_modules/a": entry("a", **limits)})

    assert branch.platforms == platforms


@pytest.mark.parametrize(
    "limits",
    [{"os": ["darwin"]}, {"os": ["!linux"]}, {"libc": ["musl"]}, {"cpu": ["ia32"]}],
    ids=["other system", "not linux", "musl", "other cpu"],
)
def test_a_package_for_none_of_our_platforms_is_left_out(limits: Mapping[str, Any]) -> None:
    """All that exist are listed; nobody needs to fetch them."""
    assert read({"node_modules/a": entry("a", **limits)}) == ()


def test_a_bundled_package_lies_in_the_archive_of_its_bundler() -> None:
    """It has no archive of its own."""
    packages = {"node_modules/a": entry("a"), "node_modules/a/node_modules/b": {"version": "1.0.0", "inBundle": True}}

    assert [branch.path for branch in read(packages)] == ["node_modules/a"]


def test_a_package_may_lie_under_another_name_than_its_own() -> None:
    """An alias: the folder has one name, the archive another."""
    packages = {"node_modules/@a/tool-x64": {**entry("@a/tool", "1.0.0-x64"), "name": "@a/tool"}}

    (branch,) = read(packages)

    assert branch.path == "node_modules/@a/tool-x64"
    assert branch.archive.path == "@a/tool/-/tool-1.0.0-x64.tgz"


def test_an_install_script_nobody_looked_at_is_an_error() -> None:
    """A package that needs its script would otherwise fail at first use, in somebody's container."""
    packages = {
        "node_modules/a": entry("a", hasInstallScript=True),
        "node_modules/b": entry("b", hasInstallScript=True),
    }

    with pytest.raises(ResolveError, match=r"run scripts when installed, which is not done here: a, b") as caught:
        read(packages)

    assert "skipScripts" in caught.value.remedy
    assert len(read(packages, skip=("a", "b"))) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resolved": "https://elsewhere.example/a/-/a-1.0.0.tgz"}, "does not come from the npm registry"),
        ({"resolved": "git+ssh://git@host.example/a.git"}, "does not come from the npm registry"),
        ({"integrity": "sha1-AA=="}, "without a SHA-512 integrity"),
        ({"integrity": ""}, "without a SHA-512 integrity"),
    ],
    ids=["other host", "git", "weak", "none"],
)
def test_what_cannot_be_pinned_is_an_error(changes: Mapping[str, str], words: str) -> None:
    """A tree is locked whole or not at all."""
    with pytest.raises(ResolveError, match=words):
        read({"node_modules/a": {**entry("a"), **changes}})


def test_npm_is_asked_once_and_runs_nothing_it_fetched() -> None:
    """In a step with network, whose only result is the lock."""
    asked: list[State] = []

    async def solve(state: State, _platform: Platform) -> Mapping[str, bytes]:
        asked.append(state)
        return {"package-lock.json": b'{"packages": {}}'}

    wanted = NpmArchive.model_validate({"npm": "a", "tree": True, "binaries": {"a": "a.js"}})
    tools = layout(digest_bytes(b"tools"))
    assert anyio.run(resolve_tree, wanted, "1.0.0", tools, REGISTRY, BOTH, AMD64, solve, HERE) == ()

    (state,) = asked
    assert isinstance(state.op, Run)
    assert state.op.network is Network.HOST
    assert "--package-lock-only --ignore-scripts" in state.op.args[2]
    assert state.op.args[4:] == ('{"name": "tree", "private": true, "dependencies": {"a": "1.0.0"}}', REGISTRY)


def test_npm_s_own_words_are_in_the_error() -> None:
    """With the place that asked for the package."""

    async def solve(_state: State, _platform: Platform) -> Mapping[str, bytes]:
        raise BuildError("exit code 1", step=FailedStep("npm", 1, ("npm error code ERESOLVE", "unrelated")))

    wanted = NpmArchive.model_validate({"npm": "a", "tree": True, "binaries": {"a": "a.js"}})
    with pytest.raises(ResolveError, match=r"npm cannot resolve a 1\.0\.0: npm error code ERESOLVE$") as caught:
        anyio.run(resolve_tree, wanted, "1.0.0", layout(digest_bytes(b"tools")), REGISTRY, BOTH, AMD64, solve, HERE)

    assert caught.value.location == HERE
