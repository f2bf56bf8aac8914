"""Every agent on its base: real packages, built side by side, sharing all layers but their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.support import Agc, Run, layers_of, new_cache

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

AGENTS = ("claude", "codex", "copilot", "gemini", "openclaw", "opencode")
IMAGES = tuple(f"node-bun-{agent}" for agent in AGENTS)


@pytest.fixture(scope="module")
def built(agc: Agc, first: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Build all agents in one go, with the lock as it is."""
    assert first.code == 0
    out = tmp_path_factory.mktemp("agents") / "out"
    run = agc("build", *IMAGES, "--locked", "--json", "--output", f"oci:{out}", seconds=800)
    assert run.code == 0, run.stderr
    return run


def test_every_agent_is_built_and_passes_its_tests(built: Run) -> None:
    """In the order they were asked for."""
    images = built.json["images"]

    assert [image["name"] for image in images] == list(IMAGES)
    assert all(image["smoke"]["failed"] == 0 and image["smoke"]["passed"] > 10 for image in images)


def test_images_share_every_layer_but_the_agent_s(built: Run) -> None:
    """A user of one image who takes a second pulls one layer."""
    by_image = [layers_of(image) for image in built.json["images"]]
    shared = {"roots/debian-trixie", "bases/node-bun", "toolchains/node", "toolchains/bun"}

    assert len({tuple(sorted((key, layers[key]) for key in shared)) for layers in by_image}) == 1
    own = [digest for layers in by_image for component, digest in layers.items() if component.startswith("agents/")]
    assert len(set(own)) == len(AGENTS)


def test_an_engine_that_knows_nothing_builds_the_same(built: Run, tmp_path: Path) -> None:
    """Trees of hundreds of packages too."""
    with new_cache(roots=True) as other:
        again = other("build", "node-bun-openclaw", "node-bun-codex", "--json", "--output", f"oci:{tmp_path / 'out'}")

    assert again.code == 0, again.stderr
    before = {image["name"]: image["digest"] for image in built.json["images"]}
    assert {image["name"]: image["digest"] for image in again.json["images"]} == {
        name: before[name] for name in ("node-bun-openclaw", "node-bun-codex")
    }
