"""Bad input and a bad world: each failure on one screen, with its exit code, its place and what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine.small import SHIPPED_LOCK, changed_lock, read_lock, small_project
from tests.engine.support import CHECKOUT, IMAGE, NOWHERE, Agc, Mirror, Run, write_files

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

SCREEN = 24
CLAUDE = "definitions/agents/claude.yaml"
BASE = "definitions/bases/node-bun.yaml"
DEBIAN = "http://deb.debian.org/debian"
BARE = """\
apiVersion: agentcontainers/v1
kind: Base
metadata:
  name: bare
spec:
  root: debian-trixie
"""
NEEDS_NODE = """\
apiVersion: agentcontainers/v1
kind: Agent
metadata:
  name: needy
spec:
  packages:
    - npm: semver
      binaries: {semver: bin/semver.js}
  command: [semver]
  requires: [node >=22]
  licence: {publish: baked, name: ISC}
"""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A definition with something wrong in it, and what must be said of it."""

    file: str
    text: str
    says: str
    line: int


def _changed(file: str, old: str, new: str) -> str:
    text = (CHECKOUT / file).read_text()
    assert old in text
    return text.replace(old, new, 1)


def _line(text: str, word: str) -> int:
    """Return the number of the first line of `text` with `word` in it."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if word in line)


def _mistake(file: str, old: str, new: str, says: str, at: str) -> Mistake:
    text = _changed(file, old, new)
    return Mistake(file, text, says, _line(text, at))


MISTAKES = {
    "unknown key": _mistake(CLAUDE, "  command:", "  comand:", "unknown key `spec.comand`", "comand:"),
    "wrong type": _mistake(CLAUDE, "interval: 60", "interval: often", "spec.health.interval", "interval: often"),
    "missing reference": _mistake(BASE, "[node, bun]", "[node, bum]", "no toolchain named `bum`", "bum"),
    "missing root": _mistake(
        BASE, "root: debian-trixie", "root: debian-sid", "no root named `debian-sid`", "debian-sid"
    ),
    "malformed YAML": _mistake(CLAUDE, "command: [claude]", "command: [claude", "", "requires:"),
    "duplicate key": _mistake(
        BASE, "  root: debian-trixie\n", "  root: debian-trixie\n  root: other\n", "", "root: other"
    ),
    "other version of the format": _mistake(BASE, "/v1", "/v9", "agentcontainers/v1", "apiVersion"),
    "unknown kind": _mistake(BASE, "kind: Base", "kind: Bass", "unknown kind 'Bass'", "kind:"),
}


def check(run: Run, code: int, name: str) -> dict[str, Any]:
    """Check what holds for every failure, and return the object that describes it."""
    assert (run.code, run.error["exitCode"], run.error["code"]) == (code, code, name), run.stderr
    shown = run.stderr[run.stderr.index("error: ") :].splitlines()
    assert len(shown) <= SCREEN, run.stderr
    assert max(map(len, shown)) <= 400, run.stderr
    assert "Traceback" not in run.stderr
    error: dict[str, Any] = run.error
    return error


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
@pytest.mark.parametrize("command", ["validate", "build"])
def test_a_mistake_in_a_definition_is_shown_where_it_is(
    agc: Agc, tmp_path: Path, mistake: Mistake, command: str
) -> None:
    """File and line of the mistake, and the line itself."""
    write_files(tmp_path, {mistake.file: mistake.text})

    run = agc(command, *([IMAGE] if command == "build" else []), "--json", project=tmp_path)

    error = check(run, 3, "definition")
    entries = error.get("errors", [error])
    assert any(mistake.says in entry["message"] for entry in entries)
    assert (mistake.file, mistake.line) in [(entry["location"]["file"], entry["location"]["line"]) for entry in entries]
    assert f"  --> {mistake.file}:{mistake.line}" in run.stderr
    assert mistake.text.splitlines()[mistake.line - 1].strip() in run.stderr


def test_all_mistakes_are_shown_at_once(agc: Agc, tmp_path: Path) -> None:
    """Two files with a mistake each make one report with both."""
    for name in ("wrong type", "missing reference"):
        write_files(tmp_path, {MISTAKES[name].file: MISTAKES[name].text})

    error = check(agc("validate", "--json", project=tmp_path), 3, "definition")

    assert {entry["location"]["file"] for entry in error["errors"]} == {CLAUDE, BASE}


def test_a_duplicate_name_names_both_places(agc: Agc, tmp_path: Path) -> None:
    """Where a name was first taken is part of the message."""
    files = {"definitions/a.yaml": BARE, "definitions/b.yaml": BARE}

    error = check(agc("validate", "--json", project=write_files(tmp_path, files)), 3, "definition")

    assert "duplicate name" in error["message"]
    assert "definitions/a.yaml:4" in error["message"]
    assert (error["location"]["file"], error["location"]["line"]) == ("definitions/b.yaml", 4)


def test_an_agent_on_a_base_without_node_names_the_capability(agc: Agc, tmp_path: Path) -> None:
    """What is missing is said, and where the agent asks for it."""
    small_project(tmp_path)
    write_files(tmp_path, {"definitions/needy.yaml": NEEDS_NODE})
    assert agc("lock", "-q", project=tmp_path).code == 0
    error = check(agc("build", "small-needy", "--json", project=tmp_path), 3, "definition")

    assert "node" in error["message"]
    assert "small" in error["message"]
    assert error["location"] == {
        "file": "definitions/needy.yaml",
        "line": _line(NEEDS_NODE, "requires"),
        "column": error["location"]["column"],
    }


def test_an_unknown_image_gets_a_suggestion(agc: Agc) -> None:
    """A name that is nearly right is answered with the right one."""
    error = check(agc("build", "node-bun-cluade", "--json"), 2, "usage")

    assert IMAGE in error["remedy"]


def test_a_missing_lock_names_the_command_that_makes_it(agc: Agc, tmp_path: Path) -> None:
    """Nothing is built that is not pinned."""
    write_files(tmp_path, {"definitions/bare.yaml": BARE})

    error = check(agc("build", "bare", "--json", project=tmp_path), 4, "lock")

    assert "bases/bare is not locked" in error["message"]
    assert error["location"]["file"] == "definitions/bare.yaml"
    assert error["remedy"] == "agc lock"


@pytest.mark.parametrize(
    "command", [["build", IMAGE], ["plan", IMAGE], ["lock", "--check"]], ids=lambda words: words[0]
)
def test_a_stale_lock_names_the_definition_that_moved_on(agc: Agc, tmp_path: Path, command: list[str]) -> None:
    """A definition that asks for another version than the one locked is an error before anything is built."""
    write_files(tmp_path, {CLAUDE: _changed(CLAUDE, "version: latest", "version: 2.1.329")})

    error = check(agc(*command, "--json", project=tmp_path), 4, "lock")

    assert "agents/claude changed since it was locked" in error["message"]
    assert error["location"]["file"] == CLAUDE
    assert error["remedy"] == "agc lock"


def test_a_lock_edited_by_hand_is_refused(agc: Agc, tmp_path: Path) -> None:
    """The checksum in the file tells an edited pin from one that was made."""
    text = (SHIPPED_LOCK / "agents" / "claude.json").read_text()
    write_files(tmp_path, {"registry/lock/agents/claude.json": text.replace('"size": ', '"size": 1')})

    error = check(agc("build", IMAGE, "--json", project=tmp_path), 4, "lock")

    assert "integrity mismatch" in error["message"]
    assert error["location"]["file"].endswith("registry/lock/agents/claude.json")
    assert error["remedy"] == "agc lock --upgrade claude"


def test_an_archive_that_is_not_the_locked_one_is_refused(agc: Agc, tmp_path: Path) -> None:
    """A pin that was changed with its checksum made good fails when the bytes arrive, and says what arrived."""
    path = SHIPPED_LOCK / "toolchains" / "bun.json"
    pins = read_lock(path)["packages"][0]["archives"]
    changes = {pin["sha256"]: f"sha256:{'0' * 63}{at}" for at, pin in enumerate(pins.values())}
    write_files(tmp_path, {"registry/lock/toolchains/bun.json": changed_lock(path, changes)})

    error = check(agc("build", "node-bun", "--json", "-o", "none", project=tmp_path), 10, "integrity")

    assert any(real in error["message"] for real in changes)
    assert error["location"]["file"].endswith("definitions/toolchains/bun.yaml")
    assert error["location"]["line"] == _line((CHECKOUT / "definitions/toolchains/bun.yaml").read_text(), "npm: bun")
    assert "agc lock --upgrade bun" in error["remedy"]


def test_an_engine_that_does_not_answer_is_named(agc: Agc) -> None:
    """The address that was configured, and where to change it."""
    error = check(agc.given(BUILDKIT_HOST=NOWHERE)("build", IMAGE, "--json"), 6, "engine")

    assert NOWHERE in error["message"]
    assert "BUILDKIT_HOST" in error["remedy"]


def test_a_package_that_npm_does_not_know_is_named(agc: Agc, tmp_path: Path) -> None:
    """The place in the definition that asks for it, and nothing written."""
    name = "no-such-package-9f2c7a51"
    write_files(tmp_path, {"definitions/needy.yaml": NEEDS_NODE.replace("npm: semver", f"npm: {name}")})

    error = check(agc("lock", "--json", project=tmp_path), 5, "resolve")

    assert name in error["message"]
    assert (error["location"]["file"], error["location"]["line"]) == ("definitions/needy.yaml", 7)
    assert not (tmp_path / "registry").exists()


def test_a_package_that_debian_does_not_know_is_named(agc: Agc, tmp_path: Path) -> None:
    """Apt's own words, and the base that asks for it."""
    name = "no-such-package-9f2c7a51"
    write_files(tmp_path, {"definitions/bare.yaml": f"{BARE}  debian: [{name}]\n"})

    error = check(agc("lock", "--json", project=tmp_path), 5, "resolve")

    assert name in error["message"]
    assert error["location"]["file"] == "definitions/bare.yaml"


def test_a_pinned_file_that_is_gone_is_resolved_again_with_a_warning(agc: Agc, tmp_path: Path) -> None:
    """The archive answers 404 for a pinned package: this build takes what there is now, and says what moved."""
    project = _with_older_init(tmp_path / "project")
    lock = (project / "registry" / "lock" / "bases" / "small.json").read_bytes()

    run = agc("build", "small", "--json", "-o", f"oci:{tmp_path / 'out'}", project=project)

    assert run.image["smoke"]["failed"] == 0
    assert "warning: " in run.stderr
    assert "tini 0.19.0-0 → 0.19.0-" in run.stderr
    assert "agc lock" in run.stderr
    assert (project / "registry" / "lock" / "bases" / "small.json").read_bytes() == lock


def test_a_pinned_file_that_is_gone_ends_a_locked_build(agc: Agc, tmp_path: Path) -> None:
    """With --locked nothing is resolved: the error names the file and the command that moves the lock."""
    project = _with_older_init(tmp_path / "project")

    run = agc("build", "small", "--json", "--locked", "-o", f"oci:{tmp_path / 'out'}", project=project)

    error = check(run, 7, "build")
    assert "tini_0.19.0-0_amd64.deb is gone" in error["message"]
    assert "agc lock --upgrade small" in error["remedy"]
    assert error["location"]["file"] == "definitions/bases/small.yaml"
    assert not (tmp_path / "out").exists()


def test_a_mirror_that_lacks_a_package_is_said_to(agc: Agc, tmp_path: Path) -> None:
    """A mirror that answers 404 for a file the lock names is no reason to build something else with --locked."""
    project = small_project(tmp_path / "project")
    with Mirror(DEBIAN + "/", gone=["/tini/"]).run() as mirror:
        mirrored = agc.given(AGC_MIRRORS=f"{DEBIAN}/={mirror.address}")
        agc("engine", "prune", "--all")
        run = mirrored("build", "small", "--json", "--locked", "-o", "none", project=project)

    error = check(run, 7, "build")
    assert "tini" in error["message"]
    assert "gone" in error["message"]


def _with_older_init(folder: Path) -> Path:
    """Return a small project whose lock names a version of the init that the archive has not."""
    small_project(folder)
    path = folder / "registry" / "lock" / "bases" / "small.json"
    (version,) = {pin["version"] for system in read_lock(path)["system"] for pin in system["packages"]}
    hashes = {pin["sha256"]: f"sha256:{'0' * 64}" for system in read_lock(path)["system"] for pin in system["packages"]}
    path.write_text(changed_lock(path, {version: "0.19.0-0", **hashes}))
    return folder


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder with room for 8 MB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_nothing_half_written(agc: Agc, full_disk: Path, small: Path) -> None:
    """No room for the image: the output is named, and what was begun is taken away."""
    run = agc("build", "small", "--json", "-o", f"oci:{full_disk / 'out'}", project=small)

    error = check(run, 9, "output")
    assert "no space left" in error["message"].lower()
    assert str(full_disk) in error["message"]
    assert "space" in error["remedy"]
    assert list(full_disk.iterdir()) == []


def test_a_full_disk_keeps_what_was_there(agc: Agc, full_disk: Path, small: Path) -> None:
    """An image that lies in the layout already is still whole after another found no room."""
    layout = full_disk / "out"
    (layout / "blobs" / "sha256").mkdir(parents=True)
    index = '{"schemaVersion": 2, "manifests": []}'
    (layout / "index.json").write_text(index)

    check(agc("build", "small", "--json", "-o", f"oci:{layout}", project=small), 9, "output")

    assert (layout / "index.json").read_text() == index
    assert [path.name for path in full_disk.iterdir()] == ["out"]
    assert [path for path in layout.rglob("*") if path.is_file()] == [layout / "index.json"]


def test_a_folder_that_cannot_be_made_is_named(agc: Agc, small: Path, tmp_path: Path) -> None:
    """A file where the output's folder should be."""
    (tmp_path / "file").write_text("")

    error = check(agc("build", "small", "--json", "-o", f"oci:{tmp_path / 'file' / 'out'}", project=small), 9, "output")

    assert str(tmp_path / "file") in error["message"]
