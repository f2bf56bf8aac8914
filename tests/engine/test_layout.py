"""Layouts and roots for real: several processes at once, and a root that is the same wherever it is made."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import anyio
import pytest

from pipeline.digest import hex_of
from pipeline.engine.bootstrap import BootstrapRequest, bootstrap
from pipeline.engine.layout import REF_NAME, blob_path, read_blob, read_manifest
from pipeline.errors import EngineError
from pipeline.platform import Platform

pytestmark = pytest.mark.engine

_ADOPT = """
import sys
from pathlib import Path
from pipeline.engine.layout import adopt, staged, write_image
layout, name = Path(sys.argv[1]), sys.argv[2]
for number in range(20):
    with staged(layout) as staging:
        digest = write_image(staging, name, {"os": "linux"}, [b"shared", f"{name} {number}".encode()])
        adopt(staging, layout, f"{name}-{number}", {"linux/amd64": digest})
"""


def test_processes_that_adopt_at_once_lose_nothing(tmp_path: Path) -> None:
    """Three writers of twenty images each: the index names all sixty, and all of them are there."""
    layout = tmp_path / "out"
    writers = [subprocess.Popen([sys.executable, "-c", _ADOPT, layout, name]) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    entries = json.loads((layout / "index.json").read_bytes())["manifests"]

    assert len({entry["annotations"][REF_NAME] for entry in entries}) == 60
    for entry in entries:
        for layer in read_manifest(layout, entry["digest"]).layers:
            read_blob(layout, layer.digest)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed")
def test_a_root_is_the_same_whoever_makes_it_and_tells_nothing_of_where(
    root_request: BootstrapRequest, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another umask, time zone, locale, home and a folder with spaces: the same digest, and no trace of the host."""
    one = anyio.run(bootstrap, root_request, platform, tmp_path / "one")
    for name, value in {"TZ": "Asia/Tokyo", "LC_ALL": "de_DE.UTF-8", "LANG": "ja_JP", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    old = os.umask(0o077)
    try:
        two = anyio.run(bootstrap, root_request, platform, tmp_path / "a folder 'with' $spaces")
    finally:
        os.umask(old)

    assert two == one
    assert one.packages["ca-certificates"]
    assert [path.name for path in (tmp_path / "one").iterdir()] == [hex_of(one.digest)]
    layer = read_manifest(tmp_path / "one" / hex_of(one.digest), one.digest).layers[0]
    with tarfile.open(blob_path(tmp_path / "one" / hex_of(one.digest), layer.digest)) as tar:
        members = {member.name.removeprefix("./"): member for member in tar}
        texts = {
            name: file.read()
            for name, member in members.items()
            if name.startswith(("etc/", "var/")) and member.isfile() and (file := tar.extractfile(member))
        }
    assert not {"etc/resolv.conf", "etc/hostname", "etc/apt/sources.list"} & set(members)
    assert max(member.mtime for member in members.values()) <= root_request.epoch
    assert root_request.archive.encode() in texts["etc/apt/sources.list.d/debian.sources"]
    host = re.compile(rb"\b" + re.escape(socket.gethostname().encode()) + rb"\b")
    # A key in base64 holds any short word by chance.
    assert not [name for name, text in texts.items() if host.search(text) and "gpg" not in name]
    assert not [name for name, text in texts.items() if str(tmp_path).encode() in text]


@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed")
def test_a_mirror_shows_only_while_the_root_is_made(
    root_request: BootstrapRequest, platform: Platform, tmp_path: Path
) -> None:
    """A mirror that does not answer is named in the error, and nothing is left behind."""
    dead = "http://127.0.0.1:1/debian"
    request = BootstrapRequest("trixie", "minbase", (), root_request.archive, root_request.security, (dead, dead), 0)
    with pytest.raises(EngineError, match=r"127\.0\.0\.1") as caught:
        anyio.run(bootstrap, request, platform, tmp_path / "roots")

    assert caught.value.remedy == "agc doctor"
    assert list((tmp_path / "roots").iterdir()) == []


@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="mmdebstrap is not installed")
def test_cancelling_leaves_no_half_of_a_root(
    root_request: BootstrapRequest, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither among the roots, nor as a temporary folder of mmdebstrap."""
    temporary = tmp_path / "tmp"
    temporary.mkdir(mode=0o1777)
    temporary.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(temporary))

    async def run() -> None:
        with anyio.move_on_after(4):
            await bootstrap(root_request, platform, tmp_path / "roots")

    anyio.run(run)
    assert list((tmp_path / "roots").iterdir()) == []
    assert list(temporary.iterdir()) == []
