"""Which images there are, with a matrix and without, and what is said of those that are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import DefinitionError, ErrorGroup
from pipeline.models.defined import Defined, Definitions
from pipeline.models.document import parse_document
from pipeline.models.kinds import Matrix
from pipeline.resolve.lock import Locks
from pipeline.resolve.matrix import Combination, check_cells, combinations, image_names
from pipeline.resolve.plan import parse_image_name
from tests.unit.compose.samples import definitions, locks

FOUND = definitions()
LOCKS = locks(FOUND)
HEAD = "apiVersion: agentcontainers/v1\nkind: Matrix\nmetadata: {name: default}\nspec:\n"


def having(cells: str, exclude: str = "[]") -> Definitions:
    """Return the sample definitions with a matrix."""
    document, errors = parse_document(f"{HEAD}  cells: {cells}\n  exclude: {exclude}\n", "matrix.yaml")
    assert document is not None
    assert errors == ()
    return replace(FOUND, matrix=Defined(Matrix.model_validate(document.data), document.places))


SMALL = having(
    "[{base: node-bun, agents: [claude], tier: extra}]", "[{base: plain, agent: claude, reason: nobody wants it}]"
)


def told(item: Combination) -> list[Any]:
    """Return what a person hears of a combination."""
    return [item.name, item.tier, item.reason, str(item.location or "")]


def test_without_a_matrix_every_pair_that_fits_is_an_image() -> None:
    """The others say what they lack."""
    assert [told(item) for item in combinations(FOUND, LOCKS)] == [
        ["node-bun", "", "", ""],
        ["node-bun-claude", "", "", ""],
        ["node-bun-picky", "", "", ""],
        ["plain", "", "", ""],
        ["plain-claude", "", "", ""],
        [
            "plain-picky",
            "",
            "picky requires `node >=22`, and base plain does not provide `node`",
            "definitions/agents/picky.yaml:11:19",
        ],
    ]


def test_with_a_matrix_its_cells_and_all_bases_are_the_images() -> None:
    """A base has the tier of the weightiest image on it, or none."""
    assert image_names(SMALL, LOCKS) == ("node-bun", "node-bun-claude", "plain")
    assert [told(item) for item in combinations(SMALL, LOCKS)] == [
        ["node-bun", "extra", "", ""],
        ["node-bun-claude", "extra", "", ""],
        ["node-bun-picky", "", "in no cell of the matrix; it can be built by its name", "matrix.yaml:5:3"],
        ["plain", "", "", ""],
        ["plain-claude", "", "nobody wants it", "matrix.yaml:6:13"],
        [
            "plain-picky",
            "",
            "picky requires `node >=22`, and base plain does not provide `node`",
            "definitions/agents/picky.yaml:11:19",
        ],
    ]


def test_the_weightiest_tier_of_a_base_counts() -> None:
    """Whatever order the cells are in."""
    found = having("[{base: node-bun, agents: [claude], tier: extra}, {base: node-bun, agents: [picky], tier: v1}]")

    assert combinations(found, LOCKS)[0].tier == "v1"


def test_a_pair_in_no_cell_can_be_built_by_its_name() -> None:
    """The matrix says what is made for everybody."""
    parts = parse_image_name("node-bun-picky", SMALL, LOCKS)

    assert parts.agent is SMALL.agents["picky"]


def test_an_excluded_pair_is_refused_with_the_reason() -> None:
    """By its name too."""
    with pytest.raises(DefinitionError) as caught:
        parse_image_name("plain-claude", SMALL, LOCKS)

    assert str(caught.value) == ("matrix.yaml:6:13: the matrix excludes agent claude on base plain: nobody wants it")
    assert caught.value.remedy == "choose another base, or take it out of `exclude`"


def test_impossible_cells_are_refused_all_at_once() -> None:
    """With the capability and the bases that would do."""
    found = having("[{base: plain, agents: [claude, picky], tier: v1}, {base: node-bun, agents: [picky], tier: v1}]")
    old = replace(LOCKS, toolchains={**LOCKS.toolchains, "node": _older(LOCKS)})
    with pytest.raises(ErrorGroup) as one:
        check_cells(found, LOCKS)
    with pytest.raises(ErrorGroup) as two:
        check_cells(found, old)

    assert [(str(error), error.remedy) for error in one.value.errors] == [
        (
            (
                "matrix.yaml:5:42: no image plain-picky can be: agent picky requires `node >=22`"
                " (definitions/agents/picky.yaml:11:19), and base plain does not provide `node`"
            ),
            "bases that would do: node-bun",
        )
    ]
    assert [(error.message.rpartition(", and ")[2], error.remedy) for error in two.value.errors] == [
        ("base plain does not provide `node`", "no base provides `node >=22`; define one"),
        ("base node-bun has node 18.0.0", "no base provides `node >=22`; define one"),
    ]


def _older(pins: Locks) -> Any:
    lock = pins.toolchains["node"]
    first, *others = lock.packages
    return lock.model_copy(update={"packages": (first.model_copy(update={"version": "18.0.0"}), *others)})


def test_cells_that_can_be_pass() -> None:
    """So does having no matrix."""
    check_cells(SMALL, LOCKS)
    check_cells(FOUND, Locks())


def test_an_image_exists_where_its_root_and_all_packages_do() -> None:
    """A package of one platform limits the image."""
    agent = FOUND.agents["claude"]
    package = agent.model.spec.packages[0]
    small = package.model_copy(update={"platforms": {"linux/arm64": "x"}})
    spec = agent.model.spec.model_copy(update={"packages": (small,)})
    limited = replace(agent, model=agent.model.model_copy(update={"spec": spec}))
    found = replace(FOUND, agents={**FOUND.agents, "claude": limited})
    platforms = {item.name: item.platforms for item in combinations(found, LOCKS)}

    assert platforms["node-bun-claude"] == ("linux/arm64",)
    assert platforms["node-bun"] == ("linux/amd64", "linux/arm64")
