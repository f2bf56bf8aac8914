"""Pages of bases and combos: what they are made of and provide, and what runs on them."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.models.defined import Defined
from pipeline.models.kinds import Base
from pipeline.outputs.docs.markdown import code, codes, prose, section, table, text
from pipeline.outputs.docs.programs import package_words, smoke_rows
from pipeline.outputs.docs.running import run_base
from pipeline.outputs.subject import Subject
from pipeline.resolve.capabilities import provided
from pipeline.resolve.matrix import Combination


def base_page(base: Defined[Base], subject: Subject) -> Iterator[str]:
    """Yield the lines of the page of a base or combo."""
    about, project = base.model.metadata, subject.project
    yield f"# {text(about.title or base.name)}"
    yield ""
    yield prose(about.description)
    yield ""
    yield from table(("Property", "Value"), _facts(base, subject))
    has = provided(base, project.definitions, project.locks)
    rows = ((code(name), code(version) if version else "") for name, version in sorted(has.items()))
    yield from section("What it provides", table(("Capability", "Version"), rows))
    yield from section("Toolchains", table(("Toolchain", "Made of"), _toolchains(base, subject)))
    if any(item.parts.agent is None and not item.reason for item in project.combinations if item.parts.base is base):
        yield from section("Run it", run_base(base.name, base.model.spec.user, base.model.spec.workspace))
    env = ((code(key), code(value)) for key, value in sorted(base.model.spec.env.items()))
    yield from section("Environment", table(("Variable", "Value"), env))
    here = [item for item in project.combinations if item.parts.base is base]
    yield from section("Images on it", table(("Image", "Agent", "Tier", "Platforms"), _images(here)))
    refused = (
        (item.parts.agent.name, prose(item.reason)) for item in here if item.reason and item.parts.agent is not None
    )
    yield from section("What is not on it", table(("Agent", "Because"), refused))
    yield from section("How it is tested", _tests(base, subject))


def _facts(base: Defined[Base], subject: Subject) -> Iterator[tuple[str, str]]:
    spec, definitions = base.model.spec, subject.project.definitions
    yield "Name", code(base.name)
    if base.name in definitions.combos:
        yield "Joins", ", ".join(f"[{name}]({name}.md)" for name in definitions.combos[base.name].model.spec.bases)
    elif spec.extends:
        yield "Extends", f"[{spec.extends}]({spec.extends}.md)"
    root = definitions.roots[spec.root]
    yield "Root", f"{text(root.model.metadata.title or root.name)} ({code(spec.root)})"
    if spec.common_tools:
        yield "Common tools", codes(spec.common_tools)
    yield "User", f"{code(spec.user.name)}, {spec.user.uid}:{spec.user.gid}, home {code(spec.user.home)}"
    yield "Workspace", code(spec.workspace)
    yield "Platforms", ", ".join(root.model.spec.platforms)
    yield "Volumes, ports, hosts", "none of its own; agents and toolpacks declare theirs"
    yield "Licences", f"those of its packages: `agc sbom {base.name}`, once it is built"


def _toolchains(base: Defined[Base], subject: Subject) -> Iterator[tuple[str, str]]:
    for name in base.model.spec.toolchains:
        toolchain, lock = subject.project.definitions.toolchains[name], subject.project.locks.toolchains.get(name)
        yield code(name), "; ".join(package_words(package, lock) for package in toolchain.model.spec.packages)


def _images(here: list[Combination]) -> Iterator[tuple[str, str, str, str]]:
    for item in here:
        if not item.reason:
            agent = item.parts.agent
            shown = f"[{agent.name}](../agents/{agent.name}.md)" if agent else ""
            yield code(item.name), shown, item.tier, ", ".join(item.platforms)


def _tests(base: Defined[Base], subject: Subject) -> Iterator[str]:
    spec, definitions = base.model.spec, subject.project.definitions
    tests = [*spec.smoke]
    for name in spec.common_tools:
        tests += definitions.common_tools[name].model.spec.smoke
    for name in spec.toolchains:
        tests += definitions.toolchains[name].model.spec.smoke
    if tests:
        yield "In every image on it, as its user:"
        yield ""
        yield from table(("Test", "Depth", "Runs", "Expects"), smoke_rows(tests))
