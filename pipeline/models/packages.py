"""Where a component's files come from: a package of npm or PyPI, or a folder of a registry image.

Which of them an entry of `packages` is, is told by its first word: `npm`, `pypi` or `image`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from pipeline.models.values import (
    AbsolutePath,
    BinaryName,
    EnvName,
    FilePath,
    FrozenMap,
    ImageRef,
    Model,
    NpmPackage,
    PlatformName,
    PypiPackageName,
    PythonVersion,
    RelativePath,
    Specifiers,
    Unique,
    VersionRange,
)


class _Files(Model):
    to: RelativePath = ""
    """Folder below the component's own that the files go to; the component's own by default."""
    exclude: tuple[FilePath, ...] = ()
    """Paths inside the package to leave out."""
    binaries: FrozenMap[BinaryName, FilePath]
    """Command names, each with the file inside the package it runs; linked in /usr/local/bin."""

    @property
    def folder(self) -> str:
        """The folder of the package itself, below the component's own."""
        return self.to


class NpmArchive(_Files):
    """A package of the npm registry, unpacked as it was published: none of its install scripts is run.

    With `platforms`, the version is chosen from `npm`, and the archive of that version from the package named for
    each platform, which is how tools with native binaries are published. With `tree`, its dependencies come too.
    """

    key: ClassVar[str] = "npm"

    npm: NpmPackage
    """The package whose versions count."""
    version: VersionRange = "latest"
    """Which version: `latest`, an exact one, or a range as npm writes them."""
    platforms: FrozenMap[PlatformName, NpmPackage] | None = None
    """Per platform, the package that holds the files; without it, `npm` itself for all of them."""
    tree: bool = False
    """With its dependencies, in node_modules as npm lays them out. No install script is run."""
    skip_scripts: tuple[NpmPackage, ...] = ()
    """Packages of the tree whose install scripts are known not to be needed; any other script is an error."""

    @property
    def name(self) -> str:
        """What the package is called in locks and messages."""
        return self.npm

    @property
    def folder(self) -> str:
        """The folder of the package itself, below the component's own."""
        return "/".join(part for part in (self.to, f"node_modules/{self.npm}" if self.tree else "") if part)

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> NpmArchive:
        if self.tree and self.platforms:
            raise ValueError("`tree` and `platforms` exclude each other: a tree finds the packages of each platform")
        if self.skip_scripts and not self.tree:
            raise ValueError("`skipScripts` belongs to `tree`; without it no script would run anyway")
        return self


class PypiPackage(_Files):
    """A package of PyPI with its dependencies, in a virtual environment of its own. Wheels only: nothing is compiled.

    The environment uses the Python of the image, so the component requires it: `python >=3.13 <3.14`.
    """

    key: ClassVar[str] = "pypi"

    pypi: PypiPackageName
    """The package whose version counts."""
    version: Specifiers = "latest"
    """Which version: `latest`, an exact one, or specifiers as pip takes them (`>=0.42,<1`)."""
    extras: Annotated[tuple[PypiPackageName, ...], Unique] = ()
    """Its optional parts that are wanted."""
    python: PythonVersion
    """The Python it is to run on; that of the root's distribution."""

    @property
    def name(self) -> str:
        """What the package is called in locks and messages."""
        return self.pypi


class ImageFiles(_Files):
    """A folder of a registry image, copied by digest."""

    key: ClassVar[str] = "image"

    image: ImageRef
    """The image; the lock pins its digest."""
    path: AbsolutePath
    """The folder in it."""
    version_from: EnvName
    """The variable of the image's own environment that says which version it holds."""

    @property
    def name(self) -> str:
        """What the package is called in locks and messages."""
        return self.image.rpartition(":")[0]


SOURCES: Mapping[str, type[NpmArchive | PypiPackage | ImageFiles]] = MappingProxyType(
    {kind.key: kind for kind in (NpmArchive, PypiPackage, ImageFiles)}
)
"""The kinds of package, by the word that tells them apart."""


def _source(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return next((key for key in SOURCES if key in value), None)
    return getattr(value, "key", None)


Package: TypeAlias = NpmArchive | PypiPackage | ImageFiles
Packages = Annotated[
    tuple[
        Annotated[
            Annotated[NpmArchive, Tag("npm")]
            | Annotated[PypiPackage, Tag("pypi")]
            | Annotated[ImageFiles, Tag("image")],
            Discriminator(
                _source,
                custom_error_type="no_source",
                custom_error_message="a package comes from `npm`, `pypi` or an `image`",
            ),
        ],
        ...,
    ],
    Field(min_length=1),
]
"""What a component is made of; the version of the first is the component's."""
