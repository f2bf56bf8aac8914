"""The generators there are. Each is a pure function of a project; adding one here is all it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pipeline.outputs.ci import ci_files
from pipeline.outputs.devcontainer import devcontainer_files
from pipeline.outputs.generated import Generated
from pipeline.outputs.image_catalog import image_catalog_files
from pipeline.outputs.kubernetes.helm import helm_files
from pipeline.outputs.kubernetes.kustomize import kubernetes_files
from pipeline.outputs.openshell import openshell_files
from pipeline.outputs.sandbox_kit import sandbox_files
from pipeline.outputs.stacks import compose_files
from pipeline.outputs.subject import Subject

MAKERS: Mapping[str, Callable[[Subject], tuple[Generated, ...]]] = MappingProxyType(
    {
        "ci": ci_files,
        "compose": compose_files,
        "devcontainers": devcontainer_files,
        "helm": helm_files,
        "image-catalog": image_catalog_files,
        "kubernetes": kubernetes_files,
        "openshell": openshell_files,
        "sandbox": sandbox_files,
    }
)
"""What makes the files of each sort, by the name that `agc generate --only` knows."""


def make(subject: Subject, only: tuple[str, ...]) -> dict[str, tuple[Generated, ...]]:
    """Return the files of each sort in `only`, all where it is empty."""
    return {name: MAKERS[name](subject) for name in only or tuple(MAKERS)}
