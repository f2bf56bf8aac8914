"""A combo has a lock and a system layer of its own, and shares all other layers with the images of its bases."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.compose.image import Composition, compose_all
from pipeline.models.defined import Definitions
from pipeline.platform import AMD64
from pipeline.resolve.lock import read_locks, stale, system_packages, write_lock
from pipeline.resolve.plan import plan_images
from pipeline.verify.cases import smoke_cases
from tests.unit.compose.samples import PROJECT, definitions, locks

COMBO = """\
apiVersion: agentcontainers/v1
kind: Combo
metadata: {name: both}
spec:
  bases: [plain, node-bun]
  debian: [jq]
  env: {BOTH: "1"}
"""


@pytest.fixture
def found(tmp_path: Path) -> Definitions:
    """Return the sample definitions with a combo."""
    shutil.copytree(PROJECT / "definitions", tmp_path / "definitions")
    (tmp_path / "definitions" / "both.yaml").write_text(COMBO)
    return definitions(tmp_path)


def composed(found: Definitions, *names: str) -> tuple[Composition, ...]:
    """Return images of these definitions."""
    return compose_all(plan_images(names, [AMD64], found, locks(found), "auto"))


def test_a_combo_has_the_packages_of_all_its_bases(found: Definitions) -> None:
    """And a lock of its own, beside theirs."""
    assert set(system_packages(found, found.bases["both"].model.spec)) == {
        "jq",
        *system_packages(found, found.bases["plain"].model.spec),
        *system_packages(found, found.bases["node-bun"].model.spec),
    }
    assert locks(found).bases["both"].component == "bases/both"


def test_the_lock_of_a_combo_is_a_file_beside_those_of_bases(found: Definitions, tmp_path: Path) -> None:
    """What it says goes stale when one of the bases moves on."""
    for lock in locks(found).all():
        write_lock(lock, tmp_path / "lock")
    (tmp_path / "definitions" / "bases" / "plain.yaml").write_text(
        (tmp_path / "definitions" / "bases" / "plain.yaml").read_text() + "  debian: [less]\n"
    )
    moved = definitions(tmp_path)
    again, damage = read_locks([tmp_path / "lock"], moved)

    assert (tmp_path / "lock" / "bases" / "both.json").is_file()
    assert damage == ()
    assert [error.message for error in stale(again, moved)] == [
        "bases/both changed since it was locked",
        "bases/plain changed since it was locked",
    ]


def test_toolchains_and_agents_are_the_same_layers_on_a_combo(found: Definitions) -> None:
    """Only the system differs."""
    one, other = composed(found, "both-claude", "node-bun-claude")
    layers = {layer.component: layer.state.digest for layer in one.layers}
    others = {layer.component: layer.state.digest for layer in other.layers}

    assert [name for name in layers if name not in others] == ["bases/both"]
    assert {name: layers[name] for name in layers if name in others} == {
        name: digest for name, digest in others.items() if name != "bases/node-bun"
    }


def test_a_combo_runs_the_tests_of_its_bases(found: Definitions) -> None:
    """In its own name, since it is there that they must pass."""
    (one,) = composed(found, "both")
    (base,) = composed(found, "node-bun")
    names = {(case.component.replace("bases/both", "bases/node-bun"), case.name) for case in smoke_cases(one)}

    assert {(case.component, case.name) for case in smoke_cases(base)} <= names
    assert "BOTH=1" in one.config.decode()
