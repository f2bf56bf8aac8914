"""Generated definition sets: planning is deterministic, order means nothing, and errors name a real place."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.compose.image import compose_all
from pipeline.errors import AgcError, ErrorGroup
from pipeline.models.load import load_definitions
from pipeline.platform import PLATFORMS
from pipeline.resolve.matrix import check_cells, combinations, image_names
from pipeline.resolve.plan import plan_images
from pipeline.stages.report import planned_images
from tests.unit.compose.samples import locks

_PLACE = re.compile(r"([\w-]+\.yaml)(?::(\d+))?(?::(\d+))?")
_ROOT = {
    "kind": "Root",
    "name": "tiny",
    "spec": {
        "distribution": "debian",
        "suite": "trixie",
        "image": "docker.io/library/debian:trixie-slim",
        "bootstrap": {"variant": "minbase"},
    },
}
_NAMES = "abcdef"
_TOOLCHAINS = st.lists(st.sampled_from(["node", "bun"] * 20 + ["nod"]), max_size=2, unique=True)
_ENV = st.dictionaries(st.sampled_from(["A", "B", "C"]), st.sampled_from(["1"] * 15 + ["2"]), max_size=3)
_DEBIAN = st.lists(st.sampled_from(["git", "tini", "jq", "curl"]), max_size=3, unique=True)
_SMOKE = st.lists(
    st.builds(
        lambda name, word: {"name": name, "run": ["echo", word]},
        st.sampled_from(["one", "two"]),
        st.sampled_from(["x"] * 15 + ["y"]),
    ),
    max_size=2,
    unique_by=lambda test: str(test["name"]),
)
_SHARE = {"toolchains": _TOOLCHAINS, "env": _ENV, "debian": _DEBIAN, "smoke": _SMOKE}
_WORKSPACE = {"workspace": st.sampled_from(["/workspace"] * 3 + ["/work"])}
_STANDING = st.fixed_dictionaries({"root": st.just("tiny"), **_SHARE}, optional=_WORKSPACE)


_REQUIRES = st.lists(st.sampled_from(["git", "node >=22", "node >=99", "bun", "python"]), max_size=2, unique=True)
_AGENTS = ["claude", "picky"]


def _matrix(bases: list[str]) -> st.SearchStrategy[Any]:
    """Return matrices of these bases, one pair of which may be there twice; or none."""
    pairs = st.lists(st.tuples(st.sampled_from(bases), st.sampled_from(_AGENTS)), min_size=1, max_size=3)
    tier = st.sampled_from(["v1", "extra"])
    return st.none() | st.builds(
        lambda cells, rest, tier: {
            "cells": [{"base": base, "agents": [agent], "tier": tier} for base, agent in cells],
            "exclude": [{"base": base, "agent": agent, "reason": "so"} for base, agent in rest if base == bases[0]],
        },
        pairs,
        pairs,
        tier,
    )


def _package(npm: str, command: str) -> dict[str, Any]:
    return {"npm": npm, "binaries": {command: "run"}}


def _toolchain(name: str) -> dict[str, Any]:
    return {"kind": "Toolchain", "name": name, "spec": {"packages": [_package(name, name)], "provides": {name: name}}}


def _agent(name: str, npm: str, requires: list[str]) -> dict[str, Any]:
    licence = {"publish": "baked", "name": "MIT"}
    spec = {"packages": [_package(npm, name)], "command": [name], "requires": requires, "licence": licence}
    return {"kind": "Agent", "name": name, "spec": spec}


def _base(draw: st.DrawFn, before: list[str]) -> tuple[str, dict[str, Any]]:
    """Return kind and spec of a base; most inherit from what is there already, a few from anything."""
    astray = draw(st.integers(0, 15)) == 0
    names = [*_NAMES, "gone"] if astray else before
    count = draw(st.integers(0, min(3, len(names))))
    if count == 0:
        return "Base", draw(_STANDING)
    parents = draw(st.lists(st.sampled_from(names), min_size=count, max_size=count, unique=True))
    share = draw(st.fixed_dictionaries(_SHARE))
    return ("Base", {"extends": parents[0], **share}) if count == 1 else ("Combo", {"bases": parents, **share})


@st.composite
def definition_sets(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return documents of a project: some right, some that refer to nothing, go in circles or contradict each other."""
    documents = [_ROOT, _toolchain("node"), _toolchain("bun")]
    documents.append(_agent("claude", "@anthropic-ai/claude-code", draw(_REQUIRES)))
    documents.append(_agent("picky", "picky", draw(_REQUIRES)))
    names = draw(st.permutations(_NAMES))[: draw(st.integers(2, 6))]
    for at, name in enumerate(names):
        kind, spec = _base(draw, names[:at])
        documents.append({"kind": kind, "name": name, "spec": spec})
    if matrix := draw(_matrix(names[:3])):
        documents.append({"kind": "Matrix", "name": "default", "spec": matrix})
    return documents


@dataclass(frozen=True)
class Answer:
    """What a project comes to: its images with all digests and what is said of the others, or what is wrong with it."""

    images: Any = None
    others: Any = None
    errors: tuple[str, ...] = ()


def _shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        keys = chance.sample(sorted(value), len(value))
        return {key: _shuffled(value[key], chance) for key in keys}
    return [_shuffled(item, chance) for item in value] if isinstance(value, list) else value


def _write(folder: Path, documents: list[dict[str, Any]], chance: random.Random) -> None:
    """Write each document into a file of some name, its keys in some order."""
    folder.mkdir()
    for number, document in enumerate(chance.sample(documents, len(documents))):
        head = {"apiVersion": "agentcontainers/v1", "kind": document["kind"], "metadata": {"name": document["name"]}}
        text = yaml.safe_dump(_shuffled({**head, "spec": document["spec"]}, chance), sort_keys=False)
        (folder / f"file-{number}.yaml").write_text(text)


def _plain(text: str, folder: Path) -> str:
    """Return a message with the name of what stands in a file for the place in it, which differs."""

    def name(match: re.Match[str]) -> str:
        return str(yaml.safe_load((folder / match[1]).read_text())["metadata"]["name"])

    return _PLACE.sub(name, text)


def _answer(folder: Path) -> tuple[Answer, tuple[AgcError, ...]]:
    """Return what a project comes to, and its errors as they are."""
    try:
        found = load_definitions([folder], folder)
        pins = locks(found)
        check_cells(found, pins)
        names = image_names(found, pins)
        planned = planned_images(compose_all(plan_images(names, PLATFORMS, found, pins, "auto")))
    except ErrorGroup as group:
        return Answer(errors=tuple(sorted(_plain(str(error), folder) for error in group.errors))), group.errors
    others = [(item.name, item.reason) for item in combinations(found, pins) if item.reason]
    return Answer([image.as_json() for image in planned], others), ()


def _assert_real(error: AgcError, files: Mapping[str, list[str]]) -> None:
    """Check that the place of an error, and every other that it mentions, is there."""
    assert error.location is not None
    assert error.location.line
    for file, line, column in _PLACE.findall(str(error)):
        assert 1 <= int(line) <= len(files[file])
        assert 1 <= int(column) <= len(files[file][int(line) - 1])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents=definition_sets(), seed=st.integers(0, 2**32))
def test_order_of_files_and_keys_means_nothing_and_errors_name_a_real_place(
    tmp_path_factory: pytest.TempPathFactory, documents: list[dict[str, Any]], seed: int
) -> None:
    """The same images with the same digests, or the same errors."""
    folder = tmp_path_factory.mktemp("set", numbered=True)
    _write(folder / "one", documents, random.Random(seed))  # noqa: S311  # no secret depends on it
    _write(folder / "two", documents, random.Random(seed + 1))  # noqa: S311  # no secret depends on it
    first, errors = _answer(folder / "one")
    second, _ = _answer(folder / "two")
    again, _ = _answer(folder / "one")

    assert first == again
    assert first == second
    files = {path.name: path.read_text().splitlines() for path in (folder / "one").iterdir()}
    for error in errors:
        _assert_real(error, files)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents=definition_sets())
def test_a_base_has_each_toolchain_once_and_all_of_its_parents(
    tmp_path_factory: pytest.TempPathFactory, documents: list[dict[str, Any]]
) -> None:
    """However it inherits."""
    folder = tmp_path_factory.mktemp("set", numbered=True) / "one"
    _write(folder, documents, random.Random(0))  # noqa: S311  # no secret depends on it
    try:
        found = load_definitions([folder], folder)
    except ErrorGroup:
        return
    for document in documents:
        if document["kind"] in {"Base", "Combo"}:
            spec = found.bases[document["name"]].model.spec
            parents = document["spec"].get("bases", []) or [document["spec"].get("extends", document["name"])]
            wanted = [name for parent in parents for name in found.bases[parent].model.spec.toolchains]
            assert spec.root == "tiny"
            assert spec.toolchains == tuple(dict.fromkeys([*wanted, *document["spec"]["toolchains"]]))
