"""Two engines that share a cache in a real registry: the second builds nothing, and what comes out is the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.engine.remote import remote_daemon
from tests.engine.small import small_project
from tests.engine.support import Agc, Run, free_port
from tests.registry.server import Registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def executed(run: Run) -> set[str]:
    """Return the steps that started a process."""
    return set(re.findall(r"\] (.*(?:install|runs-as-dev)) … done", run.stderr))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a small base."""
    return small_project(tmp_path_factory.mktemp("sharing"))


@pytest.fixture(scope="module")
def shared(registry: Registry) -> str:
    """Return how the place is written."""
    return f"type=registry,ref={registry.address}/shared/cache"


@pytest.fixture(scope="module")
def first_engine(agc: Agc, shared: str, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Build on an empty engine that shares, and is gone afterwards."""
    out = tmp_path_factory.mktemp("first")
    with remote_daemon(agc) as address:
        sharing = agc.given(BUILDKIT_HOST=address, AGC_CACHE_TO=shared)
        yield sharing("build", "small", "--json", "-o", f"oci:{out}", project=project)


def test_each_image_is_shared_under_its_name_and_platform(first_engine: Run, registry: Registry) -> None:
    """So that no image takes the place of another's cache."""
    assert first_engine.image["name"] == "small"
    platform = first_engine.image["platforms"][0]["platform"].replace("/", "-")

    with urlopen(f"http://{registry.address}/v2/shared/cache/tags/list") as answer:
        assert json.load(answer)["tags"] == [f"small-{platform}"]


def test_an_empty_engine_takes_all_of_it(
    agc: Agc, first_engine: Run, shared: str, project: Path, tmp_path: Path
) -> None:
    """No step runs, not even the smoke test, and the digest is the same."""
    with remote_daemon(agc) as address:
        taking = agc.given(BUILDKIT_HOST=address, AGC_CACHE_FROM=shared)
        second = taking("build", "small", "--json", "-o", f"oci:{tmp_path}/second", project=project)

    assert second.image["digest"] == first_engine.image["digest"]
    assert [layer["digest"] for layer in second.image["platforms"][0]["layers"]] == [
        layer["digest"] for layer in first_engine.image["platforms"][0]["layers"]
    ]
    assert all(layer["cached"] for layer in second.image["platforms"][0]["layers"]), second.stderr
    assert executed(first_engine) == {"bases/small: install", "smoke bases/small: runs-as-dev"}
    assert executed(second) == set()


def test_a_shared_cache_changes_no_digest(agc: Agc, first_engine: Run, project: Path, tmp_path: Path) -> None:
    """An engine that never heard of one builds the same."""
    alone = agc("build", "small", "--json", "-o", f"oci:{tmp_path}/alone", project=project)

    assert alone.image["digest"] == first_engine.image["digest"]


def test_a_cache_that_is_not_there_fails_no_build(agc: Agc, project: Path, tmp_path: Path) -> None:
    """It only takes longer."""
    nowhere = f"type=registry,ref=localhost:{free_port()}/cache"
    with remote_daemon(agc) as address:
        lost = agc.given(BUILDKIT_HOST=address, AGC_CACHE_FROM=nowhere, AGC_CACHE_TO=nowhere)
        run = lost("build", "small", "--json", "-o", f"oci:{tmp_path}/out", project=project)

    assert run.image["name"] == "small"
