"""Publishing from end to end, with an engine and registries in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import anyio
import httpx
import pytest

from pipeline.catalog.store import catalog_path, read_catalog
from pipeline.errors import AgcError, ErrorGroup, OutputError, RefusedError, UsageError
from pipeline.models.load import load_definitions
from pipeline.platform import AMD64, ARM64
from pipeline.settings import PublishSettings, Settings
from pipeline.stages.destinations import parse_destination
from pipeline.stages.licences import check_licences, is_private
from pipeline.stages.project import Project
from pipeline.stages.publish import PublishRequest, publish_images
from pipeline.stages.publishing import PublishReport
from pipeline.stages.workbench import http_client
from tests.unit.catalog.registry import MemoryRegistry
from tests.unit.compose.samples import PROJECT, plan
from tests.unit.stages.bench import Bench, bench, project

WAIVER = "no database of vulnerabilities is in unit tests"
DAY = date(2026, 11, 21)
POLICY = """\
apiVersion: agentcontainers/v1
kind: TagPolicy
metadata: {name: default}
spec:
  tags: [latest, "{date}", "{version}"]
"""
TOOLS = """\
apiVersion: agentcontainers/v1
kind: CommonTools
metadata: {name: default}
spec:
  debian: [git, tini, curl, ca-certificates]
"""
HOME = "registry.corp.example/team"


@dataclass
class World:
    """Registries by host."""

    registries: dict[str, MemoryRegistry] = field(default_factory=dict)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer as the registry that is asked, which is there at once."""
        return self.registries.setdefault(request.url.host, MemoryRegistry())(request)


def workplace(folder: Path, world: World) -> tuple[Project, Bench]:
    """Return the small project with a tag policy, and a bench in the same place."""
    path = folder / "definitions/tag-policies/default.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(POLICY)
    found = load_definitions([PROJECT / "definitions", folder / "definitions"], folder)
    desk = bench(folder, registry=world)
    settings = desk.settings.model_copy(update={"publish": PublishSettings(private=("registry.corp.example",))})
    made = replace(project(folder, found=found), settings=settings)
    return made, replace(desk, settings=settings)


def published(folder: Path, world: World, *names: str, to: tuple[str, ...] = (HOME,)) -> tuple[PublishReport, ...]:
    """Publish images for both platforms."""
    made, desk = workplace(folder, world)
    request = PublishRequest(names, (AMD64, ARM64), to, DAY, waiver=WAIVER)
    return anyio.run(publish_images, made, request, desk)


def test_a_push_is_an_index_with_the_tags_of_the_policy(tmp_path: Path) -> None:
    """In the registry, in the report and in the record, which has all of its tags."""
    world = World()
    (report,) = published(tmp_path, world, "plain")
    (place,) = report.places
    catalog = read_catalog(catalog_path(tmp_path))
    assert catalog is not None
    record = catalog.images["plain"]
    held = world.registries["registry.corp.example"]

    assert held.tags("team/plain") == {"2026.11.21": place.digest, "latest": place.digest}
    index = json.loads(held.manifests["team/plain"]["latest"][1])
    held_by_index = [entry["platform"]["architecture"] for entry in index["manifests"]]
    assert held_by_index == ["amd64", "arm64", "unknown", "unknown"]
    assert (record.digest, record.tags) == (place.digest, ("2026.11.21", "latest"))
    assert record.repositories == (f"{HOME}/plain",)
    assert report.as_json()["published"][0]["repository"] == f"{HOME}/plain"


def test_an_agents_version_is_a_tag(tmp_path: Path) -> None:
    """A base has none."""
    world = World()
    (report,) = published(tmp_path, world, "node-bun-claude")

    assert report.places[0].tags == ("2026.11.21", "2.1.330", "latest")


def test_several_images_share_what_they_have_in_common(tmp_path: Path) -> None:
    """No blob is uploaded twice to a registry, and each registry gets all."""
    world = World()
    names = ("node-bun", "node-bun-claude", "node-bun-picky")
    reports = published(tmp_path, world, *names, to=(HOME, "localhost:5000/x"))

    assert [len(report.places) for report in reports] == [2, 2, 2]
    for held in world.registries.values():
        assert len(held.sent) == len(set(held.sent))
        assert sum(one.traffic.mounted for report in reports for one in report.places) > 0


def test_again_nothing_is_sent(tmp_path: Path) -> None:
    """Nor is anything asked of the engine, and the record is as it was."""
    world = World()
    published(tmp_path, world, "plain")
    text = catalog_path(tmp_path).read_bytes()
    made, desk = workplace_again(tmp_path, world)
    held = world.registries["registry.corp.example"]
    before = len(held.asked)
    request = PublishRequest(("plain",), (AMD64, ARM64), (HOME,), DAY, waiver=WAIVER)
    (report,) = anyio.run(publish_images, made, request, desk)

    assert (report.places[0].moved, report.places[0].traffic.sent_bytes) == ((), 0)
    assert {asked.method for asked in held.asked[before:]} == {"GET", "HEAD"}
    assert desk.requests == []
    assert catalog_path(tmp_path).read_bytes() == text


def workplace_again(folder: Path, world: World) -> tuple[Project, Bench]:
    """Return the project and a new bench on the same cache."""
    (folder / "definitions/tag-policies/default.yaml").unlink()
    (folder / "definitions/tag-policies").rmdir()
    return workplace(folder, world)


def test_what_may_not_be_passed_on_is_refused_and_the_rest_is_published(tmp_path: Path) -> None:
    """Place by place and image by image; the refused is not even built."""
    world = World()

    with pytest.raises(ErrorGroup) as caught:
        published(tmp_path, world, "node-bun-claude", "node-bun-picky", to=("ghcr.io/me",))

    assert [type(error) for error in caught.value.errors] == [RefusedError]
    assert "claude" in str(caught.value)
    assert world.registries["ghcr.io"].tags("me/node-bun-picky").keys() == {"latest", "2026.11.21", "1.0.0"}
    assert world.registries["ghcr.io"].tags("me/node-bun-claude") == {}


def test_a_registry_that_fails_does_not_keep_another_from_it(tmp_path: Path) -> None:
    """What was published is recorded, what was not is an error."""
    world = World({"ghcr.io": MemoryRegistry(before=lambda _: httpx.Response(403))})

    with pytest.raises(OutputError, match=r"ghcr\.io"):
        published(tmp_path, world, "plain", to=("ghcr.io/me", HOME))

    catalog = read_catalog(catalog_path(tmp_path))
    assert catalog is not None
    assert catalog.images["plain"].repositories == (f"{HOME}/plain",)


def test_a_project_without_a_tag_policy_says_so(tmp_path: Path) -> None:
    """Before anything is built."""
    desk = bench(tmp_path)

    with pytest.raises(UsageError, match="no tag policy"):
        anyio.run(
            publish_images, project(tmp_path), PublishRequest(("plain",), (AMD64,), (HOME,), DAY, waiver=WAIVER), desk
        )
    assert desk.requests == []


def test_an_agent_that_may_not_be_passed_on_goes_as_what_fetches_it(tmp_path: Path) -> None:
    """Where others read it; where nobody does it goes as it is, from the same run."""
    world = World()
    tools = tmp_path / "definitions/common-tools/default.yaml"
    tools.parent.mkdir(parents=True)
    tools.write_text(TOOLS)
    reports = published(tmp_path, world, "node-bun-claude", to=(HOME, "ghcr.io/me"))

    labels = {}
    for report in reports:
        (place,) = report.places
        host, _, name = place.repository.partition("/")
        held = world.registries[host]
        index = json.loads(held.manifests[name]["latest"][1])
        manifest = json.loads(held.manifests[name][index["manifests"][0]["digest"]][1])
        config = json.loads(held.blobs[name][manifest["config"]["digest"]])
        labels[host] = config["config"]["Labels"].get("dev.agentcontainers.late-bound")
    assert labels == {"registry.corp.example": None, "ghcr.io": "claude"}


PRIVATE = {
    "registry.corp.example/team": True,
    "registry.corp.example": True,
    "registry.corp.example.evil/team": False,
    "ghcr.io/corp": True,
    "ghcr.io/corp/deep": True,
    "ghcr.io/corporate": False,
    "ghcr.io": False,
    "localhost:5000/x": True,
    "127.0.0.1/x": True,
    "localhost.evil.example/x": False,
}


@pytest.mark.parametrize(("namespace", "private"), PRIVATE.items())
def test_private_is_what_is_listed_and_what_is_below_it(namespace: str, private: bool) -> None:
    """Part by part of the name; and what is on this machine."""
    assert is_private(namespace, ("registry.corp.example/", "ghcr.io/corp")) is private


def test_a_refusal_names_agent_licence_and_way_round() -> None:
    """So that whoever reads it can decide."""
    with pytest.raises(RefusedError) as caught:
        check_licences(plan("node-bun-claude"), "ghcr.io/me", ())

    error: AgcError = caught.value
    assert error.exit_code == 12
    assert "claude (LicenseRef-Anthropic)" in error.message
    assert "[publish]" in error.remedy
    check_licences(plan("node-bun"), "ghcr.io/me", ())


@pytest.mark.parametrize(
    "text", ["me", "me/x", "ghcr.io/Me", "https://ghcr.io/me", "ghcr.io/me:latest", "ghcr.io//x", ""]
)
def test_what_is_no_place_is_a_usage_error(text: str) -> None:
    """Before a registry is asked."""
    with pytest.raises(UsageError, match="no place to publish to"):
        parse_destination(text)


@pytest.mark.parametrize("text", ["ghcr.io/me", "ghcr.io/me/", "localhost/x", "localhost:5000", "r.example:1/a/b-c__d"])
def test_a_place_is_a_registry_and_a_namespace(text: str) -> None:
    """Slashes around it do not matter."""
    assert parse_destination(text) == text.strip("/")


def test_what_is_on_this_machine_is_reached_without_a_proxy(tmp_path: Path) -> None:
    """Nor is what no_proxy names."""
    told = {"proxy": {"http": "http://p.example:1", "https": "http://p.example:1", "no": "corp.example,.other.example"}}
    client = http_client(Settings.model_validate({"cache": tmp_path, **told}))
    direct = client._transport

    for url in ("http://localhost:5000/", "http://127.0.0.1/", "https://corp.example/", "https://a.other.example/"):
        assert client._transport_for_url(httpx.URL(url)) is direct
    assert client._transport_for_url(httpx.URL("https://ghcr.io/")) is not direct
