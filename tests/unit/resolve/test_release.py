"""What about a new release a person should look at, and what is no news."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.resolve.release import Concern, Fact, Part, Release, concerns

OLD = Part("tool", publishers=frozenset({"ann", "bob"}), scripts={"install": "old"}, attested=True)


def release(*parts: Part) -> Release:
    """Return a release of `tool` of these packages."""
    return Release("tool", "1.0.0", parts)


CHANGES: dict[str, tuple[dict[str, Any], tuple[Concern, ...]]] = {
    "nothing": ({}, ()),
    "another text of a script": ({"scripts": {"install": "new"}}, ()),
    "one script less": ({"scripts": {}}, ()),
    "one script more": (
        {"scripts": {"install": "old", "postinstall": "node x.js"}},
        (Concern(Fact.SCRIPTS, "tool", "install: old", "postinstall: node x.js"),),
    ),
    "one publisher stayed": ({"publishers": frozenset({"bob", "eve"})}, ()),
    "all publishers are others": (
        {"publishers": frozenset({"eve", "dan"})},
        (Concern(Fact.PUBLISHERS, "tool", "ann, bob", "dan, eve"),),
    ),
    "publishers are not told": ({"publishers": None}, ()),
    "provenance is lost": ({"attested": False}, (Concern(Fact.PROVENANCE, "tool", "attested", "not attested"),)),
    "deprecated": (
        {"deprecated": "use tool2"},
        (Concern(Fact.DEPRECATION, "tool", "not deprecated", "use tool2"),),
    ),
}


@pytest.mark.parametrize(("changes", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_what_changed_for_the_worse_is_a_concern(changes: dict[str, Any], expected: tuple[Concern, ...]) -> None:
    """With the old and the new value."""
    assert concerns(release(OLD), release(replace(OLD, **changes))) == expected


def test_what_was_so_before_is_no_news() -> None:
    """A locked release without provenance, of people nobody named, already deprecated."""
    before = Part("tool", deprecated="since long")

    assert concerns(release(before), release(replace(before, publishers=frozenset({"eve"})))) == ()


def test_every_package_the_files_come_from_is_looked_at() -> None:
    """The script may be in the package of one platform alone."""
    arm = replace(OLD, package="tool-arm64", scripts={})

    assert concerns(release(OLD, arm), release(OLD, replace(arm, scripts={"install": "x"}))) == (
        Concern(Fact.SCRIPTS, "tool-arm64", "none", "install: x"),
    )


@pytest.mark.parametrize(("people", "count"), [({"ann"}, 0), ({"eve"}, 1)], ids=["known", "unknown"])
def test_a_new_package_comes_from_somebody_known(people: set[str], count: int) -> None:
    """There is no older release of it to compare with, but there are those beside it."""
    new = Part("tool-riscv", publishers=frozenset(people), scripts={"install": "x"})

    assert len(concerns(release(OLD), release(OLD, new))) == count


def test_a_release_is_as_old_as_its_youngest_package() -> None:
    """And of no known age where one of them is of none."""
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)

    assert release(Part("a", first), Part("b", last)).published == last
    assert release(Part("a", first), Part("b")).published is None
    assert release().published is None
