"""What moved since an image was published, and what that costs its users."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalog.record import Catalog
from pipeline.digest import Digest
from pipeline.platform import AMD64, PLATFORMS, Platform
from pipeline.stages.changes import Comparison, Standing, compare
from pipeline.stages.pull import Accuracy, Pull, largest
from pipeline.stages.reasons import ReasonKind
from pipeline.stages.report import PlannedImage
from tests.unit.compose.samples import locks
from tests.unit.compose.test_graph import with_project
from tests.unit.stages.published import FOUND, IMAGES, REPOSITORY, blob_size, moved, planned, published

PINS = locks(FOUND)
PUBLISHED = published(planned())
COMPONENTS = (
    "roots/tiny",
    "common-tools/default",
    "bases/node-bun",
    "bases/plain",
    "toolchains/node",
    "toolchains/bun",
    "agents/claude",
    "agents/picky",
)
DEBIAN = ("roots", "common-tools", "bases")


def compared(images: tuple[PlannedImage, ...], catalog: Catalog | None = PUBLISHED, **options: Any) -> Comparison:
    """Compare with what was published."""
    return compare(images, catalog, "registry/catalog.json", **{"whole": True, **options})


def after(*components: str) -> Comparison:
    """Compare after the pins of some components moved."""
    pins = PINS
    for component in components:
        pins = moved(pins, component)
    return compared(planned(pins))


def holding(*components: str) -> tuple[str, ...]:
    """Return the images that hold one of these components."""
    return tuple(
        image.name
        for image in planned()
        if {layer.component for layer in image.platforms[0].layers}.intersection(components)
    )


def texts(found: Comparison, name: str) -> list[str]:
    """Return what is said of one image."""
    (change,) = (change for change in found.images if change.name == name)
    return [reason.text for reason in change.reasons]


def test_what_was_published_is_unchanged() -> None:
    """Nothing moves, nothing is pulled, nothing is to do."""
    found = compared(planned())

    assert {change.standing for change in found.images} == {Standing.UNCHANGED}
    assert {change.pull for change in found.images} == {Pull()}
    assert (found.to_build, found.moves, found.total, found.gone) == ((), (), Pull(), ())


@pytest.mark.parametrize("catalog", [None, Catalog()])
def test_without_a_record_everything_is_new(catalog: Catalog | None) -> None:
    """And nobody knows its size."""
    found = compared(planned(), catalog)

    assert found.named(Standing.NEW) == found.to_build == IMAGES
    assert found.total == Pull(0, Accuracy.UNKNOWN)
    assert not found.recorded


@settings(max_examples=60, deadline=None)
@given(
    components=st.sets(st.sampled_from(COMPONENTS)),
    recorded=st.sets(st.sampled_from(IMAGES)),
    platforms=st.sets(st.sampled_from(PLATFORMS), min_size=1).map(sorted),
)
def test_exactly_the_images_that_hold_what_moved_are_changed(
    components: set[str], recorded: set[str], platforms: list[Platform]
) -> None:
    """Those never published are new, and all others are left alone."""
    pins = PINS
    for component in sorted(components):
        pins = moved(pins, component)
    catalog = published(image for image in planned(platforms=platforms) if image.name in recorded)

    found = compared(planned(pins, platforms=platforms), catalog)

    assert set(found.named(Standing.CHANGED)) == set(holding(*components)) & recorded
    assert set(found.named(Standing.NEW)) == set(IMAGES) - recorded
    for change in found.images:
        if change.standing is Standing.CHANGED:
            named = {reason.component for reason in change.reasons if reason.kind is not ReasonKind.BELOW}
            held = {layer.component for layer in change.image.platforms[0].layers}
            assert named == components & held


@settings(max_examples=30, deadline=None)
@given(components=st.sets(st.sampled_from([name for name in COMPONENTS if name.startswith(DEBIAN)])))
def test_nothing_of_debian_moves_a_layer_of_an_agent_or_toolchain(components: set[str]) -> None:
    """A security update of a base reinstalls nothing."""
    pins = PINS
    for component in sorted(components):
        pins = moved(pins, component)

    def others(images: tuple[PlannedImage, ...]) -> list[tuple[str, Digest]]:
        layers = [layer for image in images for one in image.platforms for layer in one.layers]
        return [(one.component, one.graph_digest) for one in layers if not one.component.startswith(DEBIAN)]

    assert others(planned(pins)) == others(planned())


def test_a_new_version_is_told_with_the_old_one() -> None:
    """Once for all platforms, and with every image that moves along."""
    found = after("agents/claude")
    (move,) = found.moves

    assert found.named(Standing.CHANGED) == ("node-bun-claude", "plain-claude")
    assert texts(found, "node-bun-claude") == ["claude 2.1.330 → 99.9.9"]
    assert (move.component, move.texts, move.images) == (
        "agents/claude",
        ("claude 2.1.330 → 99.9.9",),
        ("node-bun-claude", "plain-claude"),
    )


def test_packages_of_a_base_are_named() -> None:
    """The record holds them once per layer."""
    assert texts(after("bases/node-bun"), "node-bun-claude") == ["base node-bun: libatomic1 1.0-1 → 99.9.9"]


def test_common_tools_take_the_bases_along_that_have_them() -> None:
    """They are named once, with what of them moved."""
    found = after("common-tools/default")

    assert texts(found, "plain") == [
        "common tools default: git 1.0-1 → 99.9.9",
        "base plain made again on common tools default",
    ]
    assert found.named(Standing.CHANGED) == IMAGES


def test_packages_of_a_base_are_not_known_from_labels() -> None:
    """It is said what kind of thing it is."""
    catalog = PUBLISHED.model_copy(update={"contents": {}})
    found = compared(planned(moved(PINS, "bases/node-bun")), catalog)

    assert texts(found, "node-bun") == ["Debian packages or definition of base node-bun changed"]


def test_a_root_is_told_by_digest_and_packages_and_takes_its_bases_along() -> None:
    """Digests are another on each platform."""
    found = after("roots/tiny")
    (change,) = (change for change in found.images if change.name == "plain-claude")
    root, tools, base, other = change.reasons

    assert root.text.startswith("root tiny sha256:")
    assert root.text.endswith("(apt 3.0.4 → 99.9.9)")
    assert (root.platforms, other.platforms) == (("linux/amd64",), ("linux/arm64",))
    assert (tools.kind, tools.text) == (ReasonKind.BELOW, "common tools default made again on root tiny")
    assert (base.kind, base.text) == (ReasonKind.BELOW, "base plain made again on common tools default")
    assert base.platforms == ()
    assert len(found.named(Standing.CHANGED)) == len(IMAGES)


DEFINITIONS = {
    "layer": (
        "agents/claude.yaml",
        "claude: claude",
        "claude: bin/claude",
        ["definition of agent claude changed"],
    ),
    "variable": (
        "agents/claude.yaml",
        'DISABLE_UPDATES: "1"',
        'DISABLE_UPDATES: "0"',
        ["variable DISABLE_UPDATES 1 → 0"],
    ),
    "command": (
        "agents/claude.yaml",
        "command: [claude]\n",
        "command: [claude, -p]\n",
        ['cmd ["claude"] → ["claude", "-p"]'],
    ),
    "label": (
        "agents/claude.yaml",
        "  homepage: https://code.claude.com/docs\n",
        "",
        ["label org.opencontainers.image.url removed"],
    ),
    "added": (
        "bases/node-bun.yaml",
        "  env:\n",
        "  env:\n    EXTRA: x\n",
        ["variable EXTRA added"],
    ),
}


@pytest.mark.parametrize(("file", "old", "new", "expected"), DEFINITIONS.values(), ids=DEFINITIONS.keys())
def test_a_definition_that_changed_is_told_by_what_it_did(
    tmp_path: Path, file: str, old: str, new: str, expected: list[str]
) -> None:
    """To a layer, or to the config alone."""
    found = with_project(tmp_path, file, old, new)
    changes = compared(planned(locks(found), found=found))

    assert texts(changes, "node-bun-claude") == expected


def test_a_layer_may_come_or_go(tmp_path: Path) -> None:
    """With its version; the base links its commands, and moves too."""
    found = with_project(tmp_path, "bases/node-bun.yaml", "[node, bun]", "[node]")
    fewer = planned(locks(found), ("node-bun",), found=found)

    assert texts(compared(fewer), "node-bun") == ["definition of base node-bun changed", "toolchain bun removed"]
    assert texts(compared(planned(), published(fewer)), "node-bun") == [
        *("definition of base node-bun changed", "toolchain bun 1.4.5 added")
    ]


def test_layers_may_change_places(tmp_path: Path) -> None:
    """Each is as it was."""
    found = with_project(tmp_path, "bases/node-bun.yaml", "[node, bun]", "[bun, node]")

    assert texts(compared(planned(locks(found), found=found)), "node-bun") == ["layers in another order"]


def test_a_platform_that_was_not_published_is_a_change() -> None:
    """One that was published and is not asked for is none."""
    one = planned(platforms=[AMD64])
    found = compared(planned(), published(one))

    assert texts(found, "plain") == ["not published for linux/arm64"]
    assert compared(one).to_build == ()


def test_an_image_that_does_not_say_what_it_is_made_of_is_changed() -> None:
    """Whoever pushed it."""
    image = PUBLISHED.images["plain"]
    bare = {name: one.model_copy(update={"layers": (), "graph_digest": ""}) for name, one in image.platforms.items()}
    catalog = Catalog(images={"plain": image.model_copy(update={"platforms": bare})})

    assert texts(compared(planned(names=["plain"]), catalog), "plain") == [
        "what is published does not say what it is made of"
    ]


def test_what_is_no_longer_planned_is_gone_only_from_a_whole_plan() -> None:
    """A plan of one image says nothing of the others."""
    few = planned(names=["plain"])

    assert compared(few).gone == ("node-bun", "node-bun-claude", "node-bun-picky", "plain-claude")
    assert compared(few, whole=False).gone == ()


def test_an_image_that_was_published_elsewhere_is_built_for_a_new_place() -> None:
    """Where it is already, it is not."""
    assert compared(planned(), to=REPOSITORY).to_build == ()
    assert compared(planned(), to="quay.io/me").to_build == IMAGES


def layer_of(images: tuple[PlannedImage, ...], name: str, component: str, platform: int = 0) -> Digest:
    """Return the graph digest of one layer."""
    (image,) = (image for image in images if image.name == name)
    (found,) = (one for one in image.platforms[platform].layers if one.component == component)
    return found.graph_digest


def test_a_new_layer_is_estimated_by_the_one_it_replaces() -> None:
    """On the platform where that is most."""
    change = after("agents/claude").images[1]
    sizes = [blob_size(layer_of(planned(), "node-bun-claude", "agents/claude", at)) for at in (0, 1)]

    assert change.pulls == {
        "linux/amd64": Pull(sizes[0], Accuracy.ESTIMATE),
        "linux/arm64": Pull(sizes[1], Accuracy.ESTIMATE),
    }
    assert change.pull == Pull(max(sizes), Accuracy.ESTIMATE)


def test_a_layer_that_another_image_has_already_is_known_exactly() -> None:
    """One image went ahead, the others follow."""
    newer = planned(moved(PINS, "agents/claude"))
    ahead = published([image for image in newer if image.name == "plain-claude"], PUBLISHED)
    found = compared(newer, ahead)
    digest = layer_of(newer, "node-bun-claude", "agents/claude")

    assert found.named(Standing.CHANGED) == ("node-bun-claude",)
    assert found.images[1].pulls["linux/amd64"] == Pull(blob_size(digest), Accuracy.EXACT)
    assert found.total == Pull()


def test_a_layer_is_counted_once_for_someone_who_has_all_images() -> None:
    """Two images move, one layer is pulled."""
    found = after("agents/claude")

    assert found.total == found.images[1].pull == found.images[4].pull


def test_a_new_image_costs_all_of_its_layers_and_those_who_have_the_others_less() -> None:
    """What is nowhere recorded is not known."""
    some = published(planned(names=["node-bun", "plain-claude"]))
    found = compared(planned(names=["node-bun-claude"]), some, whole=False)
    layers = planned(names=["node-bun-claude"])[0].platforms[0].layers

    assert found.images[0].pulls["linux/amd64"] == Pull(sum(blob_size(one.graph_digest) for one in layers))
    assert found.total == Pull()
    other = compared(planned(names=["node-bun-picky"]), some, whole=False)
    assert other.total == Pull(0, Accuracy.UNKNOWN)
    assert other.images[0].pulls["linux/amd64"] == Pull(
        sum(blob_size(one.graph_digest) for one in layers[:-1]), Accuracy.UNKNOWN
    )


def test_a_change_of_the_config_alone_pulls_no_layer(tmp_path: Path) -> None:
    """A few kilobytes of config are not counted."""
    found = with_project(tmp_path, "agents/claude.yaml", 'DISABLE_UPDATES: "1"', 'DISABLE_UPDATES: "0"')
    changes = compared(planned(locks(found), found=found))

    assert changes.named(Standing.CHANGED) == ("node-bun-claude", "plain-claude")
    assert changes.total == Pull()


def test_nobody_pulls_two_platforms() -> None:
    """What is told is as good as the worst of them."""
    assert largest([Pull(1), Pull(5, Accuracy.ESTIMATE)]) == Pull(5, Accuracy.ESTIMATE)
    assert largest([Pull(9), Pull(1, Accuracy.UNKNOWN)]) == Pull(9, Accuracy.UNKNOWN)
    assert largest([]) == Pull()


def test_the_json_has_the_keys_others_rely_on() -> None:
    """Those of a plan before it compared anything, and what is said beside."""
    document = after("agents/claude").as_json()
    image = document["images"][1]

    assert set(document) == {"images", "against", "changed", "new", "gone", "moves", "pull"}
    assert set(image) == {"name", "graphDigest", "platforms", "state", "reasons", "pull"}
    assert set(image["platforms"][0]) == {"platform", "graphDigest", "layers", "pull"}
    assert set(image["platforms"][0]["layers"][0]) == {"component", "version", "graphDigest"}
    assert set(image["pull"]) == {"bytes", "accuracy"}
    assert image["reasons"] == [
        {
            "kind": "version",
            "text": "claude 2.1.330 → 99.9.9",
            "component": "agents/claude",
            "old": "2.1.330",
            "new": "99.9.9",
            "packages": [],
            "platforms": [],
        }
    ]
    assert json.loads(json.dumps(document)) == document
    changed = after("agents/claude").as_json(changed_only=True)
    assert [one["name"] for one in changed["images"]] == document["changed"] == ["node-bun-claude", "plain-claude"]


def test_images_with_other_records_move_in_other_ways() -> None:
    """One component, all its images together."""
    older = published(
        [image for image in planned(moved(PINS, "agents/claude", "1.0.0")) if image.name == "plain-claude"]
    )
    found = compared(planned(), replace_images(PUBLISHED, older))
    newest = compared(planned(moved(PINS, "agents/claude")), replace_images(PUBLISHED, older))

    assert found.named(Standing.CHANGED) == ("plain-claude",)
    assert newest.moves[0].texts == ("claude 2.1.330 → 99.9.9", "claude 1.0.0 → 99.9.9")
    assert newest.moves[0].images == ("node-bun-claude", "plain-claude")


def replace_images(catalog: Catalog, other: Catalog) -> Catalog:
    """Return a catalog with the images of another in place of its own."""
    return catalog.model_copy(update={"images": {**catalog.images, **other.images}})


def test_the_order_of_recorded_images_means_nothing() -> None:
    """A plan is a function of what is recorded."""
    images = planned(moved(PINS, "bases/plain"))
    backwards = published(reversed(planned()))

    assert compared(images, backwards) == compared(images)
