"""Pages of agents and toolpacks: what each is, how it is run, what it may reach, and how it was tested."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from pipeline.models.defined import Program
from pipeline.models.packages import ImageFiles, NpmArchive, Package, PypiPackage
from pipeline.models.parts import SmokeTest
from pipeline.outputs.docs.markdown import code, codes, link, prose, section, table, text
from pipeline.outputs.docs.ready import ready_made
from pipeline.outputs.docs.running import run_it
from pipeline.outputs.subject import Subject
from pipeline.resolve.matrix import Combination
from pipeline.resolve.pins import PackagesLock

_PUBLISH: Mapping[str, str] = MappingProxyType(
    {
        "baked": "baked: its bytes are in the published image",
        "late-bound": "late-bound: its bytes may not be passed on; published images fetch them at first run",
        "private": "private: images of it go only to registries that are marked private",
    }
)


def program_page(program: Program, lock: PackagesLock | None, subject: Subject) -> Iterator[str]:
    """Yield the lines of the page of an agent or toolpack."""
    about, spec = program.model.metadata, program.model.spec
    yield f"# {text(about.title or program.name)}"
    yield ""
    yield " ".join(part for part in (prose(about.description), _homepage(about.homepage)) if part)
    yield ""
    yield from table(("Property", "Value"), _facts(program, lock))
    found = [item for item in subject.project.combinations if program in item.parts.programs]
    images = [item for item in found if not item.reason]
    yield from section("Images", _images(images, [item for item in found if item.reason]))
    names = [item.name for item in images]
    yield from section("Run it", run_it(program, images, subject))
    yield from section("Ready-made", ready_made((program.name, *names), subject))
    yield from section("In stacks", _stacks(program, subject))
    yield from section("Secrets", _secrets(program))
    yield from section(
        "Environment",
        table(("Variable", "Value"), ((code(key), code(value)) for key, value in sorted(spec.env.items()))),
    )
    volumes = ((code(one.path), one.purpose, prose(one.description)) for one in spec.volumes)
    yield from section("Volumes", table(("Folder", "Holds", "What to know"), volumes))
    yield from section("Ports", table(("Port", "For"), ((f"{one.port}/tcp", one.name) for one in spec.ports)))
    hosts = ((code(f"{one.host}:{one.port}"), prose(one.purpose), one.verified.isoformat()) for one in spec.egress)
    yield from section("Hosts it reaches", table(("Host", "For", "Last verified"), hosts))
    yield from section("Health check", _health(program))
    yield from section("How it is tested", _tests(program))


def smoke_rows(tests: Iterable[SmokeTest]) -> Iterator[tuple[str, str, str, str]]:
    """Yield what each smoke test is called, how deep it goes, what it runs and what it expects."""
    for test in tests:
        expected = f"it writes {code(test.expect_file.path)}" if test.expect_file else "exit status 0"
        if test.contains:
            expected += f", and prints {code(test.contains)}"
        if test.network != "none":
            expected += f"; network: {test.network}"
        script = len(test.run) > 1 and "\n" in test.run[-1]
        shown = shlex.join(test.run[:-1]) + " …" if script else shlex.join(test.run)
        yield test.name, test.depth, code(shown), expected


def _homepage(address: str) -> str:
    return f"{link('Its own documentation', address)}." if address else ""


def _facts(program: Program, lock: PackagesLock | None) -> Iterator[tuple[str, str]]:
    spec = program.model.spec
    yield "Name", code(program.name)
    if lock:
        yield "Version", code(lock.version)
    for package in spec.packages:
        yield "Package", package_words(package, lock)
    yield "Command", code(shlex.join(spec.command))
    if spec.requires:
        yield "Requires of its base", codes(spec.requires)
    if spec.brings:
        yield "Brings where that is missing", codes(spec.brings)
    yield "Waits after a release", f"{spec.cool_down:g} days" if spec.cool_down != 1 else "1 day"
    yield "Licence", link(spec.licence.name, spec.licence.url)
    yield "Publishing", _PUBLISH[spec.licence.publish]


def package_words(package: Package, lock: PackagesLock | None) -> str:
    """Return where a package comes from, at which version, and what was asked for."""
    pin = lock.find(package.name) if lock else None
    at = f" {pin.version}" if pin else ""
    match package:
        case NpmArchive():
            ways = f"npm, {code(package.version)}{', with its dependencies' if package.tree else ''}"
        case PypiPackage():
            extras = f", with {codes(package.extras)}" if package.extras else ""
            ways = f"PyPI, {code(package.version)}{extras}, for Python {package.python}"
        case ImageFiles():
            ways = f"{code(package.path)} of a registry image"
    return f"{code(package.name)}{at} ({ways})"


def _images(images: Iterable[Combination], others: Iterable[Combination]) -> Iterator[str]:
    rows = (
        (
            code(item.name),
            f"[{item.parts.base.name}](../bases/{item.parts.base.name}.md)",
            item.tier,
            ", ".join(item.platforms),
        )
        for item in images
    )
    yield from table(("Image", "Base", "Tier", "Platforms"), rows)
    refused = ((code(item.parts.base.name), prose(item.reason)) for item in others)
    yield from table(("Not on", "Because"), refused)


def _stacks(program: Program, subject: Subject) -> Iterator[str]:
    rows = [
        (f"[{stack.name}](../stacks/{stack.name}.md)", prose(stack.defined.model.metadata.description))
        for stack in subject.project.stacks()
        if any(program in one.parts.programs for one in stack.services)
    ]
    if rows:
        yield "Each page has the commands for Docker Compose, an editor and Kubernetes."
        yield ""
    yield from table(("Stack", "What it is"), rows)


def _secrets(program: Program) -> Iterator[str]:
    rows = (
        (code(one.name), "yes" if one.required else "no", prose(one.description)) for one in program.model.spec.secrets
    )
    yield from table(("Variable", "Needed", "What it is"), rows)


def _health(program: Program) -> Iterator[str]:
    if health := program.model.spec.health:
        yield (
            f"{code(shlex.join(health.command))} every {health.interval} s, for {health.timeout} s at most; failures in"
            f" the first {health.start_period} s do not count, and {health.retries} in a row make it unhealthy."
        )
        yield ""


def _tests(program: Program) -> Iterator[str]:
    yield "Before an image is written, in that image, as its user:"
    yield ""
    presence = (
        "presence",
        "presence",
        "",
        "its commands are the locked files, on PATH, and nobody but root can change them",
    )
    yield from table(("Test", "Depth", "Runs", "Expects"), [presence, *smoke_rows(program.model.spec.smoke)])
