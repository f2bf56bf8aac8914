"""What a base provides, what fits on it, and what an image's name stands for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import DefinitionError, LockError, UsageError
from pipeline.models.defined import Defined, Definitions
from pipeline.models.kinds import Agent
from pipeline.platform import AMD64, ARM64, Platform
from pipeline.resolve.capabilities import check_fit, fits, provided
from pipeline.resolve.lock import Locks
from pipeline.resolve.matrix import Parts, image_names
from pipeline.resolve.plan import parse_image_name, plan_images
from tests.unit.compose.samples import definitions, locks, plan, root_digest

FOUND = definitions()
LOCKS = locks(FOUND)


def requiring(*requirements: str) -> Defined[Agent]:
    """Return the agent `picky`, requiring something else."""
    picky = FOUND.agents["picky"]
    spec = picky.model.spec.model_copy(update={"requires": requirements})
    return replace(picky, model=picky.model.model_copy(update={"spec": spec}))


def test_a_base_provides_its_packages_and_what_its_toolchains_do() -> None:
    """Toolchains with the version of the package they name."""
    assert provided(FOUND.bases["node-bun"], FOUND, LOCKS) == {
        "git": "",
        "tini": "",
        "libatomic1": "",
        "node": "26.10.0",
        "npm": "12.2.0",
        "bun": "1.4.5",
    }


def test_an_agent_on_a_base_without_its_capability_is_refused() -> None:
    """Agent, base, capability, place, and the bases that would do."""
    with pytest.raises(DefinitionError) as caught:
        check_fit(FOUND.agents["picky"], FOUND.bases["plain"], FOUND, LOCKS)

    assert str(caught.value) == (
        "definitions/agents/picky.yaml:11:19: agent picky requires `node >=22`, and base plain does not provide `node`"
    )
    assert caught.value.remedy == "bases that would do: node-bun"


def test_an_agent_whose_version_no_base_has_is_refused() -> None:
    """With what the base has instead."""
    with pytest.raises(DefinitionError) as caught:
        check_fit(requiring("node >=27"), FOUND.bases["node-bun"], FOUND, LOCKS)

    assert caught.value.message == "agent picky requires `node >=27`, and base node-bun has node 26.10.0"
    assert caught.value.remedy == "no base provides `node >=27`; define one"


FITTING = {
    "node": True,
    "node >=22": True,
    "node ^26.10": True,
    "node >=22 <24": False,
    "node <22 || >=26": True,
    "node 26.10.0": True,
    "git": True,
    "git >=2": True,
    "python": False,
}


@pytest.mark.parametrize(("requirement", "expected"), FITTING.items())
def test_ranges_mean_what_they_mean_to_npm(requirement: str, expected: bool) -> None:
    """A capability without a known version fits any."""
    assert fits(requiring(requirement), FOUND.bases["node-bun"], FOUND, LOCKS) is expected


def test_without_a_lock_only_names_are_compared() -> None:
    """Before the first lock nothing has a version yet."""
    assert fits(requiring("node >=99"), FOUND.bases["node-bun"], FOUND, Locks())


def test_images_are_bases_and_what_fits_on_them() -> None:
    """In order of their names."""
    assert image_names(FOUND, LOCKS) == (
        "node-bun",
        "node-bun-claude",
        "node-bun-picky",
        "plain",
        "plain-claude",
    )


def test_a_work_test_needs_the_base_of_the_mock() -> None:
    """What is wrong is said where the test is declared."""
    bases = {name: base for name, base in FOUND.bases.items() if name != "model-mock"}

    with pytest.raises(DefinitionError, match="claude-writes-a-file needs the mock, and no base is named `model-mock`"):
        plan_images(["node-bun-claude"], [AMD64], replace(FOUND, bases=bases), LOCKS, "auto")


def test_an_image_name_is_a_base_and_an_agent() -> None:
    """Or a base alone."""
    node_bun, plain = FOUND.bases["node-bun"], FOUND.bases["plain"]

    assert parse_image_name("node-bun-claude", FOUND, LOCKS) == Parts(node_bun, FOUND.agents["claude"])
    assert parse_image_name("plain", FOUND, LOCKS) == Parts(plain)


NAMES = {
    "node-bun-cluade": "did you mean node-bun-claude or node-bun or node-bun-picky?",
    "claude": "did you mean plain-claude?",
    "zzz": "known: node-bun, node-bun-claude, node-bun-picky, plain, plain-claude",
    "node-bun-": "did you mean node-bun or node-bun-picky or node-bun-claude?",
    "": "known: node-bun, node-bun-claude, node-bun-picky, plain, plain-claude",
}


@pytest.mark.parametrize(("name", "remedy"), NAMES.items())
def test_an_unknown_image_brings_the_nearest_names(name: str, remedy: str) -> None:
    """Or all there are."""
    with pytest.raises(UsageError, match="there is no image named") as caught:
        parse_image_name(name, FOUND, LOCKS)

    assert caught.value.remedy == remedy


def test_a_name_whose_parts_do_not_fit_says_why() -> None:
    """It is not called unknown."""
    with pytest.raises(DefinitionError, match="base plain does not provide `node`"):
        parse_image_name("plain-picky", FOUND, LOCKS)


def planned(names: list[str], platforms: list[Platform], pins: Locks = LOCKS, source: str = "auto") -> list[str]:
    """Return the plans of images as `name platform source`."""
    plans = plan_images(names, platforms, FOUND, pins, source)
    return [f"{item.name} {item.platform} {item.root.source}" for item in plans]


def test_images_are_planned_in_the_order_asked_for_on_each_platform() -> None:
    """Each once."""
    assert planned(["plain", "node-bun-claude", "plain"], [AMD64, ARM64]) == [
        "plain linux/amd64 bootstrap",
        "plain linux/arm64 bootstrap",
        "node-bun-claude linux/amd64 bootstrap",
        "node-bun-claude linux/arm64 bootstrap",
    ]


def test_a_plan_holds_the_pins_of_its_parts() -> None:
    """And no others."""
    item = plan("node-bun-claude", ARM64)

    assert [toolchain.name for toolchain, _ in item.toolchains] == ["node", "bun"]
    assert [tools.name for tools in item.common_tools] == ["default"]
    assert item.agent is not None
    assert item.agent[1].version == "2.1.330"
    assert item.system.platform == "linux/arm64"
    assert (item.root.digest, item.root.ref) == (root_digest("bootstrap", ARM64), "")


def test_a_root_from_a_registry_is_named_with_its_digest() -> None:
    """That of the platform, without the tag."""
    digest = root_digest("image", AMD64)

    assert plan(pins=locks(FOUND, ("image",))).root.ref == f"docker.io/library/debian@{digest}"


def test_the_image_is_taken_before_the_bootstrapped_root() -> None:
    """Unless settings say otherwise."""
    both = locks(FOUND, ("image", "bootstrap"))

    assert planned(["plain"], [AMD64], both) == ["plain linux/amd64 image"]
    assert planned(["plain"], [AMD64], both, "bootstrap") == ["plain linux/amd64 bootstrap"]


def test_a_root_that_is_not_locked_for_a_platform_says_how_to_lock_it() -> None:
    """So does one from a source that could not be reached."""
    with pytest.raises(LockError, match="root tiny is not locked from image for linux/amd64") as caught:
        planned(["plain"], [AMD64], LOCKS, "image")
    with pytest.raises(LockError, match="from bootstrap for linux/riscv64"):
        planned(["plain"], [Platform("linux", "riscv64")])

    assert caught.value.remedy == "agc lock --upgrade tiny"


def test_a_base_without_packages_for_a_root_says_so() -> None:
    """The root may have been locked for more platforms than the base."""
    both = locks(FOUND, ("image", "bootstrap"))
    pins = replace(both, bases=LOCKS.bases)

    with pytest.raises(LockError) as caught:
        planned(["plain"], [AMD64], pins)

    assert str(caught.value) == (
        "definitions/bases/plain.yaml:6:1: base plain has no Debian packages locked for linux/amd64"
        " on a root from image"
    )
    assert caught.value.remedy == "agc lock"


def test_definitions_are_not_changed_by_planning() -> None:
    """The same twice."""

    def all_of(found: Definitions) -> list[str]:
        return [repr(item) for item in plan_images(image_names(found, LOCKS), [AMD64], found, LOCKS, "auto")]

    assert all_of(FOUND) == all_of(definitions())
