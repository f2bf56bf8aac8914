"""Work tests: what is mounted, what is run, and what makes one run again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.graph import Network
from pipeline.graph.ops import Files, Run, Write
from pipeline.models.load import load_definitions
from pipeline.models.parts import SmokeTest
from pipeline.platform import AMD64, ARM64, Platform
from pipeline.stages.project import shipped_folder
from pipeline.verify.cases import SmokeCase, smoke_cases
from pipeline.verify.mock.turns import LAST_WORDS
from pipeline.verify.work import MOCK_URL, work_command, work_mounts
from tests.unit.compose.samples import composed, definitions, plan


def work_case(platform: Platform = AMD64) -> SmokeCase:
    """Return the work test of the small project."""
    return next(case for case in smoke_cases(composed(platform=platform)) if case.depth == "work")


def step(case: SmokeCase) -> Run:
    """Return the step of a test."""
    assert isinstance(case.state.op, Run)
    return case.state.op


def test_it_runs_beside_the_mock_without_network() -> None:
    """Its tools and its program are mounted, so nothing of them is in the image."""
    op = step(work_case())
    tools, program = op.mounts

    assert op.network is Network.NONE
    assert (tools.target, program.target) == ("/run/agc-mock", "/run/agc-mock-program")
    assert op.root.digest == composed().rootfs.digest
    assert tools.source.digest != op.root.digest


def test_the_program_is_the_modules_of_the_mock() -> None:
    """In the packages they are imported from, and nothing else of the program."""
    files = work_mounts(plan())[1].source.op

    assert isinstance(files, Files)
    assert {action.path for action in files.actions if isinstance(action, Write)} == {
        f"/pipeline/verify/mock/{name}.py" for name in ("__init__", "__main__", "app", "dialects", "turns")
    }


@pytest.mark.parametrize(
    ("platform", "loader"),
    [
        (AMD64, ("/run/agc-mock/usr/lib/x86_64-linux-gnu", "ld-linux-x86-64.so.2")),
        (ARM64, ("/run/agc-mock/usr/lib/aarch64-linux-gnu", "ld-linux-aarch64.so.1")),
    ],
)
def test_the_mock_runs_through_its_own_loader(platform: Platform, loader: tuple[str, str]) -> None:
    """The one of the image's platform."""
    assert loader == step(work_case(platform)).args[12:14]


def test_the_address_of_the_mock_is_filled_in() -> None:
    """In the command, the environment and the files; the environment is the image's otherwise."""
    op = step(work_case())
    environment = dict(op.env)

    assert op.args[-3:] == ("claude", "-p", f"at {MOCK_URL}")
    assert op.args[-5:-3] == ("/home/dev/.claude/settings.json", f'{{"url": "{MOCK_URL}"}}')
    assert (environment["URL"], environment["LANG"], environment["HOME"]) == (f"{MOCK_URL}/v1", "C", "/home/dev")


def test_the_agent_must_pass_on_what_the_mock_said_last() -> None:
    """Otherwise a file that was written before the agent failed would do."""
    assert step(work_case()).args[5] == LAST_WORDS


def test_the_file_is_below_the_workspace() -> None:
    """The mock is told the whole path."""
    assert step(work_case()).args[15:17] == ("/workspace/notes/greeting.txt", "Hello there.")


def test_a_mock_that_calls_no_tool_makes_another_test() -> None:
    """It is for seeing a work test fail."""
    (test,) = (test for _, test in plan().smoke if test.depth == "work")

    assert [
        (one, other)
        for one, other in zip(work_command(test, plan()), work_command(test, plan(), calls_tools=False), strict=True)
        if one != other
    ] == [("1", "0")]


def test_a_plan_has_a_mock_only_where_a_test_needs_it() -> None:
    """So a lock that lacks it stops nothing else."""
    mock = plan().mock

    assert mock is not None
    assert (mock.name, mock.platform, mock.agent, mock.mock) == ("model-mock", AMD64, None, None)
    assert plan("plain").mock is None


def test_the_mock_is_no_part_of_the_image() -> None:
    """A new Python runs the work test again and changes no image."""
    with_mock = plan()
    assert with_mock.mock is not None
    (pin,) = with_mock.mock.system.packages
    newer = with_mock.mock.system.model_copy(
        update={"packages": (pin.model_copy(update={"sha256": pin.sha256[::-1]}),)}
    )
    changed = replace(composed(), plan=replace(with_mock, mock=replace(with_mock.mock, system=newer)))
    before, after = smoke_cases(composed()), smoke_cases(changed)

    assert changed.graph_digest == composed().graph_digest
    assert [case.name for case, other in zip(before, after, strict=True) if case.state != other.state] == [
        "claude-writes-a-file"
    ]


@pytest.mark.parametrize("agent", ["claude", "codex", "copilot", "gemini", "openclaw", "opencode"])
def test_every_shipped_agent_is_seen_working(agent: str) -> None:
    """By one test, which asks for content that names the agent."""
    shipped = shipped_folder()
    found = load_definitions([shipped / "definitions"], shipped)
    (test,) = (test for test in found.agents[agent].model.spec.smoke if test.depth == "work")

    assert isinstance(test, SmokeTest)
    assert test.expect_file


def test_the_mock_is_no_image() -> None:
    """Alone or with an agent."""
    assert not definitions().bases["model-mock"].model.spec.images
