"""Which version of an npm package is chosen, and why none is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from pipeline.errors import Location, ResolveError
from pipeline.models.packages import NpmArchive
from pipeline.resolve.npm import Candidate, Chosen, choose

HERE = Location("definitions/x.yaml", 7, 7)


def document(package: str, *versions: str, latest: str = "") -> dict[str, Any]:
    """Return what the registry says of a package."""
    name = package.rpartition("/")[2]
    dist = {
        version: {
            "integrity": f"sha512-{version}",
            "tarball": f"https://registry.npmjs.org/{package}/-/{name}-{version}.tgz",
        }
        for version in versions
    }
    tags = {"dist-tags": {"latest": latest}} if latest else {}
    return {**tags, "versions": {version: {"dist": dist[version]} for version in versions}}


def chosen(registry: Mapping[str, Any], npm: str = "tool", version: str = "latest", **platforms: str) -> Chosen:
    """Choose from a registry that is a table; `amd64=…` names the package of a platform."""

    async def fetch(path: str) -> Any:
        return registry.get(path)

    data: dict[str, Any] = {"npm": npm, "version": version, "binaries": {"tool": "bin/tool"}}
    if platforms:
        data["platforms"] = {f"linux/{name}": package for name, package in platforms.items()}
    return anyio.run(choose, NpmArchive.model_validate(data), fetch, HERE)


TOOL = {"tool": document("tool", "1.9.0", "1.10.0", "2.0.0", "2.1.0-rc.1", "not-a-version", latest="1.10.0")}
RANGES = {
    "latest": "1.10.0",
    "2.0.0": "2.0.0",
    "^1": "1.10.0",
    "~1.9": "1.9.0",
    ">=1 <3": "2.0.0",
    "*": "2.0.0",
    ">=2.1.0-rc.0": "2.1.0-rc.1",
    "2.1.0-rc.1": "2.1.0-rc.1",
    "^1.9 || ^5": "1.10.0",
}


@pytest.mark.parametrize(("wanted", "version"), RANGES.items())
def test_a_range_means_what_it_means_to_npm(wanted: str, version: str) -> None:
    """`latest` is the registry's tag; a range is its newest, previews only where asked for."""
    assert chosen(TOOL, version=wanted).version == version


def test_a_choice_has_the_archives_address_below_the_registry_and_its_integrity() -> None:
    """No host: mirrors are another matter."""
    assert chosen(TOOL) == Chosen(
        "tool", "1.10.0", {"any": Candidate("tool", "tool/-/tool-1.10.0.tgz", "sha512-1.10.0")}
    )


def test_a_scoped_package_is_asked_for_as_npm_does() -> None:
    """With the slash escaped, the at sign not."""
    registry = {"@scope%2Ftool": document("@scope/tool", "1.0.0", latest="1.0.0")}

    assert chosen(registry, "@scope/tool").archives["any"].path == "@scope/tool/-/tool-1.0.0.tgz"


NODE = {
    "node": document("node", "26.10.0", "26.11.0", "26.12.0", latest="26.12.0"),
    "node-x64": document("node-x64", "26.10.0", "26.11.0"),
    "node-arm64": document("node-arm64", "26.10.0", "26.12.0"),
}


def test_the_newest_version_that_all_platforms_have_is_chosen() -> None:
    """Node 26.12 was on arm64 alone for a while."""
    choice = chosen(NODE, "node", "^26", amd64="node-x64", arm64="node-arm64")

    assert choice.version == "26.10.0"
    assert {platform: item.package for platform, item in choice.archives.items()} == {
        "linux/amd64": "node-x64",
        "linux/arm64": "node-arm64",
    }


REFUSED = {
    "unknown package": (
        {"registry": {}, "npm": "left-padd"},
        "there is no npm package named 'left-padd'",
        "check its spelling",
    ),
    "unknown package of a platform": (
        {"registry": NODE, "npm": "node", "amd64": "node-x86"},
        "there is no npm package named 'node-x86'",
        "check its spelling",
    ),
    "all versions unpublished": (
        {"registry": {"tool": {"versions": {}}}},
        "the registry knows no version of 'tool'",
        "",
    ),
    "no document at all": ({"registry": {"tool": ["?"]}}, "the registry knows no version of 'tool'", ""),
    "no fitting version": (
        {"registry": TOOL, "version": "^7"},
        "tool has no version that fits '^7'",
        "known: 1.10.0, 1.9.0, 2.0.0, 2.1.0-rc.1, not-a-version",
    ),
    "no such exact version": (
        {"registry": TOOL, "version": "1.10.1"},
        "tool has no version that fits '1.10.1'",
        "did you mean 1.10.0 or 2.1.0-rc.1?",
    ),
    "no latest": (
        {"registry": {"tool": document("tool", "1.0.0")}},
        "tool has no `latest` version",
        "give a version",
    ),
    "latest not on every platform": (
        {"registry": NODE, "npm": "node", "amd64": "node-x64", "arm64": "node-arm64"},
        "node 26.12.0 is not published for every platform: missing in node-x64",
        "wait for the release to be complete, or give an older version",
    ),
    "no integrity": (
        {
            "registry": {
                "tool": {"dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {"dist": {"integrity": None}}}}
            }
        },
        "tool is published without a SHA-512 integrity",
        "",
    ),
    "old integrity": (
        {
            "registry": {
                "tool": {
                    "dist-tags": {"latest": "1.0.0"},
                    "versions": {"1.0.0": {"dist": {"integrity": "sha1-x", "tarball": "https://r/tool/-/t.tgz"}}},
                }
            }
        },
        "tool is published without a SHA-512 integrity",
        "",
    ),
}


@pytest.mark.parametrize(("arguments", "message", "remedy"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_chosen_says_why(arguments: dict[str, Any], message: str, remedy: str) -> None:
    """With the place that asked for it, and what there is instead."""
    with pytest.raises(ResolveError) as caught:
        chosen(**arguments)

    assert (caught.value.message, caught.value.remedy) == (message, remedy)
    assert caught.value.location == HERE
