"""What is in the image, layer by layer: nothing of the machine that built it, and nothing its user could change."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.compose.layers import EPOCH
from pipeline.digest import Digest
from pipeline.engine.layout import blob_path
from pipeline.settings import SYSTEM_CA_BUNDLES
from tests.engine.support import CHECKOUT, IMAGE, Agc, Run, layers_of

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

# What Debian ships so: su and mount for people, the helpers of PAM and SSH for what they check or sign.
ALLOWED_TO_RISE = {
    "usr/bin/chage",
    "usr/bin/chfn",
    "usr/bin/chsh",
    "usr/bin/expiry",
    "usr/bin/gpasswd",
    "usr/bin/mount",
    "usr/bin/newgrp",
    "usr/bin/passwd",
    "usr/bin/ssh-agent",
    "usr/bin/su",
    "usr/bin/umount",
    "usr/lib/openssh/ssh-keysign",
    "usr/sbin/unix_chkpwd",
}
WRITABLE_BY_ALL = {"tmp", "var/tmp", "run/lock"}
NO_CONTENT = re.compile(
    r"""(
    .*/(_cacache|_logs|__pycache__)/.*         # npm's cache and logs, Python's
    | (root|home/dev)/\.(npm|cache|config)/.*
    | var/cache/apt/.*\.(deb|bin)
    | var/lib/apt/lists/[^/]+(?<!partial)
    | var/log/.+\.log.*
    | run/secrets.* | run/agc.* | tmp/.+ | var/tmp/.+
    | etc/(passwd|shadow|group|gshadow)-
    )""",
    re.VERBOSE,
)
FILLED_IN = {"etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/machine-id"}
SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|API_KEY|CREDENTIAL")
SHORTEST_SECRET = 12
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s+(.*?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a layer."""

    layer: str
    name: str
    mode: int
    owner: tuple[int, int]
    mtime: float
    is_file: bool
    text: str | None

    def __str__(self) -> str:
        """Return what a failed assertion shows."""
        return f"{self.layer}: {self.name} {oct(self.mode)} {self.owner} {self.mtime}"


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, and the command that prints its tar."""

    component: str
    command: tuple[str, ...]

    def open(self) -> subprocess.Popen[bytes]:
        """Unpack it into a pipe."""
        return subprocess.Popen(self.command, stdout=subprocess.PIPE)

    def members(self) -> Iterator[Member]:
        """Yield its entries, with the content of the few files that a runtime fills in."""
        with self.open() as unpacked, tarfile.open(fileobj=unpacked.stdout, mode="r|") as tar:
            for entry in tar:
                name = entry.name.removeprefix("./").rstrip("/")
                file = tar.extractfile(entry) if name in FILLED_IN or name == "etc/passwd" else None
                text = file.read().decode() if file else None
                owner, plain = (entry.uid, entry.gid), entry.isreg() or entry.isdir()
                yield Member(self.component, name, entry.mode, owner, entry.mtime, plain, text)

    def find(self, *words: str) -> set[str]:
        """Return which of `words` are in it, in names, in content or across both."""
        with self.open() as unpacked, tempfile.NamedTemporaryFile("w") as patterns:
            patterns.write("".join(f"{word}\n" for word in words))
            patterns.flush()
            done = subprocess.run(
                ["grep", "--text", "--only-matching", "--fixed-strings", f"--file={patterns.name}"],
                stdin=unpacked.stdout,
                capture_output=True,
                text=True,
                check=False,
                env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
            )
        assert done.returncode in {0, 1}, done.stderr
        return set(done.stdout.splitlines())


@pytest.fixture(scope="module")
def layers(
    agc: Agc, first: Run, image_layout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers of the image; where zstd is not installed, of the same image written without compression."""
    if shutil.which("zstd"):
        unpack = ("zstd", "--decompress", "--stdout", "--quiet")
        yield _layers(image_layout, layers_of(first.image), unpack)
        return
    folder = tmp_path_factory.mktemp("uncompressed")
    image = agc("build", IMAGE, "--json", "--compression", "uncompressed", "-o", f"oci:{folder / 'out'}").image
    yield _layers(folder / "out", layers_of(image), ("cat",))
    shutil.rmtree(folder)


def _layers(layout: Path, digests: Mapping[str, str], unpack: tuple[str, ...]) -> tuple[Layer, ...]:
    return tuple(
        Layer(component, (*unpack, str(blob_path(layout, Digest(digest))))) for component, digest in digests.items()
    )


@pytest.fixture(scope="module")
def members(layers: tuple[Layer, ...]) -> tuple[Member, ...]:
    """Return every entry of every layer."""
    return tuple(member for layer in layers for member in layer.members())


@pytest.fixture(scope="module")
def config(first: Run, image_layout: Path) -> Any:
    """Return the image's config."""
    manifest = json.loads(blob_path(image_layout, Digest(first.image["digest"])).read_bytes())
    return json.loads(blob_path(image_layout, Digest(manifest["config"]["digest"])).read_bytes())


def own_certificates() -> list[str]:
    """Return a line of each certificate that this machine trusts and Debian does not ship."""
    bundle = next((path for path in SYSTEM_CA_BUNDLES if path.is_file()), None)
    trusted = set(map(str.strip, CERTIFICATE.findall(bundle.read_text()))) if bundle else set()
    shipped = {
        certificate.strip()
        for path in Path("/usr/share/ca-certificates").rglob("*.crt")
        for certificate in CERTIFICATE.findall(path.read_text(errors="replace"))
    }
    return [certificate.splitlines()[2] for certificate in trusted - shipped] if shipped else []


def needles(agc: Agc) -> dict[str, str]:
    """Return what may be in no layer: a word for it, and the text."""
    found = {f"certificate {at}": line for at, line in enumerate(own_certificates())}
    found |= {"proxy of another build": "hush-hush", "secret id": "agc-ca\n", "cache": str(agc.cache)}
    found["checkout"] = str(CHECKOUT) + "/"
    found["default cache"] = ".cache/agc/"
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and (SECRET_NAMES.search(name) or name.lower().endswith("_proxy")):
            found[name] = value
    if len(socket.gethostname()) >= SHORTEST_SECRET:
        found["host name"] = socket.gethostname()
    return found


def test_the_layers_hold_nothing_of_this_machine(agc: Agc, layers: tuple[Layer, ...]) -> None:
    """No certificate, proxy, token, host name or path of this machine is in the bytes of any layer."""
    words = {text.strip(): name for name, text in needles(agc).items()}

    found = {layer.component: {words[word] for word in layer.find(*words)} for layer in layers}

    assert found == {layer.component: set() for layer in layers}


def test_the_config_holds_nothing_of_this_machine(agc: Agc, config: Any) -> None:
    """The config names neither this machine nor a date of today."""
    text = json.dumps(config)

    assert [name for name, needle in needles(agc).items() if needle.strip() in text] == []
    assert set(re.findall(r"20\d\d-\d\d-\d\dT", text)) == {"2026-01-01T"}


def test_the_search_finds_what_is_there(layers: tuple[Layer, ...]) -> None:
    """The same search for a certificate authority that Debian ships finds it, so the test above can fail."""
    authority = "ISRG_Root_X1"

    assert {layer.component for layer in layers if layer.find(authority)} == {"roots/debian-trixie"}


def test_no_file_is_newer_than_the_epoch(members: tuple[Member, ...]) -> None:
    """One timestamp for all we write; what Debian packed keeps its own, older one."""
    assert [str(member) for member in members if member.mtime > EPOCH] == []
    ours = [member for member in members if not member.layer.startswith("roots/")]
    assert {member.mtime for member in ours} == {EPOCH}


def test_no_cache_log_or_backup_is_left(members: tuple[Member, ...]) -> None:
    """What apt, npm and dpkg keep for themselves is no content."""
    assert [str(member) for member in members if NO_CONTENT.fullmatch(member.name)] == []


def test_what_a_runtime_fills_in_is_empty(members: tuple[Member, ...]) -> None:
    """Host name, hosts, name servers and machine id are those of the container, not of who built it."""
    assert [str(member) for member in members if member.name in FILLED_IN and member.text] == []


def test_programs_belong_to_root_alone(members: tuple[Member, ...]) -> None:
    """All of /opt and every command is root's, and no group or other user may write it."""
    programs = [member for member in members if re.match(r"opt/|usr/|opt$|etc/", member.name) and member.is_file]

    assert any(member.name.startswith("opt/agents/claude/") for member in programs)
    assert [str(member) for member in programs if member.mode & 0o022 and not member.mode & stat.S_ISVTX] == []
    mine = [member for member in members if member.name.startswith(("opt/", "usr/local/bin"))]
    assert [str(member) for member in mine if member.owner != (0, 0)] == []


def test_only_known_folders_are_open_to_all(members: tuple[Member, ...]) -> None:
    """World-writable are the temporary folders, and they are sticky."""
    open_to_all = [member for member in members if member.mode & 0o002 and member.is_file]

    assert {member.name for member in open_to_all} <= WRITABLE_BY_ALL
    assert all(member.mode & stat.S_ISVTX for member in open_to_all)


def test_nothing_unknown_rises_to_root(members: tuple[Member, ...]) -> None:
    """Set-uid and set-gid programs are those Debian ships, and none of them came with an agent."""
    rising = {member.name for member in members if member.mode & (stat.S_ISUID | stat.S_ISGID) and member.is_file}
    folders = {name for name in rising if name.startswith("var/")}

    assert rising - folders <= ALLOWED_TO_RISE
    assert folders <= {"var/local", "var/mail"}


def test_the_home_belongs_to_its_user(members: tuple[Member, ...]) -> None:
    """Home, config volume and workspace are the user's own, in every layer that has them."""
    theirs = [member for member in members if re.match(r"home/dev(/|$)|workspace(/|$)", member.name)]

    assert {"home/dev", "home/dev/.claude", "workspace"} <= {member.name for member in theirs}
    assert [str(member) for member in theirs if member.owner != (1000, 1000)] == []
    users = [member.text for member in members if member.name == "etc/passwd" and member.text]
    assert "dev:x:1000:1000::/home/dev:/bin/bash" in users[-1]


def test_the_config_says_how_to_run_it(config: Any) -> None:
    """User, init, command, workspace, volume, health check, and updates switched off."""
    inner = config["config"]

    assert inner["User"] == "1000:1000"
    assert inner["Entrypoint"] == ["/usr/bin/tini", "--"]
    assert inner["Cmd"] == ["claude"]
    assert inner["WorkingDir"] == "/workspace"
    assert inner["Volumes"] == {"/home/dev/.claude": {}}
    assert inner["Healthcheck"]["Test"] == ["CMD", "claude", "--version"]
    assert {"DISABLE_AUTOUPDATER=1", "LANG=C.UTF-8", "HOME=/home/dev"} <= set(inner["Env"])
    assert not any(SECRET_NAMES.search(entry.partition("=")[0]) for entry in inner["Env"])
    assert inner["Labels"]["org.opencontainers.image.title"] == IMAGE
