"""Labels of ours in an image config: written when an image is composed, read back from what a registry holds.

They carry facts of the content alone, so that equal content keeps equal digests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.compose.layers import Layer
from pipeline.digest import Digest

LABEL = "dev.agentcontainers"
GRAPH_LABEL = f"{LABEL}.graph"
LAYERS_LABEL = f"{LABEL}.layers"
COMPONENT_LABEL = f"{LABEL}.component."
ROOT_LABEL = "org.opencontainers.image.base.digest"

_LAYER = re.compile(r"([a-z-]+/[a-z0-9-]+)=(sha256:[0-9a-f]{64})")
_FOLLOWING = frozenset({ROOT_LABEL, "org.opencontainers.image.version"})


def layer_labels(layers: Iterable[Layer]) -> dict[str, str]:
    """Return the labels that say of which layers an image is made.

    One holds all of them in order, each with its graph digest: a manifest lists blobs in that order and names no part.
    """
    held = tuple(layers)
    versions = {f"{COMPONENT_LABEL}{_dotted(layer.component)}": layer.version for layer in held if layer.version}
    return {**versions, LAYERS_LABEL: " ".join(f"{layer.component}={layer.state.digest}" for layer in held)}


def read_layers(labels: Mapping[str, str]) -> tuple[tuple[str, Digest], ...]:
    """Return component and graph digest of each layer, lowest first; none where the labels do not say so."""
    found = [_LAYER.fullmatch(word) for word in labels.get(LAYERS_LABEL, "").split()]
    return tuple((match[1], Digest(match[2])) for match in found if match) if all(found) else ()


def read_version(labels: Mapping[str, str], component: str) -> str:
    """Return the version of a component, "" where it has none."""
    return labels.get(f"{COMPONENT_LABEL}{_dotted(component)}", "")


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config tells a container runtime, without the labels that repeat what the layers are."""
    labels = {
        name: value
        for name, value in (config.get("Labels") or {}).items()
        if not name.startswith(f"{LABEL}.") and name not in _FOLLOWING
    }
    return {**config, "Labels": labels}


def _dotted(component: str) -> str:
    return component.replace("/", ".")
