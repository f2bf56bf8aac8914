"""`agc publish` as a person runs it: several registries, logins, licences, kills at any moment."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from pipeline.catalog.credentials import variables
from pipeline.settings import load_settings
from tests.engine.small import OTHER, lock_base, small_project
from tests.engine.support import CHECKOUT, Agc, free_port, write_files
from tests.registry.proxy import Fault, Proxy
from tests.registry.server import PASSWORD, USER, Registry

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

NAMES = ("small", "other")
KILLS = 20


@pytest.fixture(scope="module")
def project(agc: Agc, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project of two small images that are built, so that publishing them is all there is to do."""
    folder = small_project(tmp_path_factory.mktemp("publishing"))
    # There is no database of vulnerabilities; what the gate does is tested with what proves an image.
    write_files(folder, {"definitions/bases/other.yaml": OTHER, "agc.toml": '[gate]\nmode = "warn"\n'})
    lock_base(folder, "other", "tini")
    built = agc("build", *NAMES, "--output", "none", "--json", project=folder)
    assert built.code == 0, built.stderr
    return folder


def published(run: Any) -> dict[str, Any]:
    """Return what was published of each image, where it went to one place."""
    assert run.code == 0, run.stderr
    return {image["name"]: image["published"][0] for image in run.json["images"]}


def test_images_get_the_tags_of_the_policy_and_are_recorded(agc: Agc, project: Path, registry: Registry) -> None:
    """One index each, `latest` and the date, and a second run sends nothing and changes nothing."""
    day = f"{datetime.now(UTC):%Y.%m.%d}"
    to = ("publish", *NAMES, "--to", f"{registry.address}/ns", "--json")
    first = published(agc(*to, project=project))

    assert {name: set(one["tags"]) for name, one in first.items()} == {name: {"latest", day} for name in NAMES}
    for name, one in first.items():
        registry.check_whole(f"ns/{name}", "latest")
        assert registry.tags(f"ns/{name}") == dict.fromkeys((day, "latest"), one["digest"])
    text = (project / "registry/catalog.json").read_bytes()
    record = json.loads(text)["images"]["small"]
    assert (record["digest"], record["tags"]) == (first["small"]["digest"], [day, "latest"])
    uploads = registry.uploads()

    again = published(agc(*to, project=project))

    assert [one["moved"] for one in again.values()] == [[], []]
    assert [one["blobs"] for one in again.values()] == [{"sent": 0, "bytes": 0, "mounted": 0}] * 2
    assert (registry.uploads(), (project / "registry/catalog.json").read_bytes()) == (uploads, text)
    nothing = agc(*to, "--changed", project=project)
    assert (nothing.code, nothing.json) == (0, {"images": []})


def test_a_registry_that_fails_does_not_stop_another(agc: Agc, project: Path, registry: Registry) -> None:
    """It is named, the exit code is that of an output, and the other has the image."""
    dead = f"localhost:{free_port()}"
    run = agc("publish", "small", "--to", f"{dead}/ns", "--to", f"{registry.address}/ns", "--json", project=project)

    assert (run.code, run.error["code"]) == (9, "output"), run.stderr
    assert dead in run.error["message"]
    registry.check_whole("ns/small", "latest")


def test_a_dry_run_asks_and_changes_nothing(agc: Agc, project: Path, registry: Registry) -> None:
    """It tells the tags a new image would get."""
    run = agc("publish", "small", "--to", f"{registry.address}/ns", "--dry-run", "--json", project=project)
    day = f"{datetime.now(UTC):%Y.%m.%d}"

    assert run.json == {
        "images": [{"name": "small", "repository": f"{registry.address}/ns/small", "tags": [day, "latest"]}]
    }
    assert registry.uploads() == []


def test_what_may_not_be_passed_on_is_refused(agc: Agc, tmp_path: Path) -> None:
    """With the reason and the way round; nothing is built, and no registry is asked."""
    shipped = (CHECKOUT / "definitions/agents/claude.yaml").read_text()
    private = shipped.replace("publish: late-bound", "publish: private")
    assert private != shipped
    write_files(tmp_path, {"definitions/agents/claude.yaml": private})

    run = agc("publish", "node-bun-claude", "--to", "registry.invalid/nobody", "--json", project=tmp_path)

    assert (run.code, run.error["code"]) == (12, "refused"), run.stderr
    assert "claude" in run.error["message"]
    assert "private" in run.error["remedy"]


def test_a_password_goes_to_its_registry_and_nowhere_else(
    agc: Agc, project: Path, secured: Registry, tmp_path: Path
) -> None:
    """Not into a message, the record, or the command line of any process."""
    assert secured.ca is not None
    system = load_settings(tmp_path, os.environ).ca_bundle
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(secured.ca.read_bytes() + (system.read_bytes() if system else b""))
    name, password = variables(secured.address)
    known = agc.given(**{name: USER, password: PASSWORD, "AGC_CA_BUNDLE": str(bundle), "DOCKER_CONFIG": str(tmp_path)})
    wrong = known.given(**{password: f"{PASSWORD}-wrong"})
    to = ("publish", "small", "--to", f"{secured.address}/ns", "-v", "--json")

    with watched_arguments() as seen:
        done, refused = known(*to, project=project), wrong(*to, project=project)

    assert done.code == 0, done.stderr
    assert secured.tags("ns/small")["latest"] == published(done)["small"]["digest"]
    assert (refused.code, refused.error["code"]) == (9, "output")
    texts = [done.stdout, done.stderr, refused.stdout, refused.stderr, *seen]
    texts.append((project / "registry/catalog.json").read_text())
    assert len(seen) > 1
    assert not [text for text in texts if PASSWORD in text]


@contextmanager
def watched_arguments() -> Iterator[set[str]]:
    """Collect the command lines of all processes until the end of the block."""
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for process in psutil.process_iter(["cmdline"]):
                seen.add(" ".join(process.info["cmdline"] or ()))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def test_a_publish_that_is_killed_leaves_whole_tags_and_goes_on_later(
    agc: Agc, project: Path, registry: Registry
) -> None:
    """Twenty kills at random moments, each beside a reader of all tags; then the run that ends what was begun."""
    chance = random.Random(6)  # noqa: S311  # no secret
    with Proxy(registry.address, lambda *_: Fault(seconds=0.01)).run() as slow:

        def arguments(namespace: str) -> tuple[str, ...]:
            return ("publish", *NAMES, "--to", f"{slow.address}/{namespace}", "--json")

        whole, _ = (timed(agc, arguments(f"plain{n}"), project) for n in range(2))
        expected = seen_of(registry, "plain1")
        assert set(expected) == set(NAMES)
        killed = 0
        for number in range(KILLS):
            namespace = f"killed{number}"
            with reading(registry, namespace) as (polls, broken):
                process = agc.start(*arguments(namespace), project=project, stdout=-3, stderr=-3)
                time.sleep(whole * chance.uniform(0.3, 1.0))
                killed += process.poll() is None
                process.kill()
                process.wait()
                last = agc(*arguments(namespace), project=project)
            assert last.code == 0, last.stderr
            assert polls
            assert broken == []
            assert seen_of(registry, namespace) == expected
    assert killed >= KILLS // 2
    assert json.loads((project / "registry/catalog.json").read_text())["images"].keys() >= set(NAMES)


def timed(agc: Agc, arguments: tuple[str, ...], project: Path) -> float:
    """Run to the end and return how long it took."""
    started = time.monotonic()
    run = agc(*arguments, project=project)
    assert run.code == 0, run.stderr
    return time.monotonic() - started


def seen_of(registry: Registry, namespace: str) -> dict[str, Any]:
    """Return the state of the repositories of a namespace, by image."""
    return {name.partition("/")[2]: found for name, found in registry.state(namespace).items()}


@contextmanager
def reading(registry: Registry, namespace: str) -> Iterator[tuple[list[float], list[str]]]:
    """Read everything below every tag again and again; yield when that was, and what was not whole."""
    polls: list[float] = []
    broken: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.wait(0.01):
            # A registry that is too busy to answer, or answers with an error of its own, says nothing of what it holds.
            with suppress(httpx.TransportError):
                for name in NAMES:
                    for tag in registry.named(f"{namespace}/{name}"):
                        try:
                            registry.check_whole(f"{namespace}/{name}", tag)
                        except httpx.HTTPStatusError as error:
                            if error.response.status_code == httpx.codes.NOT_FOUND:
                                broken.append(f"{name}:{tag}: {error}")
                        except AssertionError as error:
                            broken.append(f"{name}:{tag}: {error}")
                polls.append(time.monotonic())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield polls, broken
    finally:
        done.set()
        thread.join()
