"""Files for CI systems: their makers' schemas accept them, all make the same calls, and none gives away a right."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner

from pipeline.catalog.record import Catalog
from pipeline.outputs.ci import calls, ci_files
from pipeline.outputs.subject import Subject
from pipeline.stages.project import load_project, shipped_folder

PROJECT = load_project(shipped_folder(), {})
OWN = Subject(shipped_folder() / "templates", "1.2.3", own=True, project=PROJECT, catalog=Catalog())
USERS = replace(OWN, own=False)
SCHEMAS = {
    "ci/github/pull-request.yml": "github-workflows",
    "ci/github/lock-update.yml": "github-workflows",
    "ci/github/publish.yml": "github-workflows",
    "ci/gitlab/agc.gitlab-ci.yml": "gitlab-ci",
    "ci/buildkite/pipeline.yml": "buildkite",
    "ci/circleci/config.yml": "circle-ci",
    "ci/azure/azure-pipelines.yml": "azure-pipelines",
}
GITHUB = [name for name in SCHEMAS if "/github/" in name]
TRANSFORMS = {"azure-pipelines", "gitlab-ci"}


def text_of(name: str, subject: Subject = OWN) -> str:
    """Return the text of a generated file."""
    (text,) = [file.text for file in ci_files(subject) if file.path == name]
    return text


def commands(subject: Subject, call: str) -> tuple[str, ...]:
    """Return the commands of a call."""
    found: str | tuple[str, ...] = getattr(calls(subject), call)
    return (found,) if isinstance(found, str) else found


def workflow(name: str) -> dict[str, Any]:
    """Return a workflow as GitHub reads it: YAML 1.1 takes the key `on` for true."""
    document: dict[Any, Any] = yaml.safe_load(text_of(name))
    return {("on" if key is True else str(key)): value for key, value in document.items()}


def validate(path: Path, schema: str) -> tuple[int, str]:
    """Hold a file against the schema its vendor publishes."""
    options = ["--builtin-schema", f"vendor.{schema}", "--regex-variant", "nonunicode"]
    transform = ["--data-transform", schema] if schema in TRANSFORMS else []
    done = CliRunner().invoke(check_jsonschema, [*options, *transform, str(path)])
    return done.exit_code, done.output


@pytest.mark.parametrize("subject", [OWN, USERS], ids=["own", "users"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_the_vendors_schema_accepts_it(name: str, subject: Subject, tmp_path: Path) -> None:
    """Without reaching any network: the schemas come with the checker."""
    path = tmp_path / Path(name).name
    path.write_text(text_of(name, subject))

    assert validate(path, SCHEMAS[name])[0] == 0, validate(path, SCHEMAS[name])[1]


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name not in GITHUB[1:]])
def test_the_schema_would_notice(name: str, tmp_path: Path) -> None:
    """A check that takes anything is none."""
    path = tmp_path / Path(name).name
    wrong = re.sub(r"(?m)^( *(- )?)(run|script|commands|interruptible|version):.*", r"\1\3: {a: [1]}", text_of(name))
    assert wrong != text_of(name)
    path.write_text(wrong)

    assert validate(path, SCHEMAS[name])[0] == 1


@pytest.mark.parametrize("call", ["check", "plan", "build", "update", "login", "publish"])
@pytest.mark.parametrize("system", ["github", "gitlab", "jenkins", "buildkite", "circleci", "azure", "cron"])
def test_every_system_makes_the_same_calls(system: str, call: str) -> None:
    """What one of them does, all do."""
    if system == "cron" and call in {"build", "login"}:
        return  # it has no pull requests, and its user has logged in
    text = "\n".join(file.text for file in ci_files(OWN) if file.path.startswith(f"ci/{system}/")).replace("$$", "$")

    assert [command for command in commands(OWN, call) if command not in text] == []


def test_a_project_of_users_installs_the_release_it_was_made_with() -> None:
    """While agc's own checkout installs itself."""
    assert "agentcontainers==1.2.3" in text_of("ci/github/publish.yml", USERS)
    assert "make setup" not in text_of("ci/github/publish.yml", USERS)
    assert "agentcontainers==" not in text_of("ci/github/publish.yml", OWN)


def test_no_call_has_a_quote_that_ends_another() -> None:
    """Jenkins and cron put calls between single quotes, or take a percent sign for a line feed."""
    for call in calls(USERS)._fields:
        assert [command for command in commands(USERS, call) if "'" in command] == []
    lines = [line for line in text_of("ci/cron/agc.cron").splitlines() if not line.startswith("#")]
    assert [line for line in lines if "%" in line] == []


@pytest.mark.parametrize("name", GITHUB)
def test_actions_are_pinned_by_commit(name: str) -> None:
    """With the release beside it."""
    uses = re.findall(r"uses: (.+)", text_of(name))

    assert uses
    assert [use for use in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []


@pytest.mark.parametrize("name", GITHUB)
def test_a_workflow_has_no_rights_but_those_its_job_names(name: str) -> None:
    """No run takes the place of another half-way, and no text of a stranger becomes a command."""
    document = workflow(name)

    assert document["permissions"] == {}
    assert document["concurrency"]["group"]
    assert "pull_request_target" not in document["on"]
    for job in document["jobs"].values():
        assert job["permissions"]["contents"] in {"read", "write"}
        assert job["timeout-minutes"]
        checkouts = [step for step in job["steps"] if "checkout@" in step.get("uses", "")]
        assert [step["with"]["persist-credentials"] for step in checkouts] == [False]
        assert not any("${{" in step.get("run", "") for step in job["steps"])


def test_a_pull_request_sees_no_secret() -> None:
    """Its code is anybody's."""
    job = workflow("ci/github/pull-request.yml")["jobs"]["images"]

    assert job["permissions"] == {"contents": "read"}
    assert "secrets." not in text_of("ci/github/pull-request.yml")
    assert "github.token" not in text_of("ci/github/pull-request.yml")
    for name in SCHEMAS:
        document = yaml.safe_load(text_of(name))
        jobs = document.get("jobs", document) if isinstance(document, dict) else {}
        own = jobs.get("pull-request") or jobs.get("images") if isinstance(jobs, dict) else None
        assert not re.search("PASSWORD|TOKEN|_PAT", str(own))


def test_only_publishing_may_write_packages() -> None:
    """And only proposing may write to the repository."""
    rights = {name: next(iter(workflow(name)["jobs"].values()))["permissions"] for name in GITHUB}

    assert rights["ci/github/publish.yml"] == {"contents": "read", "packages": "write"}
    assert rights["ci/github/lock-update.yml"] == {"contents": "write", "pull-requests": "write"}
