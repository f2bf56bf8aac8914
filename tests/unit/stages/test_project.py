"""A project read from disk, on top of what is shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.errors import ErrorGroup, UsageError
from pipeline.platform import AMD64, ARM64
from pipeline.settings import load_settings
from pipeline.stages.project import Project, load_project, shipped_folder
from pipeline.stages.report import planned_images
from tests.unit.compose.samples import PROJECT, composed, locks
from tests.unit.resolve.test_matrix import having

AGENT = (PROJECT / "definitions/agents/claude.yaml").read_text()


def test_an_empty_project_has_what_is_shipped(tmp_path: Path) -> None:
    """Definitions and locks."""
    project = load_project(tmp_path, {})

    assert "node-bun-claude" in project.images
    assert project.damage == ()
    assert project.plan(("node-bun-claude",), (AMD64,))[0].agent is not None
    assert project.lock_folder == tmp_path / "registry/lock"


def test_the_shipped_folder_is_itself_a_project() -> None:
    """Its files are not read twice, and named as a person sees them."""
    shipped = load_project(shipped_folder(), {})

    assert shipped.definitions.agents["claude"].at().file == "definitions/agents/claude.yaml"


def test_an_agent_of_ones_own_is_an_image_once_it_is_locked(tmp_path: Path) -> None:
    """Until then everything says how to lock it."""
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions/mine.yaml").write_text(AGENT.replace("name: claude\n", "name: mine\n"))
    project = load_project(tmp_path, {})

    assert "node-bun-mine" in project.images
    with pytest.raises(ErrorGroup) as caught:
        project.plan(("node-bun-mine",), (AMD64,))
    assert [(str(error), error.remedy) for error in caught.value.errors] == [
        ("definitions/mine.yaml:8:1: agents/mine is not locked", "agc lock")
    ]


def test_a_damaged_lock_of_ones_own_hides_the_shipped_one(tmp_path: Path) -> None:
    """It is not passed over in silence."""
    path = tmp_path / "registry/lock/agents/claude.json"
    path.parent.mkdir(parents=True)
    shipped = json.loads((shipped_folder() / "registry/lock/agents/claude.json").read_text())
    path.write_text(json.dumps({**shipped, "inputs": "sha256:" + "0" * 64}))
    project = load_project(tmp_path, {})

    with pytest.raises(ErrorGroup) as caught:
        project.plan((), (AMD64,))

    assert [error.message.partition(":")[0] for error in caught.value.errors] == ["integrity mismatch"]
    assert caught.value.errors[0].remedy == "agc lock --upgrade claude"


def test_a_plan_of_everything_needs_every_cell_to_be_possible(tmp_path: Path) -> None:
    """One image by its name does not."""
    found = having("[{base: plain, agents: [picky], tier: v1}]")
    project = Project(tmp_path, load_settings(tmp_path, {}), found, locks(found))

    assert project.plan(("plain",), (AMD64,))[0].name == "plain"
    with pytest.raises(ErrorGroup) as caught:
        project.plan((), (AMD64,))
    assert [error.location and str(error.location) for error in caught.value.errors] == ["matrix.yaml:5:34"]


def test_the_images_of_a_project_are_those_of_its_matrix(tmp_path: Path) -> None:
    """All combinations are there to look at."""
    found = having("[{base: plain, agents: [claude], tier: v1}]")
    project = Project(tmp_path, load_settings(tmp_path, {}), found, locks(found))

    assert project.images == ("node-bun", "plain", "plain-claude")
    assert len(project.combinations) == 6


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With the option that names it."""
    with pytest.raises(UsageError) as caught:
        load_project(tmp_path / "nowhere", {})

    assert caught.value.remedy == "give a project folder with -C"


def test_planned_images_are_grouped_by_name() -> None:
    """Each platform with its layers and digests."""
    one, two = planned_images([composed(), composed(platform=ARM64), composed("plain")])

    assert (one.name, [platform.platform for platform in one.platforms]) == (
        "node-bun-claude",
        ["linux/amd64", "linux/arm64"],
    )
    assert two.graph_digest == two.platforms[0].graph_digest == composed("plain").graph_digest
    document = one.as_json()
    assert set(document) == {"name", "graphDigest", "platforms"}
    assert document["platforms"][0]["layers"][-1] == {
        "component": "agents/claude",
        "version": "2.1.330",
        "graphDigest": composed().layers[-1].state.digest,
    }
