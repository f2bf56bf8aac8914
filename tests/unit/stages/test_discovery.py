"""What npm says of a package, for a first definition: its command, what it needs, and nothing of the wrong form."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from pipeline.errors import ResolveError
from pipeline.stages.discovery import PackageFacts, npm_facts

GOOD: dict[str, Any] = {
    "name": "@scope/tool",
    "bin": {"tool": "./bin/tool.js", "helper": "helper.js"},
    "dependencies": {"left": "1"},
    "engines": {"node": ">= 20"},
    "license": "MIT",
    "description": "A  tool.",
    "homepage": "https://example.com/tool",
}


def facts(manifest: Any, package: str = "@scope/tool", wanted: str = "") -> PackageFacts:
    """Return what is made of a manifest."""

    async def fetch(path: str) -> Any:
        assert path == package.replace("/", "%2F") + "/latest"
        return manifest

    return anyio.run(npm_facts, package, wanted, fetch)


def test_a_package_says_its_command_and_what_it_needs() -> None:
    """The command that has the package's own name, where there are several."""
    assert facts(GOOD) == PackageFacts(
        "tool",
        "bin/tool.js",
        tree=True,
        node=">=20",
        licence="MIT",
        description="A tool.",
        homepage="https://example.com/tool",
    )


def test_a_command_may_be_named() -> None:
    """Any that the package has."""
    assert facts(GOOD, wanted="helper").path == "helper.js"


def test_one_file_is_the_command_of_the_packages_name() -> None:
    """As npm reads it."""
    assert facts({"bin": "cli.js"}) == PackageFacts("tool", "cli.js")


@pytest.mark.parametrize("manifest", [None, [], "x"])
def test_no_package_is_told(manifest: Any) -> None:
    """With its name."""
    with pytest.raises(ResolveError, match="no npm package named '@scope/tool'"):
        facts(manifest)


@pytest.mark.parametrize("found", [None, {}, 5, {"../x": "a"}, {"tool": "/etc/passwd"}, {"tool": "../../x"}])
def test_a_package_without_a_usable_command_is_refused(found: Any) -> None:
    """A library, or a file that lies elsewhere."""
    with pytest.raises(ResolveError, match="it is a library") as caught:
        facts({**GOOD, "bin": found})

    assert "--binary" in caught.value.remedy


def test_a_command_it_has_not_is_refused_with_those_it_has() -> None:
    """So that one can be chosen."""
    with pytest.raises(ResolveError, match="it has helper, tool"):
        facts(GOOD, wanted="other")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("license", {"type": "MIT"}),
        ("license", "x" * 500),
        ("description", "\x1b[31mred"),
        ("description", "sk-abcdefghijklmnopqrstuvwx"),
        ("homepage", "javascript:alert(1)"),
        ("homepage", 'https://x/"><script>'),
        ("engines", ["node"]),
        ("engines", {"node": "; rm -rf /"}),
        ("engines", {"node": "latest"}),
    ],
)
def test_what_has_not_its_form_is_left_out(key: str, value: Any) -> None:
    """A stranger wrote it."""
    field = {"license": "licence", "engines": "node"}.get(key, key)

    assert getattr(facts({**GOOD, key: value}), field) == ""
