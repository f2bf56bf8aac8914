"""A new project with a real package of npm, from nothing to an image that was tested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.support import Agc

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


def test_a_new_project_is_locked_and_built(agc: Agc, tmp_path: Path) -> None:
    """The registry says which file the command runs; the smoke test wants the version that was locked."""
    project = tmp_path / "new"
    project.mkdir()
    begun = agc("init", "--npm", "prettier", "--json", project=project)
    assert begun.code == 0, begun.stderr
    assert begun.json["image"] == "node-bun-prettier"
    locked = agc("lock", project=project)
    assert locked.code == 0, locked.stderr

    built = agc("build", "--locked", "node-bun-prettier", "--json", "-o", f"oci:{tmp_path / 'out'}", project=project)

    assert built.image["smoke"]["failed"] == 0, built.stdout
    written = {path.relative_to(project).as_posix() for path in (project / "registry" / "lock").rglob("*.json")}
    assert "registry/lock/agents/prettier.json" in written
    assert agc("lock", "--check", project=project).code == 0


def test_a_package_that_does_not_exist_begins_nothing(agc: Agc, tmp_path: Path) -> None:
    """The registry was asked before anything was written."""
    run = agc("init", tmp_path / "new", "--npm", "agc-there-is-no-such-package", "--json")

    assert run.error["code"] == "resolve"
    assert not (tmp_path / "new").exists()
