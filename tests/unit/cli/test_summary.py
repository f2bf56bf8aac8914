"""What a person reads at the end of a build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipeline.cli.output import text_of
from pipeline.cli.summary import build_summary
from pipeline.digest import Digest
from pipeline.platform import AMD64
from pipeline.stages.report import ImageReport, LayerReport, PlatformReport
from pipeline.verify.smoke import SmokeReport, SmokeResult

LAYERS = (
    LayerReport("root debian-trixie", Digest("sha256:1"), 43_123_456, cached=True),
    LayerReport("toolchain node", Digest("sha256:2"), 52_000_000, cached=False),
    LayerReport("config", Digest("sha256:3"), 512, cached=False),
)
GRAPH = Digest("sha256:" + "b2" * 32)
BUILT = ImageReport(
    "node-bun-claude",
    Digest("sha256:" + "a1" * 32),
    GRAPH,
    tuple(
        PlatformReport(platform, Digest("sha256:" + digit * 64), GRAPH, LAYERS)
        for platform, digit in (("linux/amd64", "c"), ("linux/arm64", "d"))
    ),
    (
        SmokeReport(
            "node-bun-claude",
            AMD64,
            tuple(SmokeResult("agents/claude", f"test-{number}", passed=True) for number in range(5)),
        ),
    ),
    {"root": 0.04, "build": 12.34, "smoke": 61.0},
    ("oci layout out/node-bun-claude",),
    "docker run -it --rm node-bun-claude",
)


def test_a_build_ends_with_all_a_person_wants_to_know(golden: Callable[[str, str], None]) -> None:
    """Name, digests, size per layer, tests, time per stage, where it went and how to run it."""
    golden("cli/summary.txt", text_of(build_summary([BUILT])))


def test_what_there_is_nothing_to_say_of_is_left_out() -> None:
    """No empty rows."""
    bare = replace(BUILT, smoke=(), seconds={}, outputs=(), command="", platforms=())

    assert text_of(build_summary([bare])).split() == ["node-bun-claude", "digest", bare.digest, "graph", GRAPH]


def test_an_untested_image_says_so() -> None:
    """Nobody takes it for one that passed."""
    shown = text_of(build_summary([replace(BUILT, smoke=(), tested=False)]))

    assert "not tested (--no-smoke)" in shown
    assert "passed" not in shown


def test_images_are_a_blank_line_apart() -> None:
    """Each begins with its name."""
    lines = text_of(build_summary([BUILT, replace(BUILT, name="other")])).splitlines()

    assert lines[lines.index("other") - 1] == ""
