"""Every fact of an image comes with the file and line that asked for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.platform import ARM64
from pipeline.resolve.plan import plan_images
from pipeline.stages.explain import Fact, explain_image
from tests.unit.compose.samples import PLATFORMS, definitions, locks, plan, root_digest

CLAUDE = "definitions/agents/claude.yaml"
NODE_BUN = "definitions/bases/node-bun.yaml"
NODE = "definitions/toolchains/node.yaml"


def facts(section: str, name: str = "node-bun-claude") -> list[Fact]:
    """Return one section of an image of the sample project."""
    return list(dict(explain_image(plan(name)).sections)[section])


def line_of(file: str, words: str) -> str:
    """Return the place of the line of a sample file that begins with `words`."""
    folder = Path(__file__).parents[1] / "compose" / "project"
    lines = (folder / file).read_text().splitlines()
    at, line = next((at, line) for at, line in enumerate(lines, 1) if line.strip().removeprefix("- ").startswith(words))
    return f"{file}:{at}:{line.index(words) + 1}"


def test_the_root_is_named_with_its_source() -> None:
    """Who chose it, and which bytes it is."""
    assert facts("root") == [
        Fact("root", "tiny", (line_of(NODE_BUN, "root:"),)),
        Fact(
            "bootstrap",
            f"debian trixie, {root_digest('bootstrap', PLATFORMS[0])}",
            (line_of("definitions/roots/tiny.yaml", "bootstrap:"),),
        ),
    ]


def test_a_root_from_a_registry_is_named_with_its_digest() -> None:
    """As it is pulled."""
    found = definitions()
    (item,) = plan_images(["plain"], [ARM64], found, locks(found, ("image",)), "auto")

    assert dict(explain_image(item).sections)["root"][1] == Fact(
        "image",
        f"docker.io/library/debian@{root_digest('image', ARM64)}",
        (line_of("definitions/roots/tiny.yaml", "image:"),),
    )


def test_a_debian_package_names_all_who_asked_for_it() -> None:
    """With its locked version."""
    by_name = {fact.name: fact for fact in facts("debian")}

    assert set(by_name) == {"git", "libatomic1", "tini"}
    assert by_name["libatomic1"].value == "1.0-1"
    assert by_name["libatomic1"].origins[0].startswith(NODE)


def test_a_package_nobody_asked_for_is_there_for_another() -> None:
    """And one that was asked for and is not installed was in the root."""
    item = plan()
    system = item.system.model_copy(
        update={"packages": (item.system.packages[0].model_copy(update={"name": "libc-extra"}),)}
    )
    changed = replace(item, system=system, toolchains=(), agent=None)
    found = {fact.name: fact for fact in dict(explain_image(changed).sections)["debian"]}

    assert found["libc-extra"].origins == ("needed by another package",)
    assert found["git"].value == "of the root"


def test_a_variable_names_what_it_replaced() -> None:
    """The deciding place comes first."""
    item = plan()
    assert item.agent is not None
    agent = item.agent[0]
    spec = agent.model.spec.model_copy(update={"env": {"HOME": "/elsewhere"}})
    other = type(agent)(agent.model.model_copy(update={"spec": spec}), agent.places)
    changed = replace(item, agent=(other, item.agent[1]))
    found = {fact.name: fact for fact in dict(explain_image(changed).sections)["environment"]}

    assert found["HOME"].value == "/elsewhere"
    assert [origin.partition(":")[0] for origin in found["HOME"].origins] == [CLAUDE, NODE_BUN]
    assert found["PATH"].origins == ("built in",)


def test_packages_have_their_locked_versions() -> None:
    """Of toolchains and of the agent."""
    assert [(fact.name, fact.value) for fact in facts("toolchains")] == [
        ("node: node", "26.10.0"),
        ("node: npm", "12.2.0"),
        ("bun: bun", "1.4.5"),
    ]
    assert facts("programs")[0] == Fact(
        "claude: @anthropic-ai/claude-code", "2.1.330", (line_of(CLAUDE, 'npm: "@anthropic-ai/claude-code"'),)
    )


def test_a_base_alone_has_nothing_of_an_agent() -> None:
    """Its sections are there, and empty."""
    sections = dict(explain_image(plan("plain")).sections)

    assert [name for name, found in sections.items() if not found] == [
        *("toolchains", "programs", "volumes", "ports", "secrets", "egress")
    ]


def test_every_place_is_in_a_file_that_is_there() -> None:
    """An editor opens it."""
    folder = Path(__file__).parents[1] / "compose" / "project"
    origins = {
        origin
        for _, found in explain_image(plan()).sections
        for fact in found
        for origin in fact.origins
        if origin != "built in"
    }

    assert origins
    for origin in origins:
        file, line, _ = origin.split(":")
        assert 1 <= int(line) <= len((folder / file).read_text().splitlines())


def test_json_has_every_section_by_its_name() -> None:
    """Each a list of name, value and origins."""
    document = explain_image(plan()).as_json()

    assert (document["image"], document["platform"]) == ("node-bun-claude", "linux/amd64")
    assert document["secrets"][0] == {
        "name": "ANTHROPIC_API_KEY",
        "value": "optional",
        "origins": [line_of(CLAUDE, "name: ANTHROPIC_API_KEY")],
    }
