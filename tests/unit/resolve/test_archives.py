"""Archives are looked into once, in the engine, and refused where they are not what the registry says."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

import anyio
import pytest

from pipeline.digest import digest_bytes
from pipeline.errors import ExitCode, IntegrityError, Location
from pipeline.graph import State, layout
from pipeline.graph.ops import Copy, Files, Http, Run
from pipeline.platform import AMD64, Platform
from pipeline.resolve.archives import pin_archives
from pipeline.resolve.npm import Candidate
from pipeline.resolve.pins import ArchivePin

HERE = Location("definitions/x.yaml", 7, 7)
TOOLS = layout(digest_bytes(b"tools"))


def candidate(package: str) -> Candidate:
    """Return an archive whose bytes are the name of its package."""
    digest = base64.b64encode(hashlib.sha512(package.encode()).digest()).decode()
    return Candidate(package, f"{package}/-/{package}-1.0.0.tgz", f"sha512-{digest}")


def copies(state: State) -> list[Copy]:
    """Return how the step puts the archives side by side."""
    assert isinstance(state.op, Run)
    (mount,) = state.op.mounts
    assert isinstance(mount.source.op, Files)
    return [action for action in mount.source.op.actions if isinstance(action, Copy)]


def pinned(
    *candidates: Candidate, served: Mapping[str, bytes] | None = None, folder: str = "package"
) -> tuple[Mapping[Candidate, ArchivePin], State]:
    """Pin with an engine that does what the step says; `served` replaces the bytes of some packages."""
    asked: list[State] = []

    async def solve(state: State, platform: Platform) -> Mapping[str, bytes]:
        asked.append(state)
        lines = []
        for copy in copies(state):
            assert isinstance(copy.state.op, Http)
            package = copy.state.op.url.split("/")[3]
            data = (served or {}).get(package, package.encode())
            sha512, sha256 = hashlib.sha512(data).hexdigest(), hashlib.sha256(data).hexdigest()
            lines.append(f"{copy.path.removeprefix('/in/')} {sha512} {sha256} {len(data)} {folder}")
        return {"digests": "\n".join([*lines, ""]).encode()}

    pins = anyio.run(pin_archives, candidates, TOOLS, AMD64, solve, HERE)
    return pins, asked[0]


def test_pins_have_the_sha256_and_size_of_what_was_fetched() -> None:
    """All of them in one step."""
    pins, state = pinned(candidate("node-x64"), candidate("node-arm64"), candidate("npm"))

    arm = pins[candidate("node-arm64")]
    assert (arm.package, arm.sha256, arm.size) == ("node-arm64", digest_bytes(b"node-arm64"), 10)
    assert len(copies(state)) == len(pins) == 3
    assert (state.name, state.location) == ("check archives", HERE)


def test_an_archive_that_two_packages_share_is_fetched_once() -> None:
    """As bun for two commands."""
    _, state = pinned(candidate("npm"), candidate("npm"))

    assert len(copies(state)) == 1


def test_the_folder_inside_an_archive_is_whatever_its_author_chose() -> None:
    """Most say `package`; DefinitelyTyped, for one, does not, and a name may have a space."""
    pins, _ = pinned(candidate("types"), folder="node v1")

    assert pins[candidate("types")].folder == "node v1"


def test_other_bytes_than_published_are_refused() -> None:
    """Whoever changed them: registry, mirror or proxy."""
    with pytest.raises(
        IntegrityError, match=r"npm/-/npm-1\.0\.0\.tgz is not what the registry says it is: got sha512-"
    ) as caught:
        pinned(candidate("node"), candidate("npm"), served={"npm": b"something else"})

    assert candidate("npm").integrity in caught.value.message
    assert caught.value.exit_code is ExitCode.INTEGRITY
    assert caught.value.location == HERE
    assert "mirror or proxy" in caught.value.remedy
