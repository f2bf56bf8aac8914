"""A whole image: its layers in order, its config, and the digest of the graph that makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pipeline.compose.config import GRAPH_LABEL, image_config
from pipeline.compose.layers import Layer, packages_layer, root_layer, system_layer
from pipeline.digest import Digest, canonical_json, digest_json
from pipeline.errors import Location
from pipeline.graph import State, stack
from pipeline.models.defined import Defined
from pipeline.models.kinds import Agent, Toolchain
from pipeline.resolve.plan import ImagePlan


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
    def graph_digest(self) -> Digest:
        """The digest of everything that decides what this image is: its graph, its config and its platform."""
        return digest_json(
            {
                "rootfs": self.rootfs.digest,
                "config": image_config(self.plan, self.layers, {}),
                "platform": str(self.plan.platform),
            }
        )

    @cached_property
    def config(self) -> bytes:
        """The image config as canonical JSON, with the graph digest among its labels."""
        return canonical_json(image_config(self.plan, self.layers, {GRAPH_LABEL: self.graph_digest}))


def compose(plan: ImagePlan) -> Composition:
    """Return the image of a plan; pure, so the same plan gives the same graph anywhere."""
    root = root_layer(plan.root)
    layers = [root, system_layer(plan, root.state)]
    for toolchain, lock in plan.toolchains:
        component = f"toolchains/{toolchain.name}"
        packages = toolchain.model.spec.packages
        layers.append(packages_layer(component, packages, lock, plan.platform, _locations(toolchain)))
    if plan.agent:
        agent, lock = plan.agent
        spec = agent.model.spec
        component = f"agents/{agent.name}"
        layers.append(
            packages_layer(
                component,
                spec.packages,
                lock,
                plan.platform,
                _locations(agent),
                volumes=spec.volumes,
                user=plan.base.model.spec.user,
            )
        )
    return Composition(plan, tuple(layers))


def combined_digest(digests: Mapping[str, Digest]) -> Digest:
    """Return the one graph digest of an image over its platforms; an image for one platform has that one's."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    return digest_json(dict(digests))


def _locations(defined: Defined[Toolchain] | Defined[Agent]) -> tuple[Location, ...]:
    return tuple(defined.at("spec", "packages", index, "npm") for index in range(len(defined.model.spec.packages)))
