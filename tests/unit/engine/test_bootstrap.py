"""The pure part of bootstrapping: which packages a root's tar says it has."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pipeline.engine.bootstrap import read_packages
from pipeline.errors import EngineError

STATUS = """Package: zlib1g
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 1:1.3
Description: compression
 Version: not a field
 .

Package: apt
Status: install ok installed
Architecture: amd64
Version: 3.0.4

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


def tar(tmp_path: Path, name: str, text: str) -> Path:
    """Return a tar with one file."""
    path = tmp_path / "root.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.mark.parametrize("name", ["./var/lib/dpkg/status", "var/lib/dpkg/status"])
def test_packages_are_read_from_the_database_in_the_tar(tmp_path: Path, name: str) -> None:
    """Only those installed, named as dpkg names them, sorted."""
    packages = read_packages(tar(tmp_path, name, STATUS))

    assert list(packages.items()) == [("apt", "3.0.4"), ("zlib1g:amd64", "1:1.3")]


def test_a_tar_without_a_database_is_no_root(tmp_path: Path) -> None:
    """Rather an error than a root said to be empty."""
    with pytest.raises(EngineError, match="no dpkg database"):
        read_packages(tar(tmp_path, "etc/passwd", ""))
