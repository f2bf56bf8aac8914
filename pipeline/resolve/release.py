"""What is known of a release, whatever registry it is from, and what about it a person should look at.

A registry that says nothing of something is taken at its word: it is not known, and nothing follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Part:
    """What a registry says of one package at one version; None where it does not say.

    `scripts` are those that installers run, by name; `attested` tells whether its provenance is attested.
    """

    package: str
    published: datetime | None = None
    publishers: frozenset[str] | None = None
    scripts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    attested: bool = False
    deprecated: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """A version of the package `name` and of all packages its files come from; `missing` are those without it."""

    name: str
    version: str
    parts: tuple[Part, ...] = ()
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return package and version as npm writes them."""
        return f"{self.name}@{self.version}"

    @property
    def published(self) -> datetime | None:
        """When the last of its parts was published."""
        times = [part.published for part in self.parts]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None

    @property
    def deprecated(self) -> str:
        """Why it should not be used any more; empty where it may."""
        return next((part.deprecated for part in self.parts if part.deprecated), "")

    @property
    def publishers(self) -> frozenset[str] | None:
        """Everybody who may publish any of it; None where that is not said."""
        known = [part.publishers for part in self.parts if part.publishers is not None]
        return frozenset().union(*known) if known else None

    def part(self, package: str) -> Part | None:
        """Return what is known of one of its packages."""
        return next((part for part in self.parts if part.package == package), None)


class Fact(StrEnum):
    """What of a release is compared with the one before."""

    SCRIPTS = "install scripts"
    PUBLISHERS = "publishers"
    PROVENANCE = "provenance"
    DEPRECATION = "deprecation"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Concern:
    """A fact about a new release that somebody should look at before it is taken, with its old and new value."""

    fact: Fact
    package: str
    before: str
    after: str


def concerns(old: Release, new: Release) -> tuple[Concern, ...]:
    """Return what changed for the worse from `old` to `new`."""
    return tuple(concern for part in new.parts for concern in _concerns(part, old))


def _concerns(new: Part, old: Release) -> Iterator[Concern]:
    before = old.part(new.package)
    if before and (gained := {name: text for name, text in new.scripts.items() if name not in before.scripts}):
        yield Concern(Fact.SCRIPTS, new.package, _scripts(before.scripts), _scripts(gained))
    # A package that was not there before should come from somebody who published the others.
    known = before.publishers if before else old.publishers
    if known and new.publishers is not None and not known & new.publishers:
        yield Concern(Fact.PUBLISHERS, new.package, ", ".join(sorted(known)), ", ".join(sorted(new.publishers)))
    if before and before.attested and not new.attested:
        yield Concern(Fact.PROVENANCE, new.package, "attested", "not attested")
    if before and new.deprecated and not before.deprecated:
        yield Concern(Fact.DEPRECATION, new.package, "not deprecated", new.deprecated)


def _scripts(scripts: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in sorted(scripts.items())) or "none"
