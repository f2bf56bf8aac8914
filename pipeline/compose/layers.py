"""What a layer is, and the lowest one. Each is a function of its own pins and definition, so no layer knows another.

Normalisation happens in the graph: one timestamp, owner root, and nothing that carries a date or a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType

from pipeline.graph import Mkdir, Owner, State, Symlink, Write, image, layout, scratch
from pipeline.graph.ops import ROOT, FileAction
from pipeline.models.parts import User, Volume
from pipeline.resolve.plan import RootPlan

EPOCH = 1767225600
"""The one timestamp of everything we write: 2026-01-01T00:00:00Z."""
BINARIES = "/usr/local/bin"
"""Where what people call by name is linked."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of an image: the component it holds (`agents/claude`), that component's version, and its state.

    The rest is prose for whoever asks why a layer moved: `pin` is what stands for the version of something that has
    none, `contents` are packages by name and version, `below` is the component that this layer is made on.
    """

    component: str
    version: str
    state: State
    pin: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)
    below: str = ""


def root_name(plan: RootPlan) -> str:
    """Return the component that a root is."""
    return f"roots/{plan.defined.name}"


def root_layer(plan: RootPlan) -> Layer:
    """Return the root file system."""
    location = plan.defined.at("spec", "image" if plan.source == "image" else "bootstrap")
    state = image(plan.ref) if plan.source == "image" else layout(plan.digest, plan.defined.name)
    component = root_name(plan)
    version = plan.defined.model.spec.suite
    return Layer(component, version, state.named(component, location), plan.digest, plan.packages)


def skeleton(
    folders: Iterable[str],
    links: Mapping[str, str],
    scripts: Mapping[str, str] = MappingProxyType({}),
    volumes: Iterable[Volume] = (),
    user: User | None = None,
) -> State:
    """Return all folders a layer touches, with their owners, and its links and scripts by path.

    It is copied last: a folder's time changes when something is put into it, and this sets them all.
    """
    theirs: dict[str, Owner] = {}
    if user is not None:
        owner = Owner(user.uid, user.gid)
        for volume in volumes:
            for folder in (*PurePosixPath(volume.path).parents, PurePosixPath(volume.path)):
                if folder.is_relative_to(user.home) or str(folder) == volume.path:
                    theirs[str(folder)] = owner
    every = {str(parent) for name in (*folders, *theirs) for parent in PurePosixPath(name).parents}
    actions: list[FileAction] = [
        Mkdir(name, 0o755, theirs.get(name, ROOT), EPOCH) for name in sorted({*every, *folders, *theirs} - {"/"})
    ]
    actions.extend(Symlink(path, target, EPOCH) for path, target in sorted(links.items()))
    actions.extend(Write(path, text.encode(), 0o755, ROOT, EPOCH) for path, text in sorted(scripts.items()))
    return scratch().files(*actions)
