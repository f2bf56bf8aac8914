"""`agc verify --rebuild`: a published image is built again from its commit, and compared by digest."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest

from pipeline.digest import digest_bytes
from pipeline.engine.layout import Descriptor
from pipeline.errors import ExitCode
from pipeline.supply.artifact import Artifact
from pipeline.supply.check.checks import PROVENANCE
from pipeline.supply.sign.keys import open_key
from pipeline.supply.sign.referrers import sign_all
from pipeline.supply.statement import Statement
from tests.docker.cosign import Repository
from tests.engine.small import BASE, PASSES, small_project
from tests.engine.support import Agc
from tests.registry.server import Registry
from tests.unit.supply.evidence_shelf import NOW, REPOSITORY, Shelf
from tests.unit.supply.sign.test_keys import write_pair

pytestmark = [pytest.mark.engine, pytest.mark.docker, pytest.mark.timeout(900)]


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody, and return what it prints."""
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, "-C", folder, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass(frozen=True, slots=True)
class Published:
    """A project, the image it published, and the key it was signed with."""

    folder: Path
    reference: str
    public: Path
    built_from: str
    other: str


@pytest.fixture(scope="module")
def published(agc: Agc, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Publish an image of a small project in a git repository, sign it, and go on working."""
    folder = small_project(tmp_path_factory.mktemp("rebuilt"))
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "first")):
        git(folder, *words)
    commit = git(folder, "rev-parse", "HEAD")
    run = agc("build", "small", "--json", "--output", f"push:{registry.address}/rebuilt", project=folder)
    assert run.code == 0, run.stderr
    repository = Repository(registry, "rebuilt/small")
    content = httpx.get(
        f"{repository.base}/manifests/latest", headers={"Accept": "application/vnd.oci.image.manifest.v1+json, */*"}
    ).content
    subject = Descriptor(json.loads(content)["mediaType"], digest_bytes(content), len(content))
    private, public = write_pair(folder.parent)

    definition = folder / "definitions" / "bases" / "small.yaml"
    definition.write_text(BASE.replace("  smoke:", "  env: {OTHER: value}\n  smoke:") + PASSES)
    git(folder, "commit", "--quiet", "-am", "second")
    other = git(folder, "rev-parse", "HEAD")
    definition.write_text("this is no definition\n")  # somebody is in the middle of something
    made = Published(folder, f"{registry.address}/rebuilt/small:latest", public, commit, other)

    predicate = {
        "buildDefinition": {
            "buildType": "https://example.com",
            "resolvedDependencies": [{"uri": f"git+{REPOSITORY}@{commit}", "digest": {"gitCommit": commit}}],
        }
    }
    signer = open_key(f"file:{private}", {})

    async def work() -> tuple[Artifact, ...]:
        return await sign_all(signer, subject, (), [Statement(PROVENANCE, predicate, subject.digest)], NOW)

    shelf = Shelf()
    shelf.attach(anyio.run(work))
    repository.push(shelf)
    return made


def test_an_image_comes_out_the_same_again(agc: Agc, published: Published) -> None:
    """From its commit, though the checkout has moved on and is broken; and the checkout stays as it is."""
    before = git(published.folder, "status", "--porcelain"), git(published.folder, "rev-parse", "HEAD")

    arguments = ("verify", published.reference, "--key", published.public, "--rebuild", "--json")
    run = agc(*map(str, arguments), project=published.folder)

    assert run.code == 0, run.stderr
    (check,) = [one for one in run.json["checks"] if one["check"] == "rebuild"]
    assert (check["outcome"], run.json["verified"]) == ("passed", True)
    assert published.built_from[:12] in check["found"]
    assert before == (git(published.folder, "status", "--porcelain"), git(published.folder, "rev-parse", "HEAD"))
    assert git(published.folder, "worktree", "list").count("\n") == 0


def test_a_commit_that_is_not_here(agc: Agc, published: Published, tmp_path: Path) -> None:
    """Another checkout does not have it; what to fetch is said."""
    git(tmp_path, "init", "--quiet")

    arguments = ("verify", published.reference, "--key", published.public, "--rebuild", "--json")
    run = agc(*map(str, arguments), project=tmp_path)

    assert run.code == ExitCode.USAGE
    assert "git fetch" in run.error["remedy"]


def test_another_commit_gives_another_digest(agc: Agc, published: Published, registry: Registry) -> None:
    """Provenance that names a commit the image does not come from is found out, signed or not."""
    repository = Repository(registry, "rebuilt/small")
    content = httpx.get(
        f"{repository.base}/manifests/latest", headers={"Accept": "application/vnd.oci.image.manifest.v1+json, */*"}
    ).content
    subject = Descriptor(json.loads(content)["mediaType"], digest_bytes(content), len(content))
    private, public = write_pair(published.folder.parent, "ed25519")
    source = {"uri": f"git+{REPOSITORY}@{published.other}", "digest": {"gitCommit": published.other}}
    predicate = {"buildDefinition": {"resolvedDependencies": [source]}}

    async def work() -> tuple[Artifact, ...]:
        signer = open_key(f"file:{private}", {})
        return await sign_all(signer, subject, (), [Statement(PROVENANCE, predicate, subject.digest)], NOW)

    shelf = Shelf()
    shelf.attach(anyio.run(work))
    repository.push(shelf)

    arguments = ("verify", published.reference, "--key", public, "--rebuild", "--json")
    run = agc(*map(str, arguments), project=published.folder)

    assert run.code == ExitCode.VERIFY, run.stderr
    assert [one["check"] for one in run.json["checks"] if one["outcome"] == "failed"] == ["rebuild"]
