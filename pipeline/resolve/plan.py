"""What an image is made of: its definitions and their pins for one platform, and nothing that is not pinned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from pipeline.digest import Digest
from pipeline.errors import DefinitionError, LockError, UsageError
from pipeline.models.choices import suggest
from pipeline.models.defined import Defined, Definitions, Program
from pipeline.models.kinds import Agent, Base, CommonTools, Root, Toolchain, Toolpack
from pipeline.models.packages import Package, PypiPackage
from pipeline.models.parts import SmokeTest
from pipeline.platform import Platform
from pipeline.resolve.capabilities import brought, check_fit, provided
from pipeline.resolve.lock import Locks, asked_for
from pipeline.resolve.matrix import Parts, check_exclusion, image_names, sidecars
from pipeline.resolve.pins import PackagesLock, SystemPin

MOCK_BASE = "model-mock"
"""The base whose Python runs the mock of model APIs."""
BUILDER_BASE = "wheel-builder"
"""The base whose Python installs wheels."""

LockedToolchain: TypeAlias = tuple[Defined[Toolchain], PackagesLock]
LockedProgram: TypeAlias = tuple[Program, PackagesLock]


@dataclass(frozen=True, slots=True)
class RootPlan:
    """The root of an image: its source and the manifest digest of its platform; `ref` is set for a registry image.

    `packages` is what is known to be installed in it, name to version.
    """

    defined: Defined[Root]
    source: Literal["image", "bootstrap"]
    digest: Digest
    ref: str = ""
    packages: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """All an image is made of, lowest layer first.

    `brought` are toolchains that are there for a program and off PATH. `mock` and `builder` are no part of the image:
    what the mock of model APIs runs in beside a work test, and what wheels are installed by. A `late` image holds, in
    place of programs whose licence wants that, what fetches them at first run.
    """

    name: str
    platform: Platform
    root: RootPlan
    base: Defined[Base]
    system: SystemPin
    common_tools: tuple[Defined[CommonTools], ...]
    toolchains: tuple[LockedToolchain, ...]
    brought: tuple[LockedToolchain, ...] = ()
    agent: tuple[Defined[Agent], PackagesLock] | None = None
    toolpack: tuple[Defined[Toolpack], PackagesLock] | None = None
    mock: ImagePlan | None = None
    builder: ImagePlan | None = None
    late: bool = False

    @property
    def programs(self) -> tuple[LockedProgram, ...]:
        """What runs in the image, the one the container is for last."""
        return tuple(part for part in (self.toolpack, self.agent) if part)

    @property
    def asked_for(self) -> tuple[str, ...]:
        """The Debian packages that its base, its common tools and its toolchains name; its root may have some."""
        tools = (item.model.spec for item in self.common_tools)
        return asked_for(self.base.model.spec, tools, (item.model.spec for item, _ in self.toolchains))

    @property
    def program(self) -> LockedProgram | None:
        """What the container is for: its agent, or the toolpack of a sidecar; a base has none."""
        return self.agent or self.toolpack

    @property
    def embedded(self) -> tuple[Defined[Toolpack], PackagesLock] | None:
        """The toolpack that runs beside the agent."""
        return self.toolpack if self.agent else None

    @property
    def smoke(self) -> Iterator[tuple[Defined[Any], SmokeTest]]:
        """Every declared smoke test with its definition, lowest layer first."""
        toolchains = (item for item, _ in self.toolchains)
        defined: tuple[Defined[Any], ...] = (self.base, *self.common_tools, *toolchains)
        for component in (*defined, *(item for item, _ in self.programs)):
            yield from ((component, test) for test in component.model.spec.smoke)


def made_of_wheels(packages: Iterable[Package]) -> bool:
    """Tell whether any of a component's packages has to be installed in a builder."""
    return any(isinstance(package, PypiPackage) for package in packages)


def parse_image_name(name: str, definitions: Definitions, locks: Locks) -> Parts:
    """Return what `name` stands for.

    Whatever fits together has a name, in the matrix or not. Raises UsageError for a name that means nothing,
    DefinitionError for a program on a base that does not fit or that the matrix excludes.
    """
    parts = _parts(name, definitions)
    if parts is None:
        raise UsageError(f"there is no image named {name!r}", remedy=suggest(name, image_names(definitions, locks)))
    for program in parts.programs:
        check_fit(program, parts.base, definitions, locks)
    if parts.agent:
        check_exclusion(parts.agent, parts.base, definitions)
    return parts


def _parts(name: str, definitions: Definitions) -> Parts | None:
    bases = {base.name: base for base in definitions.bases.values() if base.model.spec.images}
    if name in bases:
        return Parts(bases[name])
    if found := next((parts for parts in sidecars(definitions) if parts.name == name), None):
        return found
    embedded = [None, *(pack for pack in definitions.toolpacks.values() if pack.model.spec.embedded)]
    for base in (base for base in bases.values() if name.startswith(f"{base.name}-")):
        rest = name.removeprefix(f"{base.name}-")
        for toolpack in embedded:
            agent = definitions.agents.get(rest.removesuffix(f"-{toolpack.name}") if toolpack else rest)
            parts = Parts(base, agent, toolpack)
            if agent and parts.name == name:
                return parts
    return None


@dataclass(frozen=True, slots=True)
class _Planner:
    """Makes plans of one set of definitions and locks; what images share is planned once per platform."""

    definitions: Definitions
    locks: Locks
    root_source: str
    helpers: dict[tuple[str, Platform], ImagePlan] = field(default_factory=dict)

    def image(self, parts: Parts, platform: Platform) -> ImagePlan:
        """Return the plan of an image."""
        plan = self.bare(parts, platform)
        for defined, test in plan.smoke:
            if test.depth == "work":
                what = f"smoke test {test.name} needs the mock"
                plan = replace(plan, mock=self.helper(MOCK_BASE, platform, defined, what))
                break
        for defined in (item for item, _ in (*plan.toolchains, *plan.brought, *plan.programs)):
            if made_of_wheels(defined.model.spec.packages):
                what = f"{defined.name} is made of wheels"
                return replace(plan, builder=self.helper(BUILDER_BASE, platform, defined, what))
        return plan

    def bare(self, parts: Parts, platform: Platform) -> ImagePlan:
        """Return the plan of an image without what only its making needs."""
        definitions, locks, base = self.definitions, self.locks, parts.base
        spec = base.model.spec
        root = _root(definitions.roots[spec.root], platform, locks, self.root_source)
        system = locks.bases[base.name].pin(root.source, str(platform))
        if system is None:
            raise LockError(
                f"base {base.name} has no Debian packages locked for {platform} on a root from {root.source}",
                location=base.at("spec"),
                remedy="agc lock",
            )
        return ImagePlan(
            name=parts.name,
            platform=platform,
            root=root,
            base=base,
            system=system,
            common_tools=tuple(definitions.common_tools[item] for item in spec.common_tools),
            toolchains=tuple((definitions.toolchains[item], locks.toolchains[item]) for item in spec.toolchains),
            brought=tuple((definitions.toolchains[item], locks.toolchains[item]) for item in self.brought(parts)),
            agent=(parts.agent, locks.agents[parts.agent.name]) if parts.agent else None,
            toolpack=(parts.toolpack, locks.toolpacks[parts.toolpack.name]) if parts.toolpack else None,
        )

    def brought(self, parts: Parts) -> tuple[str, ...]:
        """Return the toolchains that the programs of an image bring, each once."""
        if not any(program.model.spec.brings for program in parts.programs):
            return ()
        there = provided(parts.base, self.definitions, self.locks)
        found = (brought(item, parts.base, there, self.definitions) for item in parts.programs)
        return tuple(dict.fromkeys(name for names in found for name in names))

    def helper(self, name: str, platform: Platform, defined: Defined[Any], what: str) -> ImagePlan:
        """Return the plan of a base that helps to make or test images; `what` says why `defined` needs it."""
        base = self.definitions.bases.get(name)
        if base is None:
            raise DefinitionError(f"{what}, and no base is named `{name}`", location=defined.at("spec"))
        if (name, platform) not in self.helpers:
            self.helpers[name, platform] = self.bare(Parts(base), platform)
        return self.helpers[name, platform]


def plan_images(
    names: Sequence[str], platforms: Iterable[Platform], definitions: Definitions, locks: Locks, root_source: str
) -> tuple[ImagePlan, ...]:
    """Return the plan of each image on each platform, images in the given order.

    Raises LockError where something it needs has no pin for a platform.
    """
    parsed = [parse_image_name(name, definitions, locks) for name in dict.fromkeys(names)]
    wanted = tuple(platforms)
    planner = _Planner(definitions, locks, root_source)
    return tuple(planner.image(parts, platform) for parts in parsed for platform in wanted)


def _root(defined: Defined[Root], platform: Platform, locks: Locks, wanted: str) -> RootPlan:
    lock = locks.roots[defined.name]
    source = lock.source(wanted)
    digest = lock.digest(source, str(platform))
    if digest is None:
        raise LockError(
            f"root {defined.name} is not locked from {source} for {platform}",
            location=defined.at("spec"),
            remedy=f"agc lock --upgrade {defined.name}",
        )
    repository = defined.model.spec.image.rpartition(":")[0]
    if source == "image":
        return RootPlan(defined, source, digest, f"{repository}@{digest}")
    return RootPlan(defined, source, digest, packages=lock.bootstrap[str(platform)].packages)
