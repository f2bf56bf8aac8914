"""`agc lock`: what it resolves, what it leaves alone, and what a failure costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx
import pytest

from pipeline.digest import digest_bytes
from pipeline.errors import ErrorGroup, LockError, ResolveError, UsageError
from pipeline.platform import AMD64, ARM64
from pipeline.resolve.lock import Locks, render_lock, require
from pipeline.stages.locking import update_locks
from pipeline.stages.project import Project
from pipeline.stages.upgrade import LockChange, LockRequest
from tests.unit.compose.samples import definitions, locks, root_digest
from tests.unit.stages.bench import (
    Bench,
    bench,
    npm_document,
    npm_registry,
    project,
    resolving,
    tree,
)

BOTH = locks(definitions(), ("image", "bootstrap"))
INDEX = {
    "manifests": [
        {"digest": root_digest("image", AMD64), "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": digest_bytes(b"arm"), "platform": {"os": "linux", "architecture": "arm64"}},
    ]
}


NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def updated(item: Project, desk: Bench, *upgrade: str) -> tuple[LockChange, ...]:
    """Bring the lock of a project up to date, or raise what failed."""
    result = anyio.run(update_locks, item, LockRequest(NOW, upgrade), desk)
    result.raise_for_errors()
    return result.changes


def without(pins: Locks, *names: str) -> Locks:
    """Return locks without those of some agents."""
    return replace(pins, agents={name: lock for name, lock in pins.agents.items() if name not in names})


def test_a_lock_that_is_whole_is_left_alone(tmp_path: Path) -> None:
    """No question is asked and no file written."""
    desk = bench(tmp_path, resolving, packages=npm_registry())

    assert updated(project(tmp_path, BOTH), desk) == ()
    assert (desk.asked, desk.requests) == ([], [])
    assert not (tmp_path / "registry").exists()


def test_only_what_is_missing_is_resolved(tmp_path: Path) -> None:
    """One package document for each of its packages, one step in the engine, one file."""
    desk = bench(tmp_path, resolving, packages=npm_registry())
    changes = updated(project(tmp_path, without(BOTH, "claude")), desk)

    assert changes == (LockChange("agents/claude", "", "@anthropic-ai/claude-code 2.1.330"),)
    assert sorted(set(desk.asked)) == [
        "@anthropic-ai%2Fclaude-code",
        "@anthropic-ai%2Fclaude-code-linux-arm64",
        "@anthropic-ai%2Fclaude-code-linux-x64",
    ]
    assert [request.state.name for request in desk.requests] == ["check archives"]
    assert list(tree(tmp_path / "registry/lock")) == ["agents/claude.json"]


def test_only_what_is_stale_is_resolved(tmp_path: Path) -> None:
    """Its definition moved on; those of others did not."""
    stale = BOTH.toolchains["bun"].model_copy(update={"inputs": digest_bytes(b"old")})
    desk = bench(tmp_path, resolving, packages=npm_registry())
    updated(project(tmp_path, BOTH.with_lock(stale)), desk)

    assert set(desk.asked) == {"bun", "@oven%2Fbun-linux-x64", "@oven%2Fbun-linux-aarch64"}
    assert list(tree(tmp_path / "registry/lock")) == ["toolchains/bun.json"]


@pytest.mark.parametrize("name", ["claude", "agents/claude"])
def test_what_is_named_moves_and_nothing_else(tmp_path: Path, name: str) -> None:
    """By its short or its full name."""
    packages = npm_registry()
    for package in [key for key in packages if "claude" in key]:
        packages[package] = npm_document(package.replace("%2F", "/"), "2.1.330", "2.1.331")
    desk = bench(tmp_path, resolving, packages=packages)

    assert updated(project(tmp_path, BOTH), desk, name) == (
        LockChange("agents/claude", "@anthropic-ai/claude-code 2.1.330", "@anthropic-ai/claude-code 2.1.331"),
    )
    assert list(tree(tmp_path / "registry/lock")) == ["agents/claude.json"]


def test_packages_of_bases_are_resolved_for_every_root_and_platform(tmp_path: Path) -> None:
    """Each in the root it will be added to."""
    stale = BOTH.bases["plain"].model_copy(update={"inputs": digest_bytes(b"old")})
    desk = bench(tmp_path, resolving)
    changes = updated(project(tmp_path, BOTH.with_lock(stale)), desk)

    assert [change.component for change in changes] == ["bases/plain"]
    assert [(str(request.platform), request.state.inputs[0].name) for request in desk.requests] == [
        ("linux/amd64", f"docker.io/library/debian@{root_digest('image', AMD64)}"),
        ("linux/arm64", f"docker.io/library/debian@{root_digest('image', ARM64)}"),
        ("linux/amd64", "tiny"),
        ("linux/arm64", "tiny"),
    ]


def test_one_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    """What could be resolved is written whole, what could not is not written at all."""
    packages = {name: item for name, item in npm_registry().items() if "claude" not in name}
    desk = bench(tmp_path, resolving, packages=packages)

    with pytest.raises(ResolveError, match="no npm package named '@anthropic-ai/claude-code'") as caught:
        updated(project(tmp_path, without(BOTH, "claude", "picky")), desk)

    assert str(caught.value.location) == "definitions/agents/claude.yaml:10:7"
    assert list(tree(tmp_path / "registry/lock")) == ["agents/picky.json"]


def test_all_failures_are_told_together(tmp_path: Path) -> None:
    """Nothing is written where nothing worked, and an old lock stays as it was."""
    (tmp_path / "registry/lock/agents").mkdir(parents=True)
    old = render_lock(BOTH.agents["claude"])
    (tmp_path / "registry/lock/agents/claude.json").write_text(old)
    desk = bench(tmp_path, resolving)

    with pytest.raises(ErrorGroup) as caught:
        updated(project(tmp_path, BOTH), desk, "claude", "picky", "node")

    assert [str(error.location) for error in caught.value.errors] == [
        "definitions/toolchains/node.yaml:7:7",
        "definitions/agents/claude.yaml:10:7",
        "definitions/agents/picky.yaml:7:7",
    ]
    assert tree(tmp_path / "registry/lock") == {"agents/claude.json": old.encode()}


def test_an_unknown_name_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    """With the nearest ones."""
    desk = bench(tmp_path, resolving, packages=npm_registry())

    with pytest.raises(UsageError, match="there is nothing named 'cluade' to upgrade") as caught:
        updated(project(tmp_path, BOTH), desk, "node", "cluade")

    assert caught.value.remedy == "did you mean claude?"
    assert desk.asked == []


def test_an_unreachable_image_registry_is_a_note(tmp_path: Path) -> None:
    """The root is locked from the archive alone, and that is enough."""
    desk = bench(tmp_path, resolving)
    pins = locks(definitions())

    assert updated(project(tmp_path, pins), desk) == ()
    assert len(desk.notes) == 1
    assert desk.notes[0].startswith("note: docker.io/library/debian:trixie-slim: docker.io cannot be asked: no route")


def test_a_root_gains_its_image_where_the_registry_is_reached(tmp_path: Path) -> None:
    """What is locked of it already stays."""
    desk = bench(tmp_path, resolving, registry=lambda _: httpx.Response(200, json=INDEX))
    changes = updated(project(tmp_path, locks(definitions())), desk)

    assert changes[0].component == "roots/tiny"
    assert "image" in changes[0].after
    assert "image" not in changes[0].before


def test_a_base_follows_its_root_to_a_new_source(tmp_path: Path) -> None:
    """Otherwise every build says `agc lock`, which finds nothing to do."""
    desk = bench(tmp_path, resolving, registry=lambda _: httpx.Response(200, json=INDEX))
    changes = updated(project(tmp_path, locks(definitions())), desk)

    bases = ["bases/model-mock", "bases/node-bun", "bases/plain"]
    assert [change.component for change in changes] == ["roots/tiny", *bases]


def test_a_root_is_not_made_again_to_lock_something_else(tmp_path: Path) -> None:
    """The one that lies here will do to look into archives."""
    desk = bench(tmp_path, resolving, packages=npm_registry())
    updated(project(tmp_path, without(BOTH, "picky")), desk)

    assert desk.made == set()
    assert desk.notes == []


def test_what_was_updated_is_enough_to_build(tmp_path: Path) -> None:
    """The written files answer the definitions."""
    desk = bench(tmp_path, resolving, packages=npm_registry())
    item = project(tmp_path, without(BOTH, "claude", "picky"))
    with pytest.raises(ErrorGroup) as before:
        item.plan(("plain",), (AMD64,))
    updated(item, desk)

    assert {type(error) for error in before.value.errors} == {LockError}
    require(BOTH, item.definitions, ())
    assert set(tree(tmp_path / "registry/lock")) == {"agents/claude.json", "agents/picky.json"}
