"""The matrix as it is read: one for each project, and no pair in it twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ErrorGroup
from pipeline.models.load import load_definitions
from tests.unit.models.test_clashes import HEAD, ROOT, agent, base

FILES = {
    "r": ROOT,
    "b": base("b"),
    "one": agent("one", "[{npm: p, binaries: {one: x}}]"),
    "two": agent("two", "[{npm: q, binaries: {two: x}}]"),
}


def matrix(*lines: str) -> str:
    """Return a matrix."""
    return HEAD.format(kind="Matrix", name="default") + "".join(f"  {line}\n" for line in lines)


def problems(folder: Path, text: str, **more: str) -> list[str]:
    """Return what is wrong with a matrix of one base and two agents."""
    for name, document in {**FILES, "m": text, **more}.items():
        (folder / f"{name}.yaml").write_text(document)
    try:
        load_definitions([folder], folder)
    except ErrorGroup as group:
        return [f"{error} -- {error.remedy}".removesuffix(" -- ") for error in group.errors]
    return []


CASES = {
    "good": (
        matrix(
            "cells: [{base: b, agents: [one], tier: v1}]", "exclude: [{base: b, agent: two, reason: it does not start}]"
        ),
        [],
    ),
    "unknown names": (
        matrix("cells: [{base: c, agents: [oen, two], tier: v1}]", "exclude: [{base: bb, agent: tow, reason: x}]"),
        [
            "m.yaml:5:12: there is no base named `c` -- known: b",
            "m.yaml:5:30: there is no agent named `oen` -- did you mean one?",
            "m.yaml:6:14: there is no base named `bb` -- did you mean b?",
            "m.yaml:6:24: there is no agent named `tow` -- did you mean two?",
        ],
    ),
    "in two cells": (
        matrix("cells: [{base: b, agents: [one], tier: v1}, {base: b, agents: [two, one], tier: extra}]"),
        ["m.yaml:5:71: the cell of b and one is claimed twice, first in m.yaml:5:30 -- keep one of them"],
    ),
    "cell and exclusion": (
        matrix("cells: [{base: b, agents: [one], tier: v1}]", "exclude: [{base: b, agent: one, reason: x}]"),
        ["m.yaml:6:13: the cell of b and one is claimed twice, first in m.yaml:5:30 -- keep one of them"],
    ),
    "agent twice": (
        matrix("cells: [{base: b, agents: [one, one], tier: v1}]"),
        ["m.yaml:5:21: `spec.cells.0.agents`: 'one' is there twice"],
    ),
    "no cells": (matrix("cells: []"), ["m.yaml:5:3: `spec.cells` must not be empty"]),
    "no agents": (
        matrix("cells: [{base: b, agents: [], tier: v1}]"),
        ["m.yaml:5:21: `spec.cells.0.agents` must not be empty"],
    ),
    "tier": (
        matrix("cells: [{base: b, agents: [one], tier: v2}]"),
        ["m.yaml:5:36: `spec.cells.0.tier`: input should be 'v1' or 'extra', not 'v2'"],
    ),
    "no reason": (
        matrix("cells: [{base: b, agents: [one], tier: v1}]", "exclude: [{base: b, agent: two}]"),
        ["m.yaml:6:13: `spec.exclude.0.reason` is missing -- add `reason:` here"],
    ),
    "name": (
        matrix("cells: [{base: b, agents: [one], tier: v1}]").replace("default", "mine"),
        ["m.yaml:3:12: `metadata.name`: input should be 'default', not 'mine'"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_matrix_says_each_thing_once_and_of_what_there_is(tmp_path: Path, text: str, expected: list[str]) -> None:
    """Every mistake has its place."""
    assert problems(tmp_path, text) == expected


def test_a_second_matrix_is_one_too_many(tmp_path: Path) -> None:
    """A project has one."""
    text = matrix("cells: [{base: b, agents: [one], tier: v1}]")

    assert problems(tmp_path, text, n=text) == [
        "n.yaml:3:12: duplicate name: Matrix `default` is defined in m.yaml:3:12 already -- rename one of them"
    ]


def test_a_project_without_a_matrix_does_not_inherit_one(tmp_path: Path) -> None:
    """The shipped matrix speaks of shipped images, and a project that has its own speaks for itself."""
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    shipped.mkdir()
    own.mkdir()
    assert problems(shipped, matrix("cells: [{base: b, agents: [one], tier: v1}]")) == []

    assert load_definitions([shipped], tmp_path).matrix is not None
    assert load_definitions([shipped, own], tmp_path).matrix is None

    (own / "m.yaml").write_text(matrix("cells: [{base: b, agents: [two], tier: v1}]"))
    found = load_definitions([shipped, own], tmp_path).matrix
    assert found is not None
    assert found.model.spec.cells[0].agents == ("two",)
