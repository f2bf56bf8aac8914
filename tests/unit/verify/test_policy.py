"""Policy checks of definitions, and what lets one pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.compose.image import Composition
from pipeline.compose.layers import Layer
from pipeline.errors import AgcError, ErrorGroup, ExitCode
from pipeline.graph.ops import Image
from pipeline.graph.state import State, http
from pipeline.models.load import load_definitions
from pipeline.verify.policy import check_image, check_policy
from tests.unit.compose.samples import composed
from tests.unit.models.test_bad_input import AGENT, BASE, FILES

SHIPPED = Path(__file__).parents[3]
RANDOM = "q7Zt4mXw9Lk2Vb8Rc5Nd"
POLICY = """\
apiVersion: agentcontainers/v1
kind: Policy
metadata:
  name: mine
spec:
  allow:
    - check: egress
      kind: Agent
      name: claude
      reason: It works on files alone and calls nobody.
"""
NO_EGRESS = AGENT.partition("  egress:")[0] + "  smoke:" + AGENT.partition("  smoke:")[2]


def breaches(folder: Path, **files: str) -> tuple[AgcError, ...]:
    """Return what the policy says of the good project with some of its files replaced or added."""
    for name, text in {**FILES, **{f"{name}.yaml": text for name, text in files.items()}}.items():
        (folder / name).write_text(text, encoding="utf-8")
    try:
        check_policy(load_definitions([folder], folder))
    except ErrorGroup as group:
        return group.errors
    return ()


def test_shipped_definitions_pass() -> None:
    """Without any exception."""
    definitions = load_definitions([SHIPPED / "definitions"], SHIPPED)
    check_policy(definitions)

    assert definitions.policies == {}


@pytest.mark.parametrize(
    ("file", "old", "new", "place", "words"),
    [
        ("agent", "    A: b", f"    A_TOKEN: {RANDOM}", "agent.yaml:17:5", "`A_TOKEN` is called like a secret"),
        ("agent", "    A: b", "    A: https://me:word@host/", "agent.yaml:17:5", "an address with a password"),
        (
            "agent",
            "  env:\n    A: b",
            "  secrets:\n    - name: A\n      description: a\n  env:\n    A: b",
            "agent.yaml:20:5",
            "one of the secrets",
        ),
        ("agent", "name: MIT", "name: unknown", "agent.yaml:14:5", "no licence"),
        ("agent", "name: MIT", "name: NOASSERTION", "agent.yaml:14:5", "no licence"),
        ("agent", "name: MIT", "name: LicenseRef-Mine", "agent.yaml:14:5", "where its text is"),
        (
            "agent",
            "  env:",
            "  volumes:\n    - path: /var/run/docker.sock\n      purpose: state\n  env:",
            "agent.yaml:17:7",
            "has in the place of the system's own",
        ),
        ("base", "  commonTools: []", "  user:\n    name: root", "base.yaml:9:5", "called `root`"),
        ("base", "  commonTools: []", f"  env:\n    MY_API_KEY: {RANDOM}", "base.yaml:9:5", "called like a secret"),
    ],
)
def test_a_breach_names_its_place_and_check(
    tmp_path: Path, file: str, old: str, new: str, place: str, words: str
) -> None:
    """So that it can be mended, or let pass."""
    text = {"agent": AGENT, "base": BASE}[file]
    assert old in text
    (error,) = breaches(tmp_path, **{file: text.replace(old, new)})

    assert str(error.location) == place
    assert words in error.message
    assert "(check: " in error.remedy
    assert RANDOM not in f"{error} {error.remedy}"
    assert error.exit_code == ExitCode.DEFINITION


@pytest.mark.parametrize(
    "value",
    [
        "none-needed",
        "/run/secrets/token",
        "https://example.com/token1234567890",
        "aaaaaaaaaaaaaaaa1",
        "two words 12345678",
    ],
)
def test_what_is_no_secret_is_none(tmp_path: Path, value: str) -> None:
    """A path, an address, a word, whatever the variable is called."""
    assert breaches(tmp_path, agent=AGENT.replace("    A: b", f'    A_TOKEN: "{value}"')) == ()


def test_an_agent_says_whom_it_must_reach(tmp_path: Path) -> None:
    """An empty list is more often forgotten than meant."""
    (error,) = breaches(tmp_path, agent=NO_EGRESS)

    assert "which hosts it must reach" in error.message
    assert error.remedy.endswith("in a Policy (check: egress)")


def test_a_check_is_let_pass_with_a_reason(tmp_path: Path) -> None:
    """For one definition."""
    assert breaches(tmp_path, agent=NO_EGRESS, policy=POLICY) == ()


@pytest.mark.parametrize("reason", ['""', "because", "it is just so"])
def test_a_reason_is_a_sentence(tmp_path: Path, reason: str) -> None:
    """Somebody else has to judge it."""
    (error,) = breaches(tmp_path, policy=POLICY.replace("It works on files alone and calls nobody.", reason))

    assert str(error.location) == "policy.yaml:10:7"


def test_what_is_let_pass_and_need_not_be_is_an_error(tmp_path: Path) -> None:
    """It would let pass what somebody does later."""
    (error,) = breaches(tmp_path, policy=POLICY)

    assert str(error.location) == "policy.yaml:7:7"
    assert "by itself" in error.message


def test_what_is_let_pass_must_be_there(tmp_path: Path) -> None:
    """A misspelt name would be of no use, and nobody would see."""
    errors = breaches(tmp_path, agent=NO_EGRESS, policy=POLICY.replace("name: claude", "name: cloude"))

    assert [error.message for error in errors] == [
        "claude does not say which hosts it must reach",
        "there is no Agent named `cloude`",
    ]
    assert "claude" in errors[1].remedy


def test_a_good_image_passes() -> None:
    """Its user is not root and all it is made of is pinned."""
    check_image(composed())


@pytest.mark.parametrize(
    "state",
    [http("https://example.com/x.tgz", None, "x.tgz").unpack("x.tgz"), State(Image("docker.io/library/debian:13"))],
)
def test_an_input_without_a_digest_is_refused(state: State) -> None:
    """The lock pins everything; this is for what comes past it."""
    good = composed()
    with pytest.raises(ErrorGroup, match="nobody has pinned") as caught:
        check_image(Composition(good.plan, (*good.layers, Layer("agents/x", "1", state))))

    assert caught.value.exit_code == ExitCode.LOCK


def test_an_image_that_runs_as_root_is_refused() -> None:
    """Definitions cannot say it, so something would have gone wrong."""
    good = composed()
    vars(good)["document"] = {"config": {"User": "0:0"}}
    with pytest.raises(ErrorGroup, match="would run as root"):
        check_image(good)
