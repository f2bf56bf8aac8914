"""The pure parts of getting BuildKit's programs: versions of Go, places in the cache, and archives."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.engine.buildkit import programs
from pipeline.engine.buildkit.programs import cached_buildctl, cached_programs, needed_go, parse_go_version
from pipeline.errors import EngineError
from pipeline.settings import BUILDKIT_VERSION, Settings


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64\n", (1, 26, 8)),
        ("go version go1.27 linux/arm64\n", (1, 27, 0)),
        ("go version go1.27rc1 linux/arm64\n", (1, 27, 0)),
        ("module example.dev/engine\n\ngo 1.26.3\n", (1, 26, 3)),
        ("go version devel +abc123 linux/amd64", None),
        ("", None),
    ],
)
def test_the_version_of_go_is_read_from_what_go_prints(text: str, version: tuple[int, int, int] | None) -> None:
    """Release, release candidate and go.mod have a version; a development build has none."""
    assert parse_go_version(text) == version


def test_the_shipped_module_says_which_go_it_needs() -> None:
    """The oldest Go that will do is read from the go.mod that is built."""
    assert needed_go() >= (1, 26, 0)


def test_an_empty_cache_has_no_programs(tmp_path: Path) -> None:
    """Nothing is there before it was made."""
    settings = Settings(cache=tmp_path)

    assert cached_programs(settings) is None
    assert cached_buildctl(settings) is None


def test_one_program_of_two_is_not_enough(tmp_path: Path) -> None:
    """A client alone is found as a client only."""
    settings = Settings(cache=tmp_path)
    client = tmp_path / "engine" / BUILDKIT_VERSION / "bin" / "buildctl"
    client.parent.mkdir(parents=True)
    client.touch()

    assert cached_programs(settings) is None
    assert cached_buildctl(settings) == client


def test_a_configured_client_is_used_with_the_cached_daemon(tmp_path: Path) -> None:
    """AGC_BUILDCTL replaces the client, not the daemon."""
    client = tmp_path / "own-buildctl"
    client.touch()
    settings = Settings.model_validate({"cache": tmp_path, "engine": {"buildctl": client}})
    daemon = tmp_path / "engine" / BUILDKIT_VERSION / "bin" / "buildkitd"
    daemon.parent.mkdir(parents=True)
    daemon.touch()

    found = cached_programs(settings)

    assert found is not None
    assert (found.buildctl, found.buildkitd) == (client, daemon)


def test_an_archive_without_the_daemon_is_refused(tmp_path: Path) -> None:
    """The error names what is missing."""
    archive = tmp_path / "archive.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("bin/buildctl"), io.BytesIO())

    with pytest.raises(EngineError, match="buildkitd"):
        programs._unpack(archive, tmp_path)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """A login page instead of an archive is told apart from a crash."""
    archive = tmp_path / "archive.tar.gz"
    archive.write_text("<html>")

    with pytest.raises(EngineError, match="no release archive"):
        programs._unpack(archive, tmp_path)


@pytest.mark.parametrize("engine", [{"archive": "https://host.example/a.tar.gz"}, {"archive-sha256": "0" * 64}])
def test_an_archive_needs_its_checksum(tmp_path: Path, engine: dict[str, str]) -> None:
    """One without the other is refused when the settings are read."""
    with pytest.raises(ValidationError, match="belong together"):
        Settings.model_validate({"cache": tmp_path, "engine": engine})
