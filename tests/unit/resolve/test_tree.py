"""npm says which packages a tree has and where each goes; we keep what a platform needs and run none of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from pipeline.digest import digest_bytes
from pipeline.errors import BuildError, FailedStep, Location, ResolveError
from pipeline.graph import Network, State, layout
from pipeline.graph.ops import Run
from pipeline.models.packages import NpmArchive
from pipeline.platform import AMD64, Platform
from pipeline.resolve.cooldown import Caution
from pipeline.resolve.npm import Candidate
from pipeline.resolve.tree import Branch, TooYoungError, read_tree, resolve_tree

HERE = Location("definitions/agents/x.yaml", 9, 7)
REGISTRY = "https://npm.example/"
BOTH = ("linux/amd64", "linux/arm64")


def entry(package: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    """Return what package-lock.json says of a package."""
    name = package.rpartition("/")[2]
    resolved = f"{REGISTRY}{package}/-/{name}-{version}.tgz"
    return {"version": version, "resolved": resolved, "integrity": "sha512-AA==", **more}


NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY_OLD = Caution(NOW)
TREE = NpmArchive.model_validate({"npm": "a", "tree": True, "binaries": {"a": "a.js"}})


def resolve(
    answer: Mapping[str, Any] | BuildError, caution: Caution = DAY_OLD, registry: Mapping[str, Any] | None = None
) -> tuple[tuple[Branch, ...], State]:
    """Resolve a 1.0.0 where npm answers with these packages, or fails; `registry` is what else it has."""
    asked: list[State] = []

    async def solve(state: State, _platform: Platform) -> Mapping[str, bytes]:
        asked.append(state)
        if isinstance(answer, BuildError):
            raise answer
        return {"package-lock.json": json.dumps({"packages": answer}).encode()}

    async def fetch(path: str) -> Any:
        return (registry or {}).get(path)

    tools = layout(digest_bytes(b"tools"))
    branches = anyio.run(resolve_tree, TREE, "1.0.0", tools, REGISTRY, BOTH, AMD64, solve, HERE, caution, fetch)
    return branches, asked[0]


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
    branches, state = resolve({})

    assert branches == ()
    assert isinstance(state.op, Run)
    assert state.op.network is Network.HOST
    assert "--package-lock-only --ignore-scripts" in state.op.args[2]
    assert state.op.args[4:6] == ('{"name": "tree", "private": true, "dependencies": {"a": "1.0.0"}}', REGISTRY)


@pytest.mark.parametrize(
    ("caution", "before"),
    [(DAY_OLD, "2026-11-20T12:00:00.000Z"), (Caution(NOW, timedelta()), "")],
    ids=["a day", "none"],
)
def test_dependencies_wait_as_the_release_itself_does(caution: Caution, before: str) -> None:
    """Nothing younger is taken; and whoever asks later asks again."""
    _, state = resolve({}, caution)

    assert isinstance(state.op, Run)
    assert state.op.args[6:] == (before, "2026-11-21T12:00:00.000Z")
    assert '${3:+--before="$3"}' in state.op.args[2]


def test_npm_s_own_words_are_in_the_error() -> None:
    """With the place that asked for the package."""
    failure = BuildError("exit code 1", step=FailedStep("npm", 1, ("npm error code ERESOLVE", "unrelated")))
    with pytest.raises(ResolveError, match=r"npm cannot resolve a 1\.0\.0: npm error code ERESOLVE$") as caught:
        resolve(failure)

    assert caught.value.location == HERE


LATE = "npm error notarget No matching version found for b@^2.0.0 with a date before 11/20/2026, 12:00:00 PM."


def test_a_dependency_that_is_too_young_is_named() -> None:
    """By npm, and the release waits with it."""
    failure = BuildError("exit code 1", step=FailedStep("npm", 1, ("npm error code ETARGET", LATE)))
    with pytest.raises(TooYoungError, match=r"a 1\.0\.0 needs what is too young to be taken: b@\^2\.0\.0$"):
        resolve(failure)


BINARY = {"node_modules/a": entry("a", optionalDependencies={"a-x64": "npm:a@1.0.0-x64", "a-never": "9.9.9"})}
IN_REGISTRY: dict[str, Any] = {
    "a": {"versions": {"1.0.0": {}, "1.0.0-x64": {}}},
    "a-never": {"versions": {"1.0.0": {}}},
}


def test_what_npm_leaves_out_for_its_age_is_missed() -> None:
    """An optional package that is too young npm drops without a word; codex would have no program."""
    with pytest.raises(TooYoungError, match=r"needs what is too young to be taken: a-x64$"):
        resolve(BINARY, registry=IN_REGISTRY)


@pytest.mark.parametrize(
    ("packages", "caution"),
    [
        (BINARY, Caution(NOW, timedelta())),
        ({**BINARY, "node_modules/a/node_modules/a-x64": entry("a", "1.0.0-x64")}, DAY_OLD),
        ({**BINARY, "node_modules/a-x64": entry("a", "1.0.0-x64")}, DAY_OLD),
        ({"node_modules/a": {**BINARY["node_modules/a"], "inBundle": True}}, DAY_OLD),
    ],
    ids=["no age is asked", "below", "beside", "bundled"],
)
def test_what_npm_leaves_out_for_another_reason_is_its_business(packages: Mapping[str, Any], caution: Caution) -> None:
    """Nothing waits for a package that there never was."""
    branches, _ = resolve(packages, caution, IN_REGISTRY)

    assert len(branches) == sum(not item.get("inBundle") for item in packages.values())
