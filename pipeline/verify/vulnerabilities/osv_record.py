"""One record of an OSV database (OSV schema 1.7, ossf.github.io/osv-schema), and whether it is about a version.

What cannot be compared counts as affected: a database that we do not understand is no reason to let something pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cmp_to_key, partial
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.verify.vulnerabilities.finding import Severity, severity_of, severity_of_score
from pipeline.verify.vulnerabilities.versions import UnknownVersionError, compare

Item = TypeVar("Item")

_NOTHING = BeforeValidator(lambda value: () if value is None else value)
_Many = Annotated[tuple[Item, ...], _NOTHING]
_Specific = Annotated[Mapping[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
_Moment = Annotated[datetime, AfterValidator(lambda moment: moment if moment.tzinfo else moment.replace(tzinfo=UTC))]
# Published because they are malicious; nobody rates them.
_MALICIOUS = "MAL-"
_DEBIAN_CVE = "DEBIAN-CVE-"
# Security advisories: one may be about several vulnerabilities, which older records have as its aliases.
_ADVISORIES = ("DSA-", "DLA-", "DTSA-")
_URGENCIES = frozenset({"unimportant", "low", "medium", "high"})
# RustSec's advisories that tell of no vulnerability (rustsec.org, `informational`); "unsound" may be one.
_REMARKS = frozenset({"notice", "unmaintained"})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Rating(_Part):
    """A CVSS vector, by its version."""

    type: str
    score: str


class Event(_Part):
    """Where a range begins or ends; one of the fields is set."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None

    @property
    def version(self) -> str:
        """The version it is about."""
        return self.introduced or self.fixed or self.last_affected or self.limit or ""


class Range(_Part):
    """Versions from one event to the next."""

    type: str
    events: _Many[Event] = ()


class PackageName(_Part):
    """A package in its ecosystem: `Debian:13`, `npm`, `PyPI`, `Go`."""

    ecosystem: str
    name: str


class Affected(_Part):
    """What of one package is affected."""

    package: PackageName | None = None
    ranges: _Many[Range] = ()
    versions: _Many[str] = ()
    severity: _Many[Rating] = ()
    ecosystem_specific: _Specific = Field(default_factory=dict)
    database_specific: _Specific = Field(default_factory=dict)

    def includes(self, ecosystem: str, version: str) -> bool:
        """Tell whether `version` is affected (the schema's evaluation algorithm)."""
        if version in self.versions:
            return True
        ranges = [item for item in self.ranges if item.type in {"ECOSYSTEM", "SEMVER"}]
        if not ranges:
            # Only listed versions count where some are; with nothing to go by, all do.
            return not self.versions
        return any(_within(item, ecosystem, version) for item in ranges)

    def fixes(self, ecosystem: str, version: str) -> tuple[str, ...]:
        """Return the versions after `version` in which it is mended, in the order of the record."""
        ends = (event.fixed for item in self.ranges if item.type != "GIT" for event in item.events if event.fixed)
        return tuple(dict.fromkeys(end for end in ends if _is_newer(ecosystem, end, version)))


class Record(_Part):
    """A vulnerability."""

    id: Annotated[str, Field(min_length=1, max_length=200)]
    modified: _Moment
    withdrawn: _Moment | None = None
    aliases: _Many[str] = ()
    upstream: _Many[str] = ()
    severity: _Many[Rating] = ()
    affected: _Many[Affected] = ()
    database_specific: _Specific = Field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """Every name of the same vulnerability; Debian's record of a CVE is that CVE."""
        if self.id.startswith(_DEBIAN_CVE):
            return frozenset((self.id, *self.aliases, *self.upstream))
        return frozenset((self.id,) if self.id.startswith(_ADVISORIES) else (self.id, *self.aliases))

    @property
    def covers(self) -> tuple[str, ...]:
        """The vulnerabilities that it is about, where it is an advisory and these have records of their own."""
        if self.id.startswith(_DEBIAN_CVE):
            return ()
        return (*self.upstream, *self.aliases) if self.id.startswith(_ADVISORIES) else self.upstream

    def about(self, ecosystem: str, name: str, release: str) -> Iterator[Affected]:
        """Yield what it says of a package; `release` is that of a distribution (`13`), "" where there is none."""
        wanted = {ecosystem, f"{ecosystem}:{release}"} if release else {ecosystem}
        for item in self.affected:
            package = item.package
            if package and package.ecosystem in wanted and comparable_name(ecosystem, package.name) == name:
                yield item

    def rating(self, affected: Affected) -> tuple[Severity, str]:
        """Return how bad it is, the worst of what is said of it, and its CVSS base score."""
        scores = [score for rating in (*self.severity, *affected.severity) if (score := _score(rating)) is not None]
        words = [str(part.get("severity") or "") for part in (self.database_specific, affected.database_specific)]
        urgency = str(affected.ecosystem_specific.get("urgency") or "")
        if urgency in _URGENCIES:
            words.append("low" if urgency == "unimportant" else urgency)
        found = [*map(severity_of_score, scores), *map(severity_of, words)]
        if affected.database_specific.get("informational") in _REMARKS:
            found.append(Severity.NONE)
        if self.id.startswith(_MALICIOUS):
            found.append(Severity.CRITICAL)
        return max(found, default=Severity.UNKNOWN), f"{max(scores):.1f}" if scores else ""


def comparable_name(ecosystem: str, name: str) -> str:
    """Return a package's name in the one spelling by which it is looked for."""
    if ecosystem == "PyPI":
        from packaging.utils import canonicalize_name

        return canonicalize_name(name)
    if ecosystem == "NuGet":
        return name.lower()
    return name


def _within(item: Range, ecosystem: str, version: str) -> bool:
    try:
        inside = False
        for event in sorted(item.events, key=cmp_to_key(partial(_order, ecosystem))):
            if event.introduced == "0":
                inside = True
                continue
            place = compare(ecosystem, version, event.version)
            if event.introduced is not None:
                inside = inside or place >= 0
            elif place > 0 or (place == 0 and event.last_affected is None):
                inside = False
    except UnknownVersionError:
        return True
    return inside


def _order(ecosystem: str, first: Event, second: Event) -> int:
    """Return how two events follow each other; 0 is the beginning of all versions, whatever they look like."""
    start, other = first.introduced == "0", second.introduced == "0"
    if start or other:
        return other - start
    return compare(ecosystem, first.version, second.version) or _rank(first) - _rank(second)


def _rank(event: Event) -> int:
    """Return the order of events at one version: it is mended, it breaks again, and it is the last one broken."""
    return 1 if event.introduced is not None else 2 * (event.last_affected is not None)


def _is_newer(ecosystem: str, version: str, than: str) -> bool:
    try:
        return compare(ecosystem, version, than) > 0
    except UnknownVersionError:
        return True


def _score(rating: Rating) -> float | None:
    """Return the base score of a vector; None where it is of a kind we cannot read."""
    import cvss

    kinds = {"CVSS_V2": cvss.CVSS2, "CVSS_V3": cvss.CVSS3, "CVSS_V4": cvss.CVSS4}
    if rating.type not in kinds:
        return None
    try:
        return float(kinds[rating.type](rating.score).base_score)
    except (cvss.CVSSError, ValueError, TypeError):
        return None
