"""Why an image is what it is: every fact of it, with the file and line that asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.compose.config import environment_sources
from pipeline.errors import Location
from pipeline.models.defined import Defined, Program
from pipeline.models.kinds import Base, CommonTools, Toolchain
from pipeline.resolve.pins import PackagesLock
from pipeline.resolve.plan import ImagePlan

_WITH_THE_PROGRAM = "built in"


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing about an image: its name, what is so, and the places that say so, the deciding one first."""

    name: str
    value: str
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """All facts about an image on one platform, in sections."""

    image: str
    platform: str
    sections: tuple[tuple[str, tuple[Fact, ...]], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object `agc explain --json` prints."""
        sections = {
            title: [{"name": fact.name, "value": fact.value, "origins": list(fact.origins)} for fact in facts]
            for title, facts in self.sections
        }
        return {"image": self.image, "platform": self.platform, **sections}


def explain_image(plan: ImagePlan) -> Explanation:
    """Return every fact of an image; empty sections are there too."""
    sections = (
        ("root", tuple(_root(plan))),
        ("debian", tuple(_debian(plan))),
        ("toolchains", tuple(_toolchains(plan))),
        ("user", tuple(_user(plan))),
        ("environment", tuple(_environment(plan))),
        ("programs", tuple(_programs(plan))),
        ("volumes", tuple(_volumes(plan))),
        ("ports", tuple(_ports(plan))),
        ("secrets", tuple(_secrets(plan))),
        ("egress", tuple(_egress(plan))),
        ("smoke", tuple(_smoke(plan))),
    )
    return Explanation(plan.name, str(plan.platform), sections)


def _root(plan: ImagePlan) -> Iterator[Fact]:
    root = plan.root.defined
    spec = root.model.spec
    yield _fact("root", root.name, plan.base.at("spec", "root"))
    if plan.root.source == "image":
        yield _fact("image", plan.root.ref, root.at("spec", "image"))
    else:
        yield _fact("bootstrap", f"{spec.distribution} {spec.suite}, {plan.root.digest}", root.at("spec", "bootstrap"))


def _debian(plan: ImagePlan) -> Iterator[Fact]:
    """Yield every package that is installed; what nobody asked for by name is there for one that was."""
    asked = _asked(plan)
    pins = {pin.name: pin for pin in plan.system.packages}
    for name in sorted({*asked, *pins}):
        version = pins[name].version if name in pins else "of the root"
        origins = asked.get(name) or ("needed by another package",)
        yield Fact(name, version, tuple(str(origin) for origin in origins))


def _asked(plan: ImagePlan) -> dict[str, tuple[Location, ...]]:
    """Return every Debian package somebody asks for, with all places."""
    mentions: dict[str, tuple[Location, ...]] = {}
    askers: list[Defined[Base] | Defined[CommonTools] | Defined[Toolchain]] = [plan.base, *plan.common_tools]
    askers += [toolchain for toolchain, _ in plan.toolchains]
    for defined in askers:
        for at, name in enumerate(defined.model.spec.debian):
            mentions[name] = (*mentions.get(name, ()), defined.at("spec", "debian", at))
    return mentions


def _toolchains(plan: ImagePlan) -> Iterator[Fact]:
    for at, (toolchain, lock) in enumerate(plan.toolchains):
        yield from _packages(toolchain, lock, plan.base.at("spec", "toolchains", at))
    for toolchain, lock in plan.brought:
        askers = (item for item, _ in plan.programs if toolchain.name in item.model.spec.brings)
        places = (item.at("spec", "brings", item.model.spec.brings.index(toolchain.name)) for item in askers)
        yield from _packages(toolchain, lock, *places)


def _packages(defined: Defined[Toolchain] | Program, lock: PackagesLock, *asked: Location) -> Iterator[Fact]:
    for at, package in enumerate(defined.model.spec.packages):
        places = (*asked, defined.at("spec", "packages", at, package.key))
        yield _fact(f"{defined.name}: {package.name}", lock.pin(package.name).version, *places)


def _user(plan: ImagePlan) -> Iterator[Fact]:
    base, user = plan.base, plan.base.model.spec.user
    yield _fact("user", f"{user.name} ({user.uid}:{user.gid}), {user.home}", base.at("spec", "user"))
    yield _fact("shell", user.shell, base.at("spec", "user", "shell"))
    yield _fact("workspace", base.model.spec.workspace, base.at("spec", "workspace"))
    if plan.program:
        program = plan.program[0]
        yield _fact("command", " ".join(program.model.spec.command), program.at("spec", "command"))
    if plan.embedded and (embedded := plan.embedded[0].model.spec.embedded):
        place = plan.embedded[0].at("spec", "embedded", "command")
        yield _fact("beside it", " ".join(embedded.command), place)


def _environment(plan: ImagePlan) -> Iterator[Fact]:
    """Yield every variable as the image has it; the places whose value was replaced come after the one that won."""
    values: dict[str, str] = {}
    origins: dict[str, tuple[str, ...]] = {}
    for name, value, place in environment_sources(plan):
        values[name] = value
        origins[name] = (str(place or _WITH_THE_PROGRAM), *origins.get(name, ()))
    for name in sorted(values):
        yield Fact(name, values[name], origins[name])


def _programs(plan: ImagePlan) -> Iterator[Fact]:
    for program, lock in plan.programs:
        yield from _packages(program, lock)
        for at, requirement in enumerate(program.model.spec.requires):
            yield _fact(f"{program.name}: requires", requirement, program.at("spec", "requires", at))
        licence = program.model.spec.licence
        yield _fact(f"{program.name}: licence", licence.name, program.at("spec", "licence", "name"))
        yield _fact(f"{program.name}: publish", licence.publish, program.at("spec", "licence", "publish"))


def _volumes(plan: ImagePlan) -> Iterator[Fact]:
    for program, _ in plan.programs:
        for at, volume in enumerate(program.model.spec.volumes):
            yield _fact(volume.path, volume.purpose, program.at("spec", "volumes", at))


def _ports(plan: ImagePlan) -> Iterator[Fact]:
    for program, _ in plan.programs:
        for at, port in enumerate(program.model.spec.ports):
            yield _fact(f"{port.port}/tcp", port.name, program.at("spec", "ports", at))


def _secrets(plan: ImagePlan) -> Iterator[Fact]:
    for program, _ in plan.programs:
        for at, secret in enumerate(program.model.spec.secrets):
            yield _fact(secret.name, "required" if secret.required else "optional", program.at("spec", "secrets", at))


def _egress(plan: ImagePlan) -> Iterator[Fact]:
    for program, _ in plan.programs:
        for at, host in enumerate(program.model.spec.egress):
            text = f"{host.purpose}, last seen {host.verified}"
            yield _fact(f"{host.host}:{host.port}", text, program.at("spec", "egress", at))


def _smoke(plan: ImagePlan) -> Iterator[Fact]:
    """Yield the declared tests, in the order they are run; `presence` comes with every component."""
    toolchains, programs = (item for item, _ in plan.toolchains), (item for item, _ in plan.programs)
    tested: tuple[Defined[Any], ...] = (plan.base, *plan.common_tools, *toolchains, *programs)
    for defined in tested:
        for at, test in enumerate(defined.model.spec.smoke):
            command = " ".join(test.run).split("\n", 1)[0]
            yield _fact(f"{defined.name}: {test.name}", command, defined.at("spec", "smoke", at))


def _fact(name: str, value: str, *origins: Location) -> Fact:
    return Fact(name, value, tuple(str(origin) for origin in origins))
