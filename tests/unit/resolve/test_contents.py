"""What tar says of an archive, and how two archives differ."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import anyio

from pipeline.digest import digest_bytes
from pipeline.errors import Location
from pipeline.graph import State, layout
from pipeline.graph.ops import Copy, Files, Http, Run
from pipeline.platform import AMD64, Platform
from pipeline.resolve.contents import Entry, FilesDiff, compare, list_archives, read_listing
from pipeline.resolve.pins import ArchivePin

HERE = Location("definitions/x.yaml", 7, 7)
LISTING = r"""drwxr-xr-x 0/0               0 1985-10-26 08:15 package/
-rw-r--r-- 0/0             203 1985-10-26 08:15 package/package.json
-rwxr-xr-x 1000/1000      3103 2026-01-01 08:15 ./package/bin/a tool
-rw-r--r-- 0/0               7 1985-10-26 08:15 package/new\nline -> x
lrwxrwxrwx 0/0               0 1985-10-26 08:15 package/link -> bin/a tool
hrw-r--r-- 0/0               0 1985-10-26 08:15 package/hard link to package/package.json
"""


def test_a_listing_holds_files_by_their_path_below_the_one_folder() -> None:
    """Whatever is in their names."""
    assert read_listing(LISTING) == {
        "package.json": Entry(203),
        "bin/a tool": Entry(3103, program=True),
        r"new\nline -> x": Entry(7),
        "link": Entry(0),
        "hard": Entry(0),
    }


def test_what_came_what_went_and_what_may_now_be_run() -> None:
    """A file that became a program is as new as a new one."""
    before = {"gone": Entry(1), "same": Entry(2), "grown": Entry(3), "script": Entry(4), "tool": Entry(5, program=True)}
    after = {
        "same": Entry(2),
        "grown": Entry(4),
        "script": Entry(4, program=True),
        "tool": Entry(5, program=True),
        "new/tool": Entry(6, program=True),
        "new/text": Entry(7),
    }

    assert compare(before, after) == FilesDiff(
        added=("new/text", "new/tool"), removed=("gone",), resized=("grown",), programs=("new/tool", "script"), kept=4
    )


def test_archives_are_listed_in_one_step_from_their_pinned_bytes() -> None:
    """What is read is what was locked, and nothing else."""
    asked: list[State] = []
    pins = [
        ArchivePin(
            package=name,
            path=f"{name}/-/{name}-1.0.0.tgz",
            integrity="sha512-" + base64.b64encode(name.encode()).decode(),
            sha256=digest_bytes(name.encode()),
            size=1,
        )
        for name in ("a", "b")
    ]

    async def solve(state: State, _platform: Platform) -> Mapping[str, bytes]:
        asked.append(state)
        return {
            copy.path.removeprefix(
                "/in/"
            ): f"-rw-r--r-- 0/0 1 2026-01-01 00:00 package/{copy.state.op.url[-11]}".encode()
            for copy in copies(state)
            if isinstance(copy.state.op, Http)
        }

    listed = anyio.run(list_archives, pins, layout(digest_bytes(b"tools")), AMD64, solve, HERE)

    assert listed == {pins[0].path: {"a": Entry(1)}, pins[1].path: {"b": Entry(1)}}
    (state,) = asked
    assert {copy.state.op.checksum for copy in copies(state) if isinstance(copy.state.op, Http)} == {
        pin.sha256 for pin in pins
    }


def copies(state: State) -> list[Copy]:
    """Return how the step puts the archives side by side."""
    assert isinstance(state.op, Run)
    (mount,) = state.op.mounts
    assert isinstance(mount.source.op, Files)
    return [action for action in mount.source.op.actions if isinstance(action, Copy)]
