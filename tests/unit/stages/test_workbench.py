"""What a stage works with: the programs it finds on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.stages.workbench import _uv


def test_uv_on_the_path_does_where_its_package_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Dagger's runtime for modules, which has one of its own."""
    program = tmp_path / "uv"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert _uv() == str(program)


def test_no_uv_at_all_is_told_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only who locks a package of PyPI needs it."""
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match="needs uv") as caught:
        _uv()

    assert "agentcontainers[pypi]" in caught.value.remedy
