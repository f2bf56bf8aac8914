"""The generators there are. Each is a pure function of a project; adding one here is all it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from pipeline.outputs.ci import ci_files
from pipeline.outputs.devcontainer import devcontainer_files
from pipeline.outputs.docs import docs_files
from pipeline.outputs.generated import Generated
from pipeline.outputs.image_catalog import image_catalog_files
from pipeline.outputs.kubernetes.helm import helm_files
from pipeline.outputs.kubernetes.kustomize import kubernetes_files
from pipeline.outputs.openshell import openshell_files
from pipeline.outputs.sandbox_kit import sandbox_files
from pipeline.outputs.stacks import compose_files
from pipeline.outputs.subject import Subject

Maker = Callable[[Subject], tuple[Generated, ...]]

MAKERS: Mapping[str, Maker] = MappingProxyType(
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
PAGES: Mapping[str, Maker] = MappingProxyType({"docs": docs_files})
"""The same for pages, which tell of what the others make."""


def make(subject: Subject, only: tuple[str, ...]) -> dict[str, tuple[Generated, ...]]:
    """Return the files of each sort in `only`, all where it is empty."""
    wanted = set(only) or {*MAKERS, *PAGES}
    telling = bool(wanted.intersection(PAGES))
    made = {name: maker(subject) for name, maker in MAKERS.items() if telling or name in wanted}
    told = replace(subject, files=tuple(sorted(file.path for files in made.values() for file in files)))
    pages = {name: maker(told) for name, maker in PAGES.items() if name in wanted}
    return {name: files for name, files in {**made, **pages}.items() if name in wanted}
