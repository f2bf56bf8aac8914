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
from pipeline.graph.ops import Http, Run
from pipeline.platform import AMD64, Platform
from pipeline.resolve.archives import pin_archives
from pipeline.resolve.npm import Candidate, Chosen
from pipeline.resolve.pins import NpmPin

HERE = Location("definitions/x.yaml", 7, 7)
TOOLS = layout(digest_bytes(b"tools"))


def candidate(package: str) -> Candidate:
    """Return an archive whose bytes are the name of its package."""
    digest = base64.b64encode(hashlib.sha512(package.encode()).digest()).decode()
    return Candidate(package, f"{package}/-/{package}-1.0.0.tgz", f"sha512-{digest}")


NODE = Chosen("node", "1.0.0", {"linux/amd64": candidate("node-x64"), "linux/arm64": candidate("node-arm64")})
NPM = Chosen("npm", "2.0.0", {"any": candidate("npm")})


def pinned(*chosen: Chosen, served: Mapping[str, bytes] | None = None) -> tuple[tuple[NpmPin, ...], State]:
    """Pin with an engine that does what the step says; `served` replaces the bytes of some packages."""
    asked: list[State] = []

    async def solve(state: State, platform: Platform) -> Mapping[str, bytes]:
        asked.append(state)
        assert isinstance(state.op, Run)
        lines = []
        for mount in state.op.mounts:
            assert isinstance(mount.source.op, Http)
            package = mount.source.op.url.split("/")[3]
            data = (served or {}).get(package, package.encode())
            sha512, sha256 = hashlib.sha512(data).hexdigest(), hashlib.sha256(data).hexdigest()
            lines.append(f"{mount.target.removeprefix('/in/')} {sha512} {sha256} {len(data)}")
        return {"digests": "\n".join([*lines, ""]).encode()}

    pins = anyio.run(pin_archives, chosen, TOOLS, AMD64, solve, HERE)
    return pins, asked[0]


def test_pins_have_the_sha256_and_size_of_what_was_fetched() -> None:
    """For each package and platform, in one step."""
    pins, state = pinned(NODE, NPM)

    assert [(pin.npm, pin.version, sorted(pin.archives)) for pin in pins] == [
        ("node", "1.0.0", ["linux/amd64", "linux/arm64"]),
        ("npm", "2.0.0", ["any"]),
    ]
    arm = pins[0].archives["linux/arm64"]
    assert (arm.package, arm.sha256, arm.size) == ("node-arm64", digest_bytes(b"node-arm64"), 10)
    assert isinstance(state.op, Run)
    assert len(state.op.mounts) == 3
    assert (state.name, state.location) == ("check archives", HERE)


def test_an_archive_that_two_packages_share_is_fetched_once() -> None:
    """As bun for two commands."""
    pins, state = pinned(NPM, Chosen("other", "2.0.0", NPM.archives))

    assert isinstance(state.op, Run)
    assert len(state.op.mounts) == 1
    assert pins[0].archives == pins[1].archives


def test_other_bytes_than_published_are_refused() -> None:
    """Whoever changed them: registry, mirror or proxy."""
    with pytest.raises(
        IntegrityError, match=r"npm/-/npm-1\.0\.0\.tgz is not what the registry says it is: got sha512-"
    ) as caught:
        pinned(NODE, NPM, served={"npm": b"something else"})

    assert candidate("npm").integrity in caught.value.message
    assert caught.value.exit_code is ExitCode.INTEGRITY
    assert caught.value.location == HERE
    assert "mirror or proxy" in caught.value.remedy
