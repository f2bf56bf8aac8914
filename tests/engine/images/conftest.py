"""What the tests of whole builds share: `agc` on a cache of their own, and one image built in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.small import small_project
from tests.engine.support import Agc, Run, shared


@pytest.fixture(scope="session")
def image_layout(agc: Agc, first: Run) -> Path:
    """Return where the first build wrote the image."""
    _, out = shared.first_build
    return out


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a project of its own with the base `small`, built in seconds: a root, an init, and a user."""
    return small_project(tmp_path / "small")
