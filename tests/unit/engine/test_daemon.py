"""The pure parts of the embedded daemon: its configuration, its socket's place, and what its client prints."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from pipeline.engine.buildkit.daemon import CacheRecord, parse_pruned, parse_records, status
from pipeline.engine.buildkit.daemon_config import (
    config_text,
    daemon_environment,
    fingerprint,
    registry_mirrors,
    socket_path,
)
from pipeline.engine.buildkit.process import last_words, listener, mounts_below, started_ticks
from pipeline.engine.buildkit.programs import Programs
from pipeline.settings import Settings


def _settings(**more: object) -> Settings:
    return Settings.model_validate({"cache": "/cache", **more})


_PROGRAMS = Programs(Path("/bin/buildctl"), Path("/nonexistent/buildkitd"))


def test_a_short_run_folder_holds_the_socket() -> None:
    """Where the path is short enough, everything of the daemon lies together."""
    assert socket_path(Path("/cache/engine/run"), 0) == Path("/cache/engine/run/buildkitd.sock")


def test_a_long_run_folder_gets_a_short_socket_of_its_own() -> None:
    """No socket path is longer than the kernel takes, and two caches never share one."""
    one, other = (socket_path(Path("/") / (letter * 120), 1000) for letter in "ab")

    assert one != other
    assert one.parent.name.startswith("agc-1000-")
    assert len(os.fsencode(one)) <= 107


def test_the_longest_path_the_kernel_takes_is_used() -> None:
    """The limit counts bytes, not characters."""
    room = 107 - len("/") - len("/buildkitd.sock")

    assert socket_path(Path("/" + "a" * room), 0).parent.name == "a" * room
    assert socket_path(Path("/" + "ä" * room), 0).parent.name.startswith("agc-0-")


def test_the_configuration_limits_the_cache() -> None:
    """Gigabytes of the settings are bytes of the daemon's collector."""
    worker = tomllib.loads(config_text(_settings(engine={"cache-gigabytes": 8})))["worker"]["oci"]

    assert worker["gc"] is True
    assert worker["maxUsedSpace"] == "8000000000"


def test_only_mirrors_of_image_registries_reach_the_daemon() -> None:
    """URL prefixes are for package registries, which the daemon knows nothing of."""
    settings = _settings(
        mirrors={
            "docker.io": "mirror.example:5000",
            "localhost:5000": "https://cache.example/hub/",
            "https://registry.npmjs.org/": "https://npm.example/",
            "docker": "nowhere.example",
        }
    )

    assert registry_mirrors(settings) == {"docker.io": "mirror.example:5000", "localhost:5000": "cache.example/hub"}
    assert tomllib.loads(config_text(settings))["registry"] == {
        "docker.io": {"mirrors": ["mirror.example:5000"]},
        "localhost:5000": {"mirrors": ["cache.example/hub"]},
    }


def test_a_mirror_with_http_is_spoken_to_without_tls() -> None:
    """The scheme of a mirror is the only way to say so, and it belongs to the host alone."""
    settings = _settings(mirrors={"docker.io": "http://mirror.example:5000/hub", "mirror.example:5000": "b.example"})

    assert tomllib.loads(config_text(settings))["registry"] == {
        "docker.io": {"mirrors": ["mirror.example:5000/hub"]},
        "mirror.example:5000": {"mirrors": ["b.example"], "http": True},
    }


def test_the_environment_is_proxies_and_the_ca_bundle() -> None:
    """What the settings say is what the daemon gets."""
    settings = _settings(**{"ca-bundle": "/ca.pem"}, proxy={"https": "http://proxy.example:3128"})

    assert daemon_environment(settings) == {
        "https_proxy": "http://proxy.example:3128",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "SSL_CERT_FILE": "/ca.pem",
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"proxy": {"http": "http://proxy.example:3128"}},
        {"ca-bundle": "/ca.pem"},
        {"mirrors": {"docker.io": "mirror.example"}},
        {"engine": {"cache-gigabytes": 1}},
    ],
    ids=["proxy", "CA bundle", "mirror", "cache size"],
)
def test_what_a_daemon_cannot_take_up_changes_the_fingerprint(changed: dict[str, object]) -> None:
    """A daemon with another fingerprint is restarted."""
    assert fingerprint(_settings(**changed), _PROGRAMS) != fingerprint(_settings(), _PROGRAMS)


def test_what_a_daemon_does_not_care_about_leaves_the_fingerprint() -> None:
    """A mirror of a package registry and the client's path restart nothing."""
    other = Programs(Path("/elsewhere/buildctl"), _PROGRAMS.buildkitd)
    settings = _settings(mirrors={"https://registry.npmjs.org/": "https://npm.example/"})

    assert fingerprint(settings, other) == fingerprint(_settings(), _PROGRAMS)


def test_a_rebuilt_program_changes_the_fingerprint(tmp_path: Path) -> None:
    """The same path with other content is another daemon."""
    program = Programs(tmp_path / "buildctl", tmp_path / "buildkitd")
    program.buildkitd.write_text("one")
    before = fingerprint(_settings(), program)
    program.buildkitd.write_text("another")

    assert fingerprint(_settings(), program) != before


@pytest.mark.parametrize(("text", "freed"), [("", 0), ("8192\n", 8192), ("8192\n0\n200704\n", 208896)])
def test_what_was_pruned_is_summed_up(text: str, freed: int) -> None:
    """One size a line; no line where nothing was pruned."""
    assert parse_pruned(text) == freed


def test_records_in_use_are_not_prunable() -> None:
    """What a build holds stays; the rest comes biggest first."""
    text = """[
      {"id": "small", "description": "layer", "size": 1, "inUse": false},
      {"id": "busy", "description": "mount", "size": 9, "inUse": true},
      {"id": "big", "description": "exec", "size": 5, "inUse": false}
    ]"""

    assert parse_records(text) == (CacheRecord("big", "exec", 5), CacheRecord("small", "layer", 1))


def test_an_empty_cache_has_no_records() -> None:
    """Go prints an empty slice as null."""
    assert parse_records("null\n") == ()


def test_stack_frames_are_no_last_words() -> None:
    """Of an error with its stack only the error is shown."""
    log = (
        "level=info found 1 worker\nbuildkitd: could not lock\nmain.main\n\tmain.go:488\nruntime.main\n\tproc.go:290\n"
    )

    assert last_words(log) == ["level=info found 1 worker", "buildkitd: could not lock"]


def test_nobody_listens_where_there_is_no_socket(tmp_path: Path) -> None:
    """A missing file, and a file that is no socket, answer nothing."""
    (tmp_path / "file").touch()

    assert listener(tmp_path / "none") is None
    assert listener(tmp_path / "file") is None


def test_a_process_is_known_by_its_start() -> None:
    """This process has a start time; a pid that nobody has, has none."""
    assert started_ticks(os.getpid())
    assert started_ticks(2**22 + 1) is None


def test_a_cache_without_record_has_no_daemon(tmp_path: Path) -> None:
    """No record, and a broken one, are no status."""
    settings = Settings(cache=tmp_path)
    record = tmp_path / "engine" / "run" / "buildkitd.json"
    record.parent.mkdir(parents=True)

    assert status(settings) is None
    record.write_text("{}")
    assert status(settings) is None


def test_mounts_of_a_folder_are_found_innermost_first() -> None:
    """A folder beside it whose name begins alike is not below it; spaces come as octal."""
    text = "\n".join(
        f"36 35 98:0 / {point} rw,noatime shared:1 - ext4 /dev/root rw"
        for point in ("/", "/c/root", "/c/root/a", r"/c/root/a/merged\040one", "/c/root-other/b")
    )

    assert mounts_below(Path("/c/root"), text) == ("/c/root/a/merged one", "/c/root/a")
