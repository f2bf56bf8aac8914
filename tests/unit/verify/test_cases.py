"""Which smoke tests an image has, and what each runs."""

from __future__ import annotations

from dataclasses import replace

from pipeline.compose.image import compose
from pipeline.graph import Network
from pipeline.graph.ops import Run
from pipeline.verify.cases import SmokeCase, left_out, smoke_cases
from tests.unit.compose.samples import composed

CASES = {case.title: case for case in smoke_cases(composed())}


def step(case: SmokeCase) -> Run:
    """Return the step of a test."""
    assert isinstance(case.state.op, Run)
    return case.state.op


def command(case: SmokeCase) -> tuple[str, ...]:
    """Return what a test runs, below the runner that limits it."""
    return step(case).args[6:]


def test_tests_come_in_the_order_of_layers() -> None:
    """Base, common tools, toolchains, agent; presence before what is declared."""
    assert list(CASES) == [
        "bases/node-bun: runs-as-dev",
        "common-tools/default: git-works",
        "toolchains/node: presence",
        "toolchains/node: node-answers",
        "toolchains/bun: presence",
        "agents/claude: presence",
        "agents/claude: claude-answers",
        "agents/claude: claude-reaches-out",
        "agents/claude: claude-writes-a-file",
    ]


def test_a_base_alone_is_tested_too() -> None:
    """Without toolchains there is nothing that must be present."""
    assert [case.title for case in smoke_cases(composed("plain"))] == ["common-tools/default: git-works"]


def test_every_binary_must_be_the_one_path_finds() -> None:
    """Also one in a folder of its own below the component's."""
    pairs = command(CASES["toolchains/node: presence"])[4:]

    assert dict(zip(pairs[::2], pairs[1::2], strict=True)) == {
        "node": "/opt/toolchains/node/bin/node",
        "npm": "/opt/toolchains/node/lib/node_modules/npm/bin/npm-cli.js",
        "npx": "/opt/toolchains/node/lib/node_modules/npm/bin/npx-cli.js",
    }


def test_expected_text_has_the_locked_version() -> None:
    """Of the component that declares the test."""
    assert step(CASES["agents/claude: claude-answers"]).args[5] == "2.1.330"
    assert step(CASES["toolchains/node: node-answers"]).args[5] == "v26.10.0"
    assert step(CASES["bases/node-bun: runs-as-dev"]).args[5] == "dev"


def test_commands_are_run_as_they_are_written() -> None:
    """No shell takes them apart."""
    assert command(CASES["agents/claude: claude-answers"]) == ("claude", "--version")


def test_tests_run_as_the_user_in_the_workspace_with_the_images_environment() -> None:
    """On the whole image, and only their own output is kept."""
    op = step(CASES["agents/claude: claude-answers"])

    assert (op.user, op.cwd, op.output) == ("1000:1000", "/workspace", "/run/agc-smoke")
    assert dict(op.env)["HOME"] == "/home/dev"
    assert op.root.digest == composed().rootfs.digest
    assert (op.secrets, op.caches, op.mounts) == ((), (), ())


def test_a_test_has_the_network_only_where_it_asks() -> None:
    """One of them does."""
    reaching = [case.name for case in CASES.values() if step(case).network is Network.HOST]

    assert reaching == ["claude-reaches-out"]


def test_every_test_has_a_time_limit_and_a_place() -> None:
    """Its own, the default, or that of presence."""
    limits = {case.name: case.timeout for case in CASES.values()}

    assert (limits["claude-reaches-out"], limits["claude-answers"], limits["presence"]) == (5, 60, 30)
    assert all(step(case).args[4] == str(case.timeout) for case in CASES.values())
    assert str(CASES["agents/claude: claude-answers"].state.location) == "definitions/agents/claude.yaml:37:3"
    assert CASES["agents/claude: presence"].state.name == "smoke agents/claude: presence"


def test_every_test_has_a_depth() -> None:
    """What nobody declares is presence, what is declared without one is an answer."""
    depths = {case.name: case.depth for case in CASES.values()}

    assert (depths["presence"], depths["claude-answers"], depths["claude-writes-a-file"]) == (
        "presence",
        "answer",
        "work",
    )


def test_an_unchanged_image_has_the_same_tests() -> None:
    """So that the engine need not run them again; another image has others."""
    again = {case.title: case.state.digest for case in smoke_cases(composed())}
    other = {case.title: case.state.digest for case in smoke_cases(composed("node-bun-picky"))}

    assert again == {title: case.state.digest for title, case in CASES.items()}
    assert other["common-tools/default: git-works"] != again["common-tools/default: git-works"]


def test_what_is_emulated_has_longer() -> None:
    """Its command ends itself later, and so does the wait for it."""
    case = next(one for one in smoke_cases(composed(), emulated=True) if one.title == "agents/claude: presence")

    native = CASES["agents/claude: presence"]
    assert (native.timeout, case.timeout) == (30, 150)
    assert isinstance(case.state.op, Run)
    assert "150" in case.state.op.args


def test_what_cannot_pass_where_it_is_emulated_is_left_out_and_told() -> None:
    """By its title; on a machine of the platform it is run."""
    one = composed()
    assert one.plan.agent
    agent, lock = one.plan.agent
    tests = tuple(test.model_copy(update={"emulated": test.depth != "work"}) for test in agent.model.spec.smoke)
    spec = agent.model.spec.model_copy(update={"smoke": tests})
    changed = replace(agent, model=agent.model.model_copy(update={"spec": spec}))
    picky = compose(replace(one.plan, agent=(changed, lock)))

    assert left_out(one) == ()
    assert left_out(picky) == ("agents/claude: claude-writes-a-file",)
    assert "agents/claude: claude-writes-a-file" in {case.title for case in smoke_cases(picky)}


def test_names_of_tests_are_told_apart() -> None:
    """A report may not mix them up."""
    assert len({case.state.name for case in CASES.values()}) == len(CASES)
    assert replace(CASES["agents/claude: presence"], name="x").title == "agents/claude: x"
