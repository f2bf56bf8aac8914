"""`agc list-matrix` and `agc explain`, as a person and as a program see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.errors import ExitCode

Capture = pytest.CaptureFixture[str]

HEAD = "apiVersion: agentcontainers/v1\nkind: {}\nmetadata: {{name: {}}}\nspec:\n"
MATRIX = HEAD.format("Matrix", "default") + (
    "  cells: [{base: node-bun, agents: [claude, codex], tier: v1}, {base: bare, agents: [claude], tier: extra}]\n"
    "  exclude: [{base: bare, agent: opencode, reason: nobody asked for it}]\n"
)
BARE = HEAD.format("Base", "bare") + "  root: debian-trixie\n  commonTools: [default]\n"
COMBO = HEAD.format("Combo", "both") + "  bases: [bare, node-bun]\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with a base, a combo and a matrix of its own, on top of what is shipped."""
    (tmp_path / "definitions").mkdir()
    for name, text in {"matrix": MATRIX, "bare": BARE, "both": COMBO}.items():
        (tmp_path / "definitions" / f"{name}.yaml").write_text(text)
    return tmp_path


def answer(project: Path, capsys: Capture, *arguments: str) -> Any:
    """Return the object that a command prints."""
    assert main(["-C", str(project), *arguments, "--json"]) == ExitCode.OK
    return json.loads(capsys.readouterr().out)


def test_the_images_are_listed_with_base_agent_tier_and_platforms(project: Path, capsys: Capture) -> None:
    """A base alone has no agent."""
    found = answer(project, capsys, "list-matrix", "--base", "bare")

    rest = {"tier": "extra", "platforms": ["linux/amd64", "linux/arm64"]}
    assert found == {
        "images": [
            {"name": "bare", "base": "bare", "agent": None, "toolpack": None, **rest},
            {"name": "bare-claude", "base": "bare", "agent": "claude", "toolpack": None, **rest},
        ]
    }


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--agent", "claude"], ["bare-claude", "node-bun-claude"]),
        (["--tier", "v1", "--agent", "codex"], ["node-bun-codex"]),
        (["--tier", "extra"], ["bare", "bare-claude"]),
        (["--base", "both"], ["both"]),
        (["--base", "both", "--tier", "v1"], []),
    ],
)
def test_filters_narrow_the_list(project: Path, capsys: Capture, filters: list[str], expected: list[str]) -> None:
    """All of them must hold."""
    assert [item["name"] for item in answer(project, capsys, "list-matrix", *filters)["images"]] == expected


def test_excluded_pairs_come_with_their_reasons(project: Path, capsys: Capture) -> None:
    """The one that was written, the missing capability, or that no cell has it."""
    found = answer(project, capsys, "list-matrix", "--base", "bare", "--excluded")["excluded"]
    reasons = {item["agent"]: (item["reason"], item["location"]) for item in found}

    assert reasons["opencode"] == ("nobody asked for it", "definitions/matrix.yaml:6:13")
    assert reasons["copilot"][0] == "copilot requires `node >=22`, and base bare does not provide `node`"
    assert answer(project, capsys, "list-matrix", "--agent", "gemini", "--base", "both", "--excluded") == {
        "images": [],
        "excluded": [
            {
                "name": "both-gemini",
                "base": "both",
                "agent": "gemini",
                "toolpack": None,
                "reason": "in no cell of the matrix; it can be built by its name",
                "location": "definitions/matrix.yaml:5:3",
            }
        ],
    }


def test_people_see_a_table(project: Path, capsys: Capture) -> None:
    """And below it what is no image."""
    assert main(["-C", str(project), "list-matrix", "--base", "bare", "--agent", "opencode", "--excluded"]) == 0
    assert capsys.readouterr().out == (
        "image  base  agent  toolpack  tier  platforms\n"
        "\n"
        "no images\n"
        "  bare-opencode  nobody asked for it  definitions/matrix.yaml:6:13\n"
    )
    assert main(["-C", str(project), "list-matrix", "--tier", "extra"]) == 0
    assert capsys.readouterr().out == (
        "image        base  agent   toolpack  tier   platforms\n"
        "bare         bare  -       -         extra  linux/amd64, linux/arm64\n"
        "bare-claude  bare  claude  -         extra  linux/amd64, linux/arm64\n"
    )


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (["--base", "bear"], "there is no base named 'bear'"),
        (["--agent", "cluade"], "there is no agent named 'cluade'"),
        (["--tier", "v2"], "there is no tier named 'v2'"),
    ],
)
def test_a_filter_that_matches_nothing_ever_is_refused(
    project: Path, capsys: Capture, filters: list[str], message: str
) -> None:
    """With near matches."""
    assert main(["-C", str(project), "list-matrix", *filters]) == ExitCode.USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", ["validate", "list-matrix"])
def test_an_impossible_cell_is_refused(project: Path, capsys: Capture, command: str) -> None:
    """With its place, what is missing, and the bases that would do."""
    (project / "definitions" / "matrix.yaml").write_text(MATRIX.replace("[claude], tier", "[codex], tier"))

    assert main(["-C", str(project), command]) == ExitCode.DEFINITION
    error = capsys.readouterr().err
    assert "error: no image bare-codex can be: agent codex requires `node >=16`" in error
    assert "base bare does not provide `node`" in error
    assert "definitions/matrix.yaml:5:86" in error
    assert "bases that would do: both, node-bun" in error


def test_combos_are_counted_apart(project: Path, capsys: Capture) -> None:
    """`validate` says what there is."""
    counts = answer(project, capsys, "validate")["counts"]

    assert counts["combos"] >= 1
    assert counts["toolpacks"] >= 1
    assert counts["images"] == len(answer(project, capsys, "list-matrix")["images"])


def test_an_image_is_explained_with_its_origins(tmp_path: Path, capsys: Capture) -> None:
    """For the platform asked for."""
    found = answer(tmp_path, capsys, "explain", "node-bun-claude", "--platform", "linux/arm64")

    assert (found["image"], found["platform"]) == ("node-bun-claude", "linux/arm64")
    assert found["user"][0]["value"] == "dev (1000:1000), /home/dev"
    assert all(fact["origins"] for section in found.values() if isinstance(section, list) for fact in section)


def test_people_see_the_explanation_in_sections(tmp_path: Path, capsys: Capture) -> None:
    """One below the other, without those that are empty."""
    assert main(["-C", str(tmp_path), "explain", "node-bun"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith("node-bun  linux/")
    assert [line for line in lines[1:] if line and not line.startswith(" ")] == [
        *("root", "debian", "toolchains", "user", "environment", "smoke")
    ]


def test_an_unknown_image_is_not_explained(tmp_path: Path, capsys: Capture) -> None:
    """But the near ones are named."""
    assert main(["-C", str(tmp_path), "explain", "node-bun-cluade"]) == ExitCode.USAGE
    assert "did you mean node-bun-claude" in capsys.readouterr().err
