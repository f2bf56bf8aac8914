"""Definitions as they are used: checked models that know where each of their keys was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar

from pipeline.errors import Location
from pipeline.models.document import Places
from pipeline.models.kinds import (
    Agent,
    Base,
    Combo,
    CommonTools,
    Definition,
    Matrix,
    Policy,
    Root,
    Stack,
    TagPolicy,
    Toolchain,
    Toolpack,
    Vex,
)

Kind = TypeVar("Kind", bound=Definition)


@dataclass(frozen=True, slots=True)
class Defined(Generic[Kind]):
    """A definition and where in its file everything stands."""

    model: Kind
    places: Places = field(repr=False)

    @property
    def name(self) -> str:
        """The definition's name."""
        return self.model.metadata.name

    def at(self, *path: str | int) -> Location:
        """Return the place of a key of this definition, for messages."""
        return self.places.locate(path)


Program: TypeAlias = Defined[Agent] | Defined[Toolpack]
"""What a container can run."""


@dataclass(frozen=True, slots=True)
class Definitions:
    """All definitions of a project by kind and name.

    `bases` holds everything agents are put on, with what it inherits: combos too, which `combos` has as they were
    written. Without `matrix`, every agent is put on every base it fits.
    """

    roots: Mapping[str, Defined[Root]]
    toolchains: Mapping[str, Defined[Toolchain]]
    common_tools: Mapping[str, Defined[CommonTools]]
    bases: Mapping[str, Defined[Base]]
    agents: Mapping[str, Defined[Agent]]
    combos: Mapping[str, Defined[Combo]] = field(default_factory=lambda: MappingProxyType({}))
    matrix: Defined[Matrix] | None = None
    toolpacks: Mapping[str, Defined[Toolpack]] = field(default_factory=lambda: MappingProxyType({}))
    tag_policies: Mapping[str, Defined[TagPolicy]] = field(default_factory=lambda: MappingProxyType({}))
    vex: Mapping[str, Defined[Vex]] = field(default_factory=lambda: MappingProxyType({}))
    policies: Mapping[str, Defined[Policy]] = field(default_factory=lambda: MappingProxyType({}))
    stacks: Mapping[str, Defined[Stack]] = field(default_factory=lambda: MappingProxyType({}))
