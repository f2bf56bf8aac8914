"""A whole image: its layers in order, its config, and the digest of the graph that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias

from pipeline.compose.component import program_layer, toolchain_layer
from pipeline.compose.config import image_config
from pipeline.compose.labels import GRAPH_LABEL
from pipeline.compose.late import is_late, late_layer
from pipeline.compose.layers import Layer, root_layer
from pipeline.compose.system import system_layer, tools_layer
from pipeline.digest import Digest, canonical_json, digest_json
from pipeline.graph import State, stack
from pipeline.models.defined import Defined, Program
from pipeline.models.kinds import Toolchain
from pipeline.models.parts import User
from pipeline.platform import Platform
from pipeline.resolve.pins import PackagesLock
from pipeline.resolve.plan import ImagePlan, made_of_wheels

Shared: TypeAlias = dict[tuple[object, ...], Layer]
"""Layers that were made, by the parts of plans they were made from."""


@dataclass(frozen=True)
class Composition:
    """An image that can be built: layers lowest first, and the config as the exporter takes it."""

    plan: ImagePlan
    layers: tuple[Layer, ...]

    @cached_property
    def rootfs(self) -> State:
        """The layers put together."""
        return stack(*(layer.state for layer in self.layers)).named(self.plan.name)

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The image config without the one label that follows from it, the graph digest."""
        return image_config(self.plan, self.layers, {})

    @cached_property
    def graph_digest(self) -> Digest:
        """The digest of everything that decides what this image is: its graph, its config and its platform."""
        return digest_json(
            {
                "rootfs": self.rootfs.digest,
                "config": self.document,
                "platform": str(self.plan.platform),
            }
        )

    @cached_property
    def config(self) -> bytes:
        """The image config as canonical JSON, with the graph digest among its labels."""
        return canonical_json(image_config(self.plan, self.layers, {GRAPH_LABEL: self.graph_digest}))


def compose(plan: ImagePlan) -> Composition:
    """Return the image of a plan; pure, so the same plan gives the same graph anywhere."""
    return compose_all((plan,))[0]


def compose_all(plans: Iterable[ImagePlan], shared: Shared | None = None) -> tuple[Composition, ...]:
    """Return the images of plans; a layer that several have is made, and its digest computed, once.

    `shared` has the layers of earlier calls, and gets those of this one. Who keeps it keeps the plans of all calls.
    """
    held = tuple(plans)
    made: Shared = {} if shared is None else shared
    return tuple(Composition(plan, tuple(_layers(plan, made))) for plan in held)


def _layers(plan: ImagePlan, made: Shared) -> Iterator[Layer]:
    """Yield the layers of a plan, lowest first, taking what is `made` and adding to it.

    Parts of plans are known by identity: they are frozen, and the caller keeps them all.
    """

    def once(make: Callable[[], Layer], *parts: object) -> Layer:
        if parts not in made:
            made[parts] = make()
        return made[parts]

    def builder() -> State | None:
        if plan.builder is None:
            return None
        return stack(*(layer.state for layer in _layers(plan.builder, made))).named(plan.builder.name)

    root_parts = (id(plan.root.defined), plan.root.source, plan.root.digest)
    root = once(lambda: root_layer(plan.root), *root_parts)
    yield root
    # Bases that have the same tools have each a lock of their own, which says so.
    tools = None
    if pins := plan.system.of_tools:
        names, files = (item.name for item in plan.common_tools), (pin.sha256 for pin in pins)
        tools = once(lambda: tools_layer(plan, root.state), *names, *files, plan.platform, *root_parts)
        yield tools
    system_parts = (id(plan.base), id(plan.system), plan.platform, *root_parts)
    yield once(lambda: system_layer(plan, root.state, tools), *system_parts)
    for toolchain, lock in (*plan.toolchains, *plan.brought):
        make = partial(_toolchain, toolchain, lock, plan.platform, builder)
        yield once(make, id(toolchain), id(lock), plan.platform, _builder_of(toolchain, plan))
    user = plan.base.model.spec.user
    for program, lock in plan.programs:
        late = is_late(plan, program)
        make = partial(_program, program, lock, plan.platform, builder, user, late)
        yield once(make, id(program), id(lock), plan.platform, _builder_of(program, plan), user, late)


def _builder_of(defined: Defined[Toolchain] | Program, plan: ImagePlan) -> int:
    """Return what tells the builder of a component from others; one that needs none has the same in all images."""
    return id(plan.builder) if made_of_wheels(defined.model.spec.packages) else 0


def _toolchain(
    toolchain: Defined[Toolchain], lock: PackagesLock, platform: Platform, builder: Callable[[], State | None]
) -> Layer:
    return toolchain_layer(toolchain, lock, platform, builder())


def _program(
    program: Program,
    lock: PackagesLock,
    platform: Platform,
    builder: Callable[[], State | None],
    user: User,
    late: bool,
) -> Layer:
    if late:
        return late_layer(lock.component, program, lock, platform, user)
    return program_layer(lock.component, program, lock, platform, builder(), user)


def combined_digest(digests: Mapping[str, Digest]) -> Digest:
    """Return the one graph digest of an image over its platforms; an image for one platform has that one's."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    return digest_json(dict(digests))
