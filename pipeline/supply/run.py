"""Who built it, when, where and from which commit: what is true of one run, and of no other that makes the same image.

Rules kept here:

- variables of the environment are read by name, from the table below; no other is looked at;
- an address loses user, password and query before it is kept, for CI systems put tokens into them;
- what a CI system does not say is not made up: without it, the run counts as one on some machine.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

LOCAL_BUILDER = "https://agentcontainers.dev/builders/local"
"""The builder of a run that no CI system vouches for."""
TREES = ("definitions", "registry/lock")
"""The folders of a project that decide what its images are."""

Level = Literal[1, 2]

_GIT_SECONDS = 20
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """The commit a project was at, by git's own digests; `modified` where definitions or lock differ from it."""

    commit: str
    repository: str = ""
    trees: Mapping[str, str] = field(default_factory=dict)
    modified: bool = False


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run: its builder and number as addresses, its times, its source, and the engine's package URL if known.

    `hosted` is true where the CI system itself says that the machine is its own.
    """

    builder: str = LOCAL_BUILDER
    invocation: str = ""
    started: datetime | None = None
    finished: datetime | None = None
    source: Source | None = None
    engine: str = ""
    hosted: bool = False


@dataclass(frozen=True, slots=True)
class _System:
    """A CI system: the variable that tells it, and how its addresses are made of variables."""

    sign: str
    builder: str
    invocation: str
    commit: str
    repository: str
    hosted: tuple[str, str] = ("", "")


_SYSTEMS = (
    _System(
        "GITHUB_ACTIONS",
        "{GITHUB_SERVER_URL}/{GITHUB_WORKFLOW_REF}",
        "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}/attempts/{GITHUB_RUN_ATTEMPT}",
        "{GITHUB_SHA}",
        "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}",
        ("RUNNER_ENVIRONMENT", "github-hosted"),
    ),
    _System(
        "GITLAB_CI",
        "{CI_PROJECT_URL}/-/runners/{CI_RUNNER_ID}",
        "{CI_JOB_URL}",
        "{CI_COMMIT_SHA}",
        "{CI_PROJECT_URL}",
    ),
    _System(
        "BUILDKITE",
        "https://buildkite.com/{BUILDKITE_ORGANIZATION_SLUG}/{BUILDKITE_PIPELINE_SLUG}",
        "{BUILDKITE_BUILD_URL}/jobs/{BUILDKITE_JOB_ID}",
        "{BUILDKITE_COMMIT}",
        "{BUILDKITE_REPO}",
    ),
    _System(
        "CIRCLECI",
        "https://circleci.com/projects/{CIRCLE_PROJECT_USERNAME}/{CIRCLE_PROJECT_REPONAME}",
        "{CIRCLE_BUILD_URL}",
        "{CIRCLE_SHA1}",
        "{CIRCLE_REPOSITORY_URL}",
    ),
    _System(
        "TF_BUILD",
        "{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/definitions/{SYSTEM_DEFINITIONID}",
        "{SYSTEM_COLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results/{BUILD_BUILDID}",
        "{BUILD_SOURCEVERSION}",
        "{BUILD_REPOSITORY_URI}",
    ),
    _System("JENKINS_URL", "{JOB_URL}", "{BUILD_URL}", "{GIT_COMMIT}", "{GIT_URL}"),
)


def run_facts(environment: Mapping[str, str], source: Source | None = None) -> RunFacts:
    """Return what the environment says of this run; `source` is what git says of the project.

    Where git says nothing, the CI system's word for the commit is taken.
    """
    for system in _SYSTEMS:
        builder = _address(_filled(system.builder, environment))
        if environment.get(system.sign) and builder:
            told = _told(system, environment)
            name, value = system.hosted
            return RunFacts(
                builder=builder,
                invocation=_address(_filled(system.invocation, environment)),
                source=_merged(source, told),
                hosted=bool(name) and environment.get(name) == value,
            )
    return RunFacts(source=source)


def git_source(folder: Path) -> Source | None:
    """Return the commit of the repository that `folder` is the root of a project in; None where there is none."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
        return None
    trees = {name: _git(folder, "rev-parse", "--verify", f"HEAD:./{name}") for name in TREES}
    changed = _git(folder, "status", "--porcelain", "--", *TREES)
    repository = _address(_git(folder, "remote", "get-url", "origin"))
    return Source(commit, repository, {name: tree for name, tree in trees.items() if tree}, bool(changed))


def level(run: RunFacts, *, identity: bool) -> Level:
    """Return the SLSA build level that provenance of this run reaches; `identity` where the platform's identity signs.

    Never 3: that needs the signing key out of reach of the build's own steps, which a program that builds and signs
    cannot promise of itself. See docs/explanation/supply-chain.md.
    """
    return 2 if run.hosted and run.builder != LOCAL_BUILDER and identity else 1


def timestamp(moment: datetime) -> str:
    """Return a time as SLSA writes it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _told(system: _System, environment: Mapping[str, str]) -> Source | None:
    commit = _filled(system.commit, environment)
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit):
        return None
    return Source(commit, _address(_filled(system.repository, environment)))


def _merged(source: Source | None, told: Source | None) -> Source | None:
    if source is None:
        return told
    repository = told.repository if told and told.commit == source.commit else ""
    return Source(source.commit, repository or source.repository, source.trees, source.modified)


def _filled(template: str, environment: Mapping[str, str]) -> str:
    """Return `template` with its variables, "" where one of them is missing or no word."""
    words = {name: environment.get(name, "") for name in re.findall(r"\{(\w+)\}", template)}
    if not all(re.fullmatch(r"[!-~]+", word) and len(word) <= _LONGEST for word in words.values()):
        return ""
    return template.format_map(words)


def _address(text: str) -> str:
    """Return an address without user, password, query and fragment; "" for what is none. Git's `user@host:path` is."""
    if match := re.fullmatch(r"(?:[^@/\s]+@)?([A-Za-z0-9.-]+):(?!//)([^\s?#@]+)", text):
        return f"ssh://{match[1]}/{match[2]}"
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https", "ssh", "git"} or not host:
        return ""
    return urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", ""))


def _git(folder: Path, *arguments: str) -> str:
    """Return what git says, "" where it says nothing or is not there."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_GIT_SECONDS)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""
    return done.stdout.strip()
