"""What an image is made of: its definitions and their pins for one platform, and nothing that is not pinned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pipeline.digest import Digest
from pipeline.errors import DefinitionError, LockError, UsageError
from pipeline.models.defined import Defined, Definitions
from pipeline.models.kinds import Agent, Base, CommonTools, Root, Toolchain
from pipeline.models.load import suggest
from pipeline.models.parts import SmokeTest
from pipeline.platform import Platform
from pipeline.resolve.capabilities import check_fit
from pipeline.resolve.lock import Locks
from pipeline.resolve.matrix import check_exclusion, image_names
from pipeline.resolve.pins import PackagesLock, SystemPin

MOCK_BASE = "model-mock"
"""The base whose Python runs the mock of model APIs."""


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
    """All an image is made of, lowest layer first."""

    name: str
    platform: Platform
    root: RootPlan
    base: Defined[Base]
    system: SystemPin
    common_tools: tuple[Defined[CommonTools], ...]
    toolchains: tuple[tuple[Defined[Toolchain], PackagesLock], ...]
    agent: tuple[Defined[Agent], PackagesLock] | None = None
    mock: ImagePlan | None = None
    """What the mock of model APIs runs in beside a work test; no part of the image."""

    @property
    def smoke(self) -> Iterator[tuple[Defined[Any], SmokeTest]]:
        """Every declared smoke test with its definition, lowest layer first."""
        defined: tuple[Defined[Any], ...] = (self.base, *self.common_tools, *(item for item, _ in self.toolchains))
        for component in (*defined, *((self.agent[0],) if self.agent else ())):
            yield from ((component, test) for test in component.model.spec.smoke)


def parse_image_name(name: str, definitions: Definitions, locks: Locks) -> tuple[Defined[Base], Defined[Agent] | None]:
    """Return the base and agent `name` stands for.

    Any pair that fits has a name, in the matrix or not. Raises UsageError for a name that means nothing,
    DefinitionError for an agent on a base that does not fit or that the matrix excludes.
    """
    bases = {base.name: base for base in definitions.bases.values() if base.model.spec.images}
    if name in bases:
        return bases[name], None
    for base in bases.values():
        agent = definitions.agents.get(name.removeprefix(f"{base.name}-"))
        if agent is not None and name.startswith(f"{base.name}-"):
            check_fit(agent, base, definitions, locks)
            check_exclusion(agent, base, definitions)
            return base, agent
    raise UsageError(f"there is no image named {name!r}", remedy=suggest(name, image_names(definitions, locks)))


def plan_images(
    names: Sequence[str], platforms: Iterable[Platform], definitions: Definitions, locks: Locks, root_source: str
) -> tuple[ImagePlan, ...]:
    """Return the plan of each image on each platform, images in the given order.

    Raises LockError where something it needs has no pin for a platform.
    """
    parsed = [(name, *parse_image_name(name, definitions, locks)) for name in dict.fromkeys(names)]
    wanted = tuple(platforms)
    return tuple(
        _with_mock(_plan(name, base, agent, platform, definitions, locks, root_source), definitions, locks, root_source)
        for name, base, agent in parsed
        for platform in wanted
    )


def _plan(
    name: str,
    base: Defined[Base],
    agent: Defined[Agent] | None,
    platform: Platform,
    definitions: Definitions,
    locks: Locks,
    root_source: str,
) -> ImagePlan:
    spec = base.model.spec
    root = _root(definitions.roots[spec.root], platform, locks, root_source)
    system = locks.bases[base.name].pin(root.source, str(platform))
    if system is None:
        raise LockError(
            f"base {base.name} has no Debian packages locked for {platform} on a root from {root.source}",
            location=base.at("spec"),
            remedy="agc lock",
        )
    return ImagePlan(
        name=name,
        platform=platform,
        root=root,
        base=base,
        system=system,
        common_tools=tuple(definitions.common_tools[item] for item in spec.common_tools),
        toolchains=tuple((definitions.toolchains[item], locks.toolchains[item]) for item in spec.toolchains),
        agent=(agent, locks.agents[agent.name]) if agent else None,
    )


def _with_mock(plan: ImagePlan, definitions: Definitions, locks: Locks, root_source: str) -> ImagePlan:
    """Return `plan` with that of the mock, where one of its tests needs it."""
    for defined, test in plan.smoke:
        if test.depth == "work":
            base = definitions.bases.get(MOCK_BASE)
            if base is None:
                text = f"smoke test {test.name} needs the mock, and no base is named `{MOCK_BASE}`"
                raise DefinitionError(text, location=defined.at("spec", "smoke"))
            return replace(plan, mock=_plan(MOCK_BASE, base, None, plan.platform, definitions, locks, root_source))
    return plan


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
