"""Files for CI systems: thin callers of `agc`, all of the same few calls.

Three jobs everywhere: a pull request is validated, planned, built and tested; the lock is updated on a schedule, and
what moved is proposed; what changed is published from the default branch. The calls are said here and nowhere else.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from pipeline.outputs.generated import Generated, header
from pipeline.outputs.subject import Subject
from pipeline.outputs.templates import render

# Of third parties, by commit, with the release that is. Both were read from the tags of their own repositories.
ACTIONS = MappingProxyType(
    {
        "checkout": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
        "upload_artifact": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
    }
)

_AGC = ".venv/bin/agc"
_BRANCH = "main"
_FILES = (
    "github/pull-request.yml",
    "github/lock-update.yml",
    "github/publish.yml",
    "gitlab/agc.gitlab-ci.yml",
    "jenkins/Jenkinsfile",
    "buildkite/pipeline.yml",
    "circleci/config.yml",
    "azure/azure-pipelines.yml",
    "cron/agc.cron",
    "lock-update",
)
_EXECUTABLE = frozenset({"lock-update"})


class Calls(NamedTuple):
    """What jobs call, by the names that templates know. None has a single quote: Jenkins puts them into a pair."""

    agc: str
    setup: str
    check: tuple[str, ...]
    plan: str
    build: str
    update: str
    login: str
    publish: str


def ci_files(subject: Subject) -> tuple[Generated, ...]:
    """Return the file of each CI system, and the script that proposes what moved."""
    return tuple(_file(subject, name) for name in _FILES)


def calls(subject: Subject) -> Calls:
    """Return the calls for a project."""
    against = '${AGC_AGAINST:+--against "$AGC_AGAINST"}'
    installed = f"python3 -m venv .venv && .venv/bin/pip install --quiet agentcontainers=={subject.version}"
    return Calls(
        agc=_AGC,
        setup="make setup" if subject.own else installed,
        check=(f"{_AGC} validate", f"{_AGC} lock --check"),
        plan=f"{_AGC} plan --changed --markdown {against}",
        build=f"{_AGC} build --changed --locked {against} --output none --junit junit.xml",
        update="ci/lock-update",
        login=(
            'printf %s "$AGC_REGISTRY_PASSWORD" | docker login --username "$AGC_REGISTRY_USER" --password-stdin'
            ' "${AGC_REGISTRY%%/*}"'
        ),
        publish=(
            f'{_AGC} publish --changed --locked --against "$AGC_REGISTRY" --to "$AGC_REGISTRY"'
            ' ${AGC_PLATFORMS:+--platform "$AGC_PLATFORMS"} --junit junit.xml'
        ),
    )


def _file(subject: Subject, name: str) -> Generated:
    template = f"ci/{name}.j2"
    text = render(
        subject.templates,
        template,
        header=partial(header, "ci", f"templates/{template}"),
        actions=ACTIONS,
        branch=_BRANCH,
        **calls(subject)._asdict(),
    )
    return Generated(f"ci/{name}", text, name in _EXECUTABLE)
