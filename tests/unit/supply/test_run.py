"""What is known of a run: what its CI system says of itself, and no word more."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.supply.run import LOCAL_BUILDER, RunFacts, Source, level, run_facts

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "me/images",
    "GITHUB_WORKFLOW_REF": "me/images/.github/workflows/publish.yml@refs/heads/main",
    "GITHUB_RUN_ID": "123",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_SHA": COMMIT,
    "RUNNER_ENVIRONMENT": "github-hosted",
}
SYSTEMS: dict[str, tuple[Mapping[str, str], str, str, str]] = {
    "github": (
        GITHUB,
        "https://github.com/me/images/.github/workflows/publish.yml@refs/heads/main",
        "https://github.com/me/images/actions/runs/123/attempts/2",
        "https://github.com/me/images",
    ),
    "gitlab": (
        {
            "GITLAB_CI": "true",
            "CI_PROJECT_URL": "https://gitlab.example:8443/me/images",
            "CI_RUNNER_ID": "7",
            "CI_JOB_URL": "https://gitlab.example:8443/me/images/-/jobs/9",
            "CI_COMMIT_SHA": COMMIT,
        },
        "https://gitlab.example:8443/me/images/-/runners/7",
        "https://gitlab.example:8443/me/images/-/jobs/9",
        "https://gitlab.example:8443/me/images",
    ),
    "buildkite": (
        {
            "BUILDKITE": "true",
            "BUILDKITE_ORGANIZATION_SLUG": "me",
            "BUILDKITE_PIPELINE_SLUG": "images",
            "BUILDKITE_BUILD_URL": "https://buildkite.com/me/images/builds/5",
            "BUILDKITE_JOB_ID": "0f",
            "BUILDKITE_COMMIT": COMMIT,
            "BUILDKITE_REPO": "git@git.example:me/images.git",
        },
        "https://buildkite.com/me/images",
        "https://buildkite.com/me/images/builds/5/jobs/0f",
        "ssh://git.example/me/images.git",
    ),
    "circleci": (
        {
            "CIRCLECI": "true",
            "CIRCLE_PROJECT_USERNAME": "me",
            "CIRCLE_PROJECT_REPONAME": "images",
            "CIRCLE_BUILD_URL": "https://circleci.com/gh/me/images/5",
            "CIRCLE_SHA1": COMMIT,
            "CIRCLE_REPOSITORY_URL": "https://git.example/me/images",
        },
        "https://circleci.com/projects/me/images",
        "https://circleci.com/gh/me/images/5",
        "https://git.example/me/images",
    ),
    "azure": (
        {
            "TF_BUILD": "True",
            "SYSTEM_COLLECTIONURI": "https://dev.azure.example/me/",
            "SYSTEM_TEAMPROJECT": "images",
            "SYSTEM_DEFINITIONID": "4",
            "BUILD_BUILDID": "5",
            "BUILD_SOURCEVERSION": COMMIT,
            "BUILD_REPOSITORY_URI": "https://me@dev.azure.example/me/images/_git/images",
        },
        "https://dev.azure.example/me/images/_build/definitions/4",
        "https://dev.azure.example/me/images/_build/results/5",
        "https://dev.azure.example/me/images/_git/images",
    ),
    "jenkins": (
        {
            "JENKINS_URL": "https://ci.example/",
            "JOB_URL": "https://ci.example/job/images/",
            "BUILD_URL": "https://ci.example/job/images/5/",
            "GIT_COMMIT": COMMIT,
            "GIT_URL": "https://git.example/me/images.git",
        },
        "https://ci.example/job/images/",
        "https://ci.example/job/images/5/",
        "https://git.example/me/images.git",
    ),
}
CANARY = "c4n4ry-s3cr3t"


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_ci_system_says_who_builds(name: str) -> None:
    """Builder and run as addresses that a person can open."""
    environment, builder, invocation, repository = SYSTEMS[name]

    assert run_facts(environment) == RunFacts(
        builder=builder, invocation=invocation, source=Source(COMMIT, repository), hosted=name == "github"
    )


def test_a_laptop_is_a_laptop() -> None:
    """Nobody vouches for it; git's word for the commit is kept."""
    source = Source(COMMIT, modified=True)

    assert run_facts({"USER": "me"}, source) == RunFacts(builder=LOCAL_BUILDER, source=source)


def test_half_a_ci_system_is_none() -> None:
    """A variable that tools set on laptops too makes no builder."""
    assert run_facts({"GITHUB_ACTIONS": "true"}).builder == LOCAL_BUILDER


def test_the_address_of_a_repository_loses_its_token() -> None:
    """CI systems put one there to fetch with."""
    environment = {**SYSTEMS["buildkite"][0], "BUILDKITE_REPO": f"https://x:{CANARY}@git.example/me/images?t={CANARY}"}
    source = run_facts(environment).source

    assert source == Source(COMMIT, "https://git.example/me/images")


def test_git_and_the_ci_system_agree_or_git_is_right() -> None:
    """The repository is the CI system's where it speaks of the same commit."""
    same, other = Source(COMMIT, "https://mirror.example/x"), Source("f" * 40, "https://mirror.example/x")

    assert run_facts(GITHUB, same).source == Source(COMMIT, "https://github.com/me/images")
    assert run_facts(GITHUB, other).source == other


@pytest.mark.parametrize("name", SYSTEMS)
def test_no_other_variable_is_looked_at(name: str) -> None:
    """Secrets lie beside those that are read, and none of these comes along."""
    environment = {**SYSTEMS[name][0], "GITHUB_TOKEN": CANARY, "CI_JOB_TOKEN": CANARY, "AWS_SECRET_ACCESS_KEY": CANARY}

    assert CANARY not in repr(run_facts(environment))


NAMES = sorted({name for environment, *_ in SYSTEMS.values() for name in environment})


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=30)), st.booleans())
def test_no_environment_makes_a_run_of_level_3(environment: dict[str, str], identity: bool) -> None:
    """Nor does any make reading it fail; and without an identity of the platform it is level 1."""
    run = run_facts(environment)

    assert level(run, identity=identity) <= (2 if identity else 1)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20)), st.booleans())
def test_a_laptop_is_level_1_whatever_it_says(environment: dict[str, str], identity: bool) -> None:
    """Signed or not."""
    run = run_facts({name: value for name, value in environment.items() if name not in NAMES})

    assert level(run, identity=identity) == 1


def test_only_a_machine_of_the_platform_is_level_2() -> None:
    """A runner of one's own is a machine that somebody has the password of."""
    own = run_facts({**GITHUB, "RUNNER_ENVIRONMENT": "self-hosted"})

    assert [level(run_facts(GITHUB), identity=True), level(own, identity=True)] == [2, 1]
