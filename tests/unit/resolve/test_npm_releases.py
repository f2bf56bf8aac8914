"""What npm's documents say of releases, and which of them come into question."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from pipeline.errors import Location, ResolveError
from pipeline.models.packages import NpmArchive
from pipeline.resolve.cooldown import Caution, Decision, Outcome
from pipeline.resolve.npm_releases import NpmLocked, decide_npm, release_of
from pipeline.resolve.release import Part

HERE = Location("definitions/x.yaml", 7, 7)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def document(ages: Mapping[str, float], latest: str = "", **entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return a full document: versions with their age in hours, and what is said of some (`v1_1_0={…}`)."""
    told = {name[1:].replace("_", "."): entry for name, entry in entries.items()}
    return {
        "dist-tags": {"latest": latest} if latest else {},
        "time": {version: (NOW - timedelta(hours=age)).isoformat() for version, age in ages.items()},
        "versions": {version: {"dist": {}, **told.get(version, {})} for version in ages},
    }


def decided(
    registry: Mapping[str, Any], locked: str = "", wanted: str = "latest", *, current: bool = True, **platforms: str
) -> tuple[Decision, list[str]]:
    """Decide about `tool`; return also what full documents were asked for."""
    asked: list[str] = []

    async def fetch(path: str) -> Any:
        return registry.get(path)

    async def history(path: str) -> Any:
        asked.append(path)
        return registry.get(path)

    data: dict[str, Any] = {"npm": "tool", "version": wanted, "binaries": {"tool": "bin/tool"}}
    if platforms:
        data["platforms"] = {f"linux/{name}": package for name, package in platforms.items()}
    pin = NpmLocked(locked, current) if locked else None
    package = NpmArchive.model_validate(data)
    return anyio.run(decide_npm, package, pin, Caution(NOW), fetch, history, HERE), asked


def picture(decision: Decision) -> tuple[Outcome, str, list[str]]:
    """Return what becomes of it, what is locked then, and what was passed over."""
    version = decision.taken.version if decision.taken else ""
    return decision.outcome, version, [item.release.version for item in decision.passed]


TOOL = {"1.0.0": 900, "1.1.0": 800, "1.2.0-rc.1": 750, "1.2.0": 48, "1.3.0": 6, "2.0.0-beta.1": 100}
CASES: dict[str, tuple[str, str, str, bool, tuple[Outcome, str, list[str]]]] = {
    # latest, locked, wanted, current: what becomes of it
    "latest is old enough": ("1.2.0", "1.0.0", "latest", True, (Outcome.MOVED, "1.2.0", [])),
    "latest is too young": ("1.3.0", "1.0.0", "latest", True, (Outcome.MOVED, "1.2.0", ["1.3.0"])),
    "only latest is newer": ("1.3.0", "1.2.0", "latest", True, (Outcome.WAITS, "1.2.0", ["1.3.0"])),
    "latest is locked": ("1.3.0", "1.3.0", "latest", True, (Outcome.STAYS, "1.3.0", [])),
    "first time": ("1.3.0", "", "latest", True, (Outcome.NEW, "1.2.0", ["1.3.0"])),
    "newer than latest is not taken": ("1.1.0", "1.0.0", "latest", True, (Outcome.MOVED, "1.1.0", [])),
    "latest went back": ("1.1.0", "1.2.0", "latest", True, (Outcome.STAYS, "1.2.0", [])),
    "latest went back, and it was not asked for before": (
        "1.1.0",
        "1.2.0",
        "latest",
        False,
        (Outcome.MOVED, "1.1.0", []),
    ),
    "latest is a preview": ("2.0.0-beta.1", "1.0.0", "latest", True, (Outcome.MOVED, "2.0.0-beta.1", [])),
    "a range": ("1.0.0", "1.0.0", "^1", True, (Outcome.MOVED, "1.2.0", ["1.3.0"])),
    "a range that what is locked is not in": ("1.0.0", "1.2.0", "~1.1", False, (Outcome.MOVED, "1.1.0", [])),
    "a range that is newly written": ("1.0.0", "1.2.0", "^1", False, (Outcome.WAITS, "1.2.0", ["1.3.0"])),
    "a version": ("1.0.0", "1.0.0", "1.3.0", False, (Outcome.MOVED, "1.3.0", [])),
    "an older version": ("1.3.0", "1.2.0", "1.0.0", False, (Outcome.MOVED, "1.0.0", [])),
    "a version that is locked": ("1.3.0", "1.0.0", "1.0.0", True, (Outcome.STAYS, "1.0.0", [])),
    "unpublished, and it may stay": ("1.3.0", "1.2.9", "latest", True, (Outcome.WAITS, "1.2.9", ["1.3.0"])),
    "unpublished, and it may not": ("1.3.0", "1.2.9", "latest", False, (Outcome.MOVED, "1.2.0", ["1.3.0"])),
}


@pytest.mark.parametrize(("latest", "locked", "wanted", "current", "expected"), CASES.values(), ids=CASES.keys())
def test_a_lock_moves_only_forward_and_not_too_soon(
    latest: str, locked: str, wanted: str, current: bool, expected: tuple[Outcome, str, list[str]]
) -> None:
    """Unless what is written in the definition asks for less."""
    decision, _ = decided({"tool": document(TOOL, latest)}, locked, wanted, current=current)

    assert picture(decision) == expected


def test_full_documents_are_not_asked_for_where_nothing_is_newer() -> None:
    """That of openclaw has 10 MB."""
    _, asked = decided({"tool": document(TOOL, "1.2.0")}, "1.2.0")

    assert asked == []


@pytest.mark.parametrize(
    ("latest", "locked", "words"),
    [
        ("1.1.0", "1.2.0", "`latest` went back to 1.1.0; to follow it, write that version in the definition"),
        ("1.3.0", "1.2.9", "the registry no longer has tool 1.2.9"),
        ("1.3.0", "1.1.0", ""),
        ("1.3.0", "1.0.0", "tool 1.0.0, which was locked, is deprecated: leaks"),
        ("1.0.0", "1.0.0", "tool 1.0.0, which was locked, is deprecated: leaks"),
    ],
)
def test_what_is_odd_is_told(latest: str, locked: str, words: str) -> None:
    """It may be a release that was withdrawn."""
    decision, _ = decided({"tool": document(TOOL, latest, v1_0_0={"deprecated": "leaks"})}, locked)

    assert decision.note == words


PLATFORMS = {
    "tool": document({"1.0.0": 900, "1.1.0": 100, "1.2.0": 90, "1.3.0": 80}, "1.3.0"),
    "tool-x64": document({"1.0.0": 900, "1.1.0": 100, "1.2.0": 90, "1.3.0": 2}),
    "tool-arm64": document({"1.0.0": 900, "1.1.0": 100, "1.3.0": 80}),
}


def test_the_packages_of_all_platforms_must_be_there_and_old_enough() -> None:
    """What is in the image comes from them."""
    decision, _ = decided(PLATFORMS, "1.0.0", amd64="tool-x64", arm64="tool-arm64")

    assert picture(decision) == (Outcome.MOVED, "1.1.0", ["1.3.0", "1.2.0"])
    assert decision.passed[0].ready == NOW + timedelta(hours=22)
    assert decision.passed[1].release.missing == ("tool-arm64",)


def test_a_package_nobody_knows_is_an_error() -> None:
    """As everywhere."""
    with pytest.raises(ResolveError, match="there is no npm package named 'tool'"):
        decided({})


def part(entry: Mapping[str, Any], time: Any = "2026-01-01T00:00:00.000Z") -> Part:
    """Read what a document says of one version."""
    wanted = NpmArchive.model_validate({"npm": "tool", "binaries": {"tool": "bin/tool"}})
    documents = {"tool": {"time": time if isinstance(time, dict) else {"1.0.0": time}, "versions": {"1.0.0": entry}}}
    return release_of(wanted, "1.0.0", documents).parts[0]


def test_everything_that_is_compared_is_read() -> None:
    """As registry.npmjs.org writes it."""
    entry = {
        "maintainers": [{"name": "ann", "email": "a@example.org"}, "bob <b@example.org>"],
        "_npmUser": {"name": "GitHub Actions", "trustedPublisher": {"id": "github"}},
        "scripts": {"postinstall": "node install.cjs", "test": "true", "prepare": "tsc"},
        "hasInstallScript": True,
        "deprecated": "use another",
        "dist": {"attestations": {"url": "https://registry.npmjs.org/-/npm/v1/attestations/tool@1.0.0"}},
    }

    assert part(entry) == Part(
        "tool",
        datetime(2026, 1, 1, tzinfo=UTC),
        frozenset({"ann", "bob", "GitHub Actions"}),
        {"postinstall": "node install.cjs"},
        attested=True,
        deprecated="use another",
    )


@pytest.mark.parametrize(
    ("entry", "time"),
    [({}, None), ({"dist": {}, "scripts": None, "maintainers": [], "deprecated": False}, "yesterday"), ({}, {})],
    ids=["nothing", "nothing of use", "no time of it"],
)
def test_what_a_mirror_leaves_out_is_not_known(entry: Mapping[str, Any], time: Any) -> None:
    """And is not taken for none."""
    assert part(entry, time) == Part("tool")


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00", "2026-01-01T01:00:00+01:00"])
def test_a_time_is_read_however_it_is_written(time: str) -> None:
    """Without a zone it is UTC."""
    assert part({}, time).published == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_script_that_is_not_named_is_one_all_the_same() -> None:
    """An abbreviated document only says that there is one."""
    assert list(part({"hasInstallScript": True}).scripts) == ["install"]
    assert part({"deprecated": True}).deprecated == "the registry does not say why"
