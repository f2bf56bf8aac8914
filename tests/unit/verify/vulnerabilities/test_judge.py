"""The verdict on findings."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DatabaseError, ExitCode
from pipeline.models.defined import Defined
from pipeline.models.kinds import Vex
from pipeline.verify.vulnerabilities.finding import Finding, Severity, tidied
from pipeline.verify.vulnerabilities.judge import GatePolicy, Outcome, Verdict, judge, matches
from tests.unit.verify.vulnerabilities.samples import LODASH, NOW, ZLIB, finding, result, statement

POLICY = GatePolicy()


def verdict(*findings: Finding, policy: GatePolicy = POLICY, said: tuple[Defined[Vex], ...] = ()) -> Verdict:
    """Return the verdict on image `node-bun-claude`."""
    return judge("node-bun-claude", result(*findings), policy, {item.name: item for item in said}, NOW)


@pytest.mark.parametrize(
    ("severity", "outcome"),
    [
        (Severity.CRITICAL, Outcome.BLOCKS),
        (Severity.HIGH, Outcome.BLOCKS),
        (Severity.MEDIUM, Outcome.NOTED),
        (Severity.LOW, Outcome.NOTED),
        (Severity.NONE, Outcome.NOTED),
        (Severity.UNKNOWN, Outcome.BLOCKS),
    ],
)
def test_high_and_up_blocks_and_so_does_what_nobody_rated(severity: Severity, outcome: Outcome) -> None:
    """By default; an unrated one may be as bad as any."""
    found = verdict(finding(severity=severity))

    assert [item.outcome for item in found.judged] == [outcome]
    assert found.passed == (outcome is Outcome.NOTED)


def test_the_failure_names_what_blocks_and_where_it_is_mended() -> None:
    """It ends with the exit code of the gate."""
    failure = verdict(finding(fixed=("4.17.21",)), finding("CVE-2026-2", ZLIB)).failure()

    assert failure is not None
    assert failure.exit_code == ExitCode.GATE
    assert failure.message.splitlines() == [
        "node-bun-claude: 2 vulnerabilities that may not pass",
        f"CVE-2026-1 (high) in {LODASH}, fixed in 4.17.21",
        f"CVE-2026-2 (high) in {ZLIB}, no fix yet",
    ]


def test_many_are_counted() -> None:
    """The worst are shown first."""
    many = [finding(f"CVE-2026-{number}") for number in range(10, 20)]
    failure = verdict(*many, finding("CVE-2026-9", severity=Severity.CRITICAL)).failure()

    assert failure is not None
    assert "CVE-2026-9" in failure.message.splitlines()[1]
    assert failure.message.splitlines()[-1] == "and 6 more"


def test_only_what_has_a_fix_counts_where_that_is_asked_for() -> None:
    """The rest is noted."""
    policy = GatePolicy(fixable_only=True)
    found = verdict(finding(), finding("CVE-2026-2", fixed=("4.17.21",)), policy=policy)

    assert [(item.finding.id, item.outcome, item.because) for item in found.judged] == [
        ("CVE-2026-1", Outcome.NOTED, "there is no fix yet"),
        ("CVE-2026-2", Outcome.BLOCKS, ""),
    ]


@pytest.mark.parametrize("aliases", [(), ("CVE-2026-1",)])
def test_a_statement_lets_pass_what_it_is_about(aliases: tuple[str, ...]) -> None:
    """By whichever of its names the scanner calls it."""
    name = "GHSA-aaaa-bbbb-cccc" if aliases else "CVE-2026-1"
    found = verdict(finding(name, aliases=aliases), said=(statement(),))

    assert [item.outcome for item in found.judged] == [Outcome.EXCEPTED]
    assert found.judged[0].because.startswith("not affected until 2026-12-21: Nothing calls")
    assert found.passed
    assert found.failure() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"vulnerability": "CVE-2026-2"},
        {"packages": ["pkg:npm/underscore"]},
        {"packages": ["pkg:npm/lodash@4.17.19"]},
        {"packages": ["pkg:npm/%40scope/lodash"]},
        {"packages": ["pkg:pypi/lodash"]},
        {"packages": ["pkg:npm/lodash?arch=amd64"]},
        {"products": ["python-*"]},
        {"products": ["node-bun"]},
        {"status": "under_investigation", "justification": None},
        {"status": "affected", "justification": None},
        {"expires": date(2026, 11, 20)},
    ],
)
def test_a_statement_about_something_else_lets_nothing_pass(changes: dict[str, Any]) -> None:
    """Another vulnerability, package, version or image; another status; or one whose day is over."""
    assert not verdict(finding(), said=(statement(**changes),)).passed


def test_a_statement_holds_on_its_last_day() -> None:
    """`expires` is the last day, not the first one after."""
    assert verdict(finding(), said=(statement(expires=NOW.date()),)).passed


def test_an_expired_statement_is_told() -> None:
    """With its place, so that somebody looks at it again."""
    old = statement("old", expires=date(2026, 11, 1))
    found = verdict(finding(), said=(old,))
    failure = found.failure()

    assert found.expired == (old,)
    assert failure is not None
    assert "statement old expired on 2026-11-01" in failure.message
    assert str(failure.location) == "definitions/vex/old.yaml"


def test_a_statement_that_holds_makes_up_for_one_that_expired() -> None:
    """A new one was written beside it."""
    found = verdict(finding(), said=(statement("old", expires=date(2026, 11, 1)), statement("new")))

    assert found.passed
    assert [item.name for item in found.expired] == ["old"]


@pytest.mark.parametrize(("age", "words"), [(timedelta(days=5, minutes=1), "5 days old"), (timedelta(-2), "not come")])
def test_a_database_of_no_use_is_a_failure(age: timedelta, words: str) -> None:
    """Too old or from the future: no verdict, though nothing was found."""
    with pytest.raises(DatabaseError, match=words) as caught:
        judge("image", result(built=NOW - age), POLICY, {}, NOW)

    assert caught.value.exit_code == ExitCode.DATABASE


def test_the_age_that_is_allowed_is_configurable() -> None:
    """For those who renew by hand."""
    policy = GatePolicy(max_age=timedelta(days=30))

    assert judge("image", result(built=NOW - timedelta(days=29)), policy, {}, NOW).passed


@pytest.mark.parametrize(
    ("pattern", "purl", "expected"),
    [
        ("pkg:deb/debian/zlib1g", ZLIB, True),
        ("pkg:deb/debian/zlib1g?distro=debian-13", ZLIB, True),
        ("pkg:deb/debian/zlib1g?distro=debian-12", ZLIB, False),
        ("pkg:deb/ubuntu/zlib1g", ZLIB, False),
        ("pkg:npm/lodash@4.17.20", LODASH, True),
        ("pkg:npm/lodash", "lodash", False),
    ],
)
def test_a_package_url_without_something_means_anything_there(pattern: str, purl: str, expected: bool) -> None:
    """What it says must be so."""
    assert matches(pattern, purl) == expected


SEVERITIES = st.sampled_from(Severity)


@given(st.lists(st.tuples(st.integers(1, 6), SEVERITIES, st.booleans()), max_size=8), st.randoms())
def test_the_same_findings_give_the_same_verdict(items: list[tuple[int, Severity, bool]], chance: Any) -> None:
    """In whatever order, and however often, a scanner tells them."""
    found = [finding(f"CVE-2026-{number}", severity=level, fixed=("9",) * fix) for number, level, fix in items]
    shuffled = [*found, *found]
    chance.shuffle(shuffled)

    assert verdict(*tidied(found)).as_json() == verdict(*tidied(shuffled)).as_json()


@given(SEVERITIES, SEVERITIES)
def test_a_stricter_policy_blocks_no_less(first: Severity, second: Severity) -> None:
    """Whatever the finding."""
    strict, mild = sorted((first, second))
    for level in Severity:
        blocked = not verdict(finding(severity=level), policy=GatePolicy(mild)).passed

        assert not blocked or not verdict(finding(severity=level), policy=GatePolicy(strict)).passed
