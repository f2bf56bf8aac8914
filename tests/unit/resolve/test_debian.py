"""What apt says, turned into pins."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import pytest

from pipeline.digest import Digest
from pipeline.errors import BuildError, FailedStep, Location, ResolveError
from pipeline.graph import Network, State, layout
from pipeline.graph.ops import Run
from pipeline.platform import AMD64, Platform
from pipeline.resolve.debian import Resolution, parse_resolution, resolve_packages
from pipeline.resolve.pins import DebPin
from tests.unit.compose.samples import definitions, root_digest

HERE = Location("definitions/bases/x.yaml", 6, 1)
MAIN, SECURITY = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
SHA = "0123456789abcdef" * 4

URIS = f"""\
'{MAIN}/pool/main/g/git/git_2.47.3-0%2bdeb13u1_amd64.deb' git_1%3a2.47.3-0+deb13u1_amd64.deb 8862264 SHA256:{SHA}
'{SECURITY}/pool/updates/main/c/curl/curl_8.14.1-2%2bdeb13u7_amd64.deb' curl_8.14.1_amd64.deb 270212 SHA256:{SHA}
'{MAIN}/pool/main/o/openssl/libssl3t64_3.5.1%7erc1-1_amd64.deb' libssl3t64_3.5.1~rc1-1_amd64.deb 2450000 SHA256:{SHA}
'{MAIN}/pool/main/a/adduser/adduser_3.152_all.deb' adduser_3.152_all.deb 190932 SHA256:{SHA}
"""
SHOWN = f"""\
Package: git
Version: 1:2.47.3-0+deb13u1
Installed-Size: 50000
Architecture: amd64
Depends: libc6 (>= 2.38), perl, Filename: no field
Description-en: fast, scalable, distributed revision control system
 Git is popular.
 Filename: pool/main/not/this.deb
Filename: pool/main/g/git/git_2.47.3-0+deb13u1_amd64.deb
Size: 8862264
SHA256: {SHA}

Package: curl
Version: 8.14.1-2+deb13u7
Architecture: amd64
Filename: pool/updates/main/c/curl/curl_8.14.1-2+deb13u7_amd64.deb
Size: 270212
SHA256: {SHA}

Package: libssl3t64
Version: 3.5.1~rc1-1
Architecture: amd64
Filename: pool/main/o/openssl/libssl3t64_3.5.1~rc1-1_amd64.deb
Size: 2450000
SHA256: {SHA}

Package: adduser
Version: 3.152
Architecture: all
Filename: pool/main/a/adduser/adduser_3.152_all.deb
Size: 190932
SHA256: {SHA}

Package: adduser
Version: 3.151
Architecture: all
Filename: pool/main/a/adduser/adduser_3.151_all.deb
Size: 1
SHA256: {SHA}
"""


TOOLS = "git=1:2.47.3-0+deb13u1\nadduser=3.152\n"


def parsed(uris: str = URIS, shown: str = SHOWN, mirrors: tuple[str, str] = (MAIN, SECURITY)) -> tuple[DebPin, ...]:
    """Return the pins of what apt wrote."""
    return parse_resolution(written(uris=uris, shown=shown), mirrors, HERE).packages


def written(uris: str = URIS, shown: str = SHOWN, tools: str = TOOLS) -> Mapping[str, bytes]:
    """Return the files that the step writes."""
    return {"uris": uris.encode(), "shown": shown.encode(), "tools": tools.encode()}


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        (TOOLS, ("adduser", "git")),
        ("", ()),
        (TOOLS + "mawk=1.3.4\n", ()),
        ("git=1:2.47.3-0+deb13u2\n", ()),
    ],
    ids=["a part", "none", "not all of it is added", "another version is added"],
)
def test_common_tools_are_told_apart_where_they_stand_by_themselves(tools: str, names: tuple[str, ...]) -> None:
    """What the tools alone need is a layer of its own only if the base would have added just that."""
    assert parse_resolution(written(tools=tools), (MAIN, SECURITY), HERE).tools == names


def test_apt_output_becomes_pins_sorted_by_name() -> None:
    """Versions keep their epoch, paths are as the archive has them, not as a URL spells them."""
    assert [(pin.name, pin.version, pin.architecture, pin.archive, pin.path, pin.size) for pin in parsed()] == [
        ("adduser", "3.152", "all", "main", "pool/main/a/adduser/adduser_3.152_all.deb", 190932),
        (
            "curl",
            "8.14.1-2+deb13u7",
            "amd64",
            "security",
            "pool/updates/main/c/curl/curl_8.14.1-2+deb13u7_amd64.deb",
            270212,
        ),
        ("git", "1:2.47.3-0+deb13u1", "amd64", "main", "pool/main/g/git/git_2.47.3-0+deb13u1_amd64.deb", 8862264),
        ("libssl3t64", "3.5.1~rc1-1", "amd64", "main", "pool/main/o/openssl/libssl3t64_3.5.1~rc1-1_amd64.deb", 2450000),
    ]
    assert {pin.sha256 for pin in parsed()} == {Digest(f"sha256:{SHA}")}


def test_mirrors_leave_no_trace() -> None:
    """Whoever resolves where, the pins are the same; a slash at the end is no matter."""
    uris = URIS.replace(SECURITY, "https://mirror/deb/sec").replace(MAIN, "https://mirror/deb")

    assert parsed(uris, SHOWN, ("https://mirror/deb/", "https://mirror/deb/sec/")) == parsed()


def test_nothing_to_install_is_no_pin() -> None:
    """A root may have it all."""
    assert parsed("", "") == ()


@pytest.mark.parametrize(
    "shown", ["", SHOWN.replace("SHA256:", "MD5sum:"), SHOWN.replace("Filename: pool", "File: pool")]
)
def test_a_package_without_a_checksum_is_refused(shown: str) -> None:
    """What cannot be checked is not fetched."""
    with pytest.raises(
        ResolveError, match=r"apt names no checksum for pool/main/a/adduser/adduser_3\.152_all\.deb"
    ) as caught:
        parsed(URIS, shown)

    assert caught.value.location == HERE


def resolved(solve: object) -> Resolution:
    """Resolve git on a root with `solve` as the engine."""

    async def run() -> Resolution:
        root = layout(root_digest("bootstrap", AMD64))
        spec = definitions().roots["tiny"].model.spec
        packages, tools = ["git", "jq"], ["adduser", "git"]
        return await resolve_packages(root, spec, packages, tools, (MAIN, SECURITY), AMD64, solve, HERE)  # type: ignore[arg-type]

    return anyio.run(run)


def test_apt_runs_in_the_root_with_the_network_and_the_mirrors() -> None:
    """For the platform asked for, named for whoever watches."""
    asked: list[tuple[State, Platform]] = []

    async def solve(state: State, platform: Platform) -> Mapping[str, bytes]:
        asked.append((state, platform))
        return written()

    assert len(resolved(solve).packages) == 4
    state, platform = asked[0]
    assert isinstance(state.op, Run)
    assert state.op.args[3:] == ("sh", MAIN, SECURITY, "trixie", "adduser git", "git", "jq")
    assert state.op.network is Network.HOST
    assert (state.op.output, platform, state.location) == ("/out", AMD64, HERE)
    assert state.name == "resolve Debian packages on linux/amd64"


LOG = ("Reading package lists...", "E: Unable to locate package gti", "W: odd")
FAILURES = {
    "no archive": (
        FailedStep("s", 90, ("E: The repository has no Release file.",)),
        "the Debian archive could not be read: The repository has no Release file.",
        "check network, proxy and mirrors: agc doctor",
    ),
    "no package": (
        FailedStep("s", 91, LOG),
        "apt cannot install these packages: Unable to locate package gti; W: odd",
        "check the package names",
    ),
    "other exit": (FailedStep("s", 2, LOG), "resolving Debian packages failed: the step failed", ""),
    "no step": (None, "resolving Debian packages failed: the step failed", ""),
}


@pytest.mark.parametrize(("step", "message", "remedy"), FAILURES.values(), ids=FAILURES.keys())
def test_apts_own_words_explain_a_failure(step: FailedStep | None, message: str, remedy: str) -> None:
    """Which is whose fault shows in the exit code of the step."""

    async def solve(state: State, platform: Platform) -> Mapping[str, bytes]:
        raise BuildError("the step failed", step=step)

    with pytest.raises(ResolveError) as caught:
        resolved(solve)

    assert (caught.value.message, caught.value.remedy, caught.value.location) == (message, remedy, HERE)
