"""Smoke tests that fail or hang: the image is not written, every failure is told, and CI gets its file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from junitparser import JUnitXml, TestSuite

from tests.engine.small import PASSES, small_project
from tests.engine.support import Agc, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

FAILS = (
    PASSES
    + """\
    - name: fails
      run: [sh, -c, "echo what it said; exit 3"]
    - name: says-the-wrong-thing
      run: [echo, something else]
      contains: what is expected
    - name: hangs
      run: [sh, -c, "trap '' TERM; echo waiting; sleep 999"]
      timeout: 3
    - name: reaches-out
      run: [sh, -c, "cat /proc/net/route | tail -n +2"]
"""
)


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    """Return a project whose image has tests that fail."""
    return small_project(tmp_path / "failing", FAILS)


def test_failing_tests_keep_the_image_back(agc: Agc, failing: Path, tmp_path: Path) -> None:
    """Exit status 8, every failure named, the time limit kept, no output, and a JUnit file that says the same."""
    junit = tmp_path / "reports" / "junit.xml"
    started = time.monotonic()

    run = agc("build", "small", "--json", "-o", f"oci:{tmp_path / 'out'}", "--junit", junit, project=failing)

    assert (run.code, run.error["code"]) == (8, "smoke")
    assert time.monotonic() - started < 60
    message = run.error["message"]
    assert "3 of 5 smoke tests failed" in message
    assert all(f"bases/small: {name}" in message for name in ("fails", "says-the-wrong-thing", "hangs"))
    assert "what it said" in run.stderr
    assert run.error["location"]["file"] == "definitions/bases/small.yaml"
    assert run.stderr.count("\n") < 60
    assert {path.name for path in tmp_path.iterdir()} == {"failing", "reports"}
    (suite,) = JUnitXml.fromfile(str(junit))
    assert isinstance(suite, TestSuite)
    assert (suite.tests, suite.failures) == (5, 3)
    words = {case.name: [result.message for result in case.result] for case in suite}
    assert words == {
        "runs-as-dev": [],
        "fails": ["smoke: exit code 3"],
        "says-the-wrong-thing": ["smoke: expected in the output: what is expected"],
        "hangs": ["smoke: stopped after 3 seconds"],
        "reaches-out": [],
    }


def test_a_hanging_test_leaves_no_process_behind(agc: Agc, failing: Path) -> None:
    """What ignores the signal to end is killed with the step."""
    agc("smoke", "small", "-q", project=failing)

    wait_for(
        "the processes to end",
        lambda: not any("sleep 999" in " ".join(child.cmdline()) for child in agc.daemon.children(recursive=True)),
    )


def test_smoke_lists_each_test(agc: Agc, failing: Path) -> None:
    """`agc smoke` shows what passed and what failed, and ends with the same exit status."""
    run = agc("smoke", "small", project=failing)

    assert run.code == 8
    rows = [line.split() for line in run.stdout.splitlines() if "bases/small:" in line]
    assert {row[1] for row in rows} == {"answer"}
    shown = {row[3]: row[0] for row in rows}
    assert shown == {
        "runs-as-dev": "passed",
        "fails": "failed",
        "says-the-wrong-thing": "failed",
        "hangs": "failed",
        "reaches-out": "passed",
    }


def test_a_test_that_passed_is_not_run_again(agc: Agc, small: Path) -> None:
    """The second report comes from the cache; a failure never does."""
    first = agc("smoke", "small", "--json", project=small).json["reports"][0]
    again = agc("smoke", "small", "--json", project=small).json["reports"][0]

    assert (first["failed"], again["failed"]) == (0, 0)
    assert [test["cached"] for test in again["tests"]] == [True]
    assert json.dumps(again["tests"][0]["name"]) == '"runs-as-dev"'
