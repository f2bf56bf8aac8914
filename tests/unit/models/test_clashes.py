"""Definitions that are right one by one and wrong together are refused, with both places."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ErrorGroup
from pipeline.models.load import load_definitions

HEAD = "apiVersion: agentcontainers/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"
ROOT = HEAD.format(kind="Root", name="r") + (
    "  distribution: debian\n  suite: trixie\n  image: docker.io/library/debian:trixie-slim\n  bootstrap: {}\n"
)


def agent(name: str, packages: str) -> str:
    """Return an agent with these packages."""
    licence = "  licence: {publish: baked, name: MIT}\n"
    return HEAD.format(kind="Agent", name=name) + f"  packages: {packages}\n  command: [x]\n{licence}"


def toolchain(name: str, command: str) -> str:
    """Return a toolchain with one command."""
    packages = f"[{{npm: {name}, binaries: {{{command}: bin}}}}]"
    return HEAD.format(kind="Toolchain", name=name) + f"  packages: {packages}\n  provides: {{{name}: {name}}}\n"


def base(name: str, toolchains: str = "[]") -> str:
    """Return a base."""
    return HEAD.format(kind="Base", name=name) + f"  root: r\n  toolchains: {toolchains}\n"


def problems(folder: Path, *documents: str) -> list[str]:
    """Return what is wrong with these documents together, each with its place."""
    for index, text in enumerate((ROOT, *documents)):
        (folder / f"{index}.yaml").write_text(text)
    try:
        load_definitions([folder], folder)
    except ErrorGroup as group:
        return [str(error) for error in group.errors]
    return []


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        (
            [agent("a", "[{npm: p, binaries: {c: x}}, {npm: p, binaries: {d: x}}]")],
            ["1.yaml:5:43: package `p` is claimed twice, first in 1.yaml:5:15"],
        ),
        (
            [agent("a", "[{npm: p, binaries: {c: x}}, {npm: q, binaries: {c: y}}]")],
            ["1.yaml:5:62: command `c` is claimed twice, first in 1.yaml:5:34"],
        ),
        (
            [toolchain("t", "c"), toolchain("u", "c"), base("b", "[t, u]")],
            ["2.yaml:5:34: command `c` (on base b) is claimed twice, first in 1.yaml:5:34"],
        ),
        (
            [toolchain("t", "c"), base("b", "[t]"), agent("a", "[{npm: p, binaries: {c: x}}]")],
            ["3.yaml:5:34: command `c` (on base b) is claimed twice, first in 1.yaml:5:34"],
        ),
        (
            [
                base("a"),
                base("a-b"),
                agent("c", "[{npm: p, binaries: {c: x}}]"),
                agent("b-c", "[{npm: q, binaries: {d: x}}]"),
            ],
            ["3.yaml:3:12: image name `a-b-c` would stand for two images; the other comes from 4.yaml:3:12"],
        ),
        (
            [base("a"), base("a-b"), agent("b", "[{npm: p, binaries: {c: x}}]")],
            ["3.yaml:3:12: image name `a-b` would stand for two images; the other comes from 2.yaml:3:12"],
        ),
    ],
    ids=["package", "command", "toolchains", "agent and toolchain", "image names", "base and image"],
)
def test_two_that_want_one_name_are_refused(tmp_path: Path, documents: list[str], expected: list[str]) -> None:
    """The message has the place of each."""
    assert problems(tmp_path, *documents) == expected


def test_two_toolchains_no_base_puts_together_may_share_a_command(tmp_path: Path) -> None:
    """As two versions of one runtime do."""
    documents = (toolchain("t", "c"), toolchain("u", "c"), base("b", "[t]"), base("d", "[u]"))

    assert problems(tmp_path, *documents) == []
