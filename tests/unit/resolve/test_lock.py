"""The lock: written and read the same, refused when touched, complained of with the command that mends it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.digest import digest_bytes
from pipeline.errors import AgcError, ErrorGroup, ExitCode, LockError
from pipeline.models.load import load_definitions
from pipeline.resolve.lock import Locks, parse_lock, read_locks, render_lock, require, stale, write_lock
from pipeline.resolve.pins import ComponentLock, PackagesLock, RootLock, SystemLock
from tests.unit.compose.samples import definitions, locks, of_npm, root_lock, system_lock

SAMPLES: dict[str, ComponentLock] = {
    lock.component: lock for lock in locks(definitions(), ("image", "bootstrap")).all()
}


def written(folder: Path, pins: Locks) -> Path:
    """Write all locks below `folder` and return it."""
    for lock in pins.all():
        write_lock(lock, folder)
    return folder


def problems(pins: Locks, damage: tuple[AgcError, ...] = ()) -> list[str]:
    """Return what `require` complains of, with the remedies."""
    with pytest.raises(ErrorGroup) as caught:
        require(pins, definitions(), damage)
    assert caught.value.exit_code is ExitCode.LOCK
    return [f"{error} -- {error.remedy}" for error in caught.value.errors]


@pytest.mark.parametrize("lock", SAMPLES.values(), ids=SAMPLES.keys())
def test_a_lock_is_read_as_it_was_written(lock: ComponentLock) -> None:
    """And written again with the same bytes."""
    text = render_lock(lock)
    again = parse_lock(text, type(lock), "lock.json")

    assert again == lock
    assert render_lock(again) == text


@pytest.mark.parametrize("component", ["roots/tiny", "bases/plain", "agents/claude"])
def test_lock_files_look_as_they_always_did(component: str, golden: Callable[[str, str], None]) -> None:
    """A new form would make every old lock stale."""
    golden(f"lock/{component.replace('/', '-')}.json", render_lock(SAMPLES[component]))


def test_writing_what_is_there_writes_nothing(tmp_path: Path) -> None:
    """So that nothing looks changed which is not."""
    lock = SAMPLES["agents/claude"]
    first = write_lock(lock, tmp_path)
    file = tmp_path / "agents/claude.json"
    before = file.stat().st_mtime_ns
    second = write_lock(lock, tmp_path)

    assert (first, second) == (True, False)
    assert file.stat().st_mtime_ns == before
    assert [path.name for path in file.parent.iterdir()] == ["claude.json"]


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for index, item in enumerate(value) for leaf in _leaves(item, (*path, index))]
    return [path]


@settings(deadline=None)
@given(data=st.data())
def test_any_one_changed_value_is_noticed(data: st.DataObject) -> None:
    """Whatever it is changed to."""
    lock = data.draw(st.sampled_from(list(SAMPLES.values())))
    document = json.loads(render_lock(lock))
    *above, last = data.draw(st.sampled_from(_leaves(document)))
    spot = document
    for step in above:
        spot = spot[step]
    old = spot[last]
    values = st.one_of(st.text(), st.integers(), st.none(), st.booleans(), st.floats(), st.just([]))
    spot[last] = data.draw(values.filter(lambda new: (type(new), new) != (type(old), old)))

    with pytest.raises(LockError, match="integrity mismatch") as caught:
        parse_lock(json.dumps(document), type(lock), f"registry/lock/{lock.component}.json")

    assert str(caught.value.location) == f"registry/lock/{lock.component}.json"
    assert caught.value.remedy == f"agc lock --upgrade {lock.component.partition('/')[2]}"


NO_LOCKS = {
    "nothing": ("", "is no lock file: Expecting value: line 1 column 1 (char 0)"),
    "half": (render_lock(SAMPLES["agents/claude"])[:200], "is no lock file: "),
    "merge conflict": ("<<<<<<< ours\n{}", "is no lock file: "),
    "list": ("[]", "is no lock file: it holds no object"),
    "number": ("1", "is no lock file: it holds no object"),
    "deep": ("[" * 100_000 + "]" * 100_000, "is no lock file: "),
    "no checksum": ("{}", "integrity mismatch"),
    "empty checksum and fraction": ('{"checksum": null, "size": 1.5}', "integrity mismatch"),
    "lone surrogate": ('{"checksum": "x", "a": "\\ud800"}', "integrity mismatch"),
    "another kind": (render_lock(SAMPLES["roots/tiny"]), "packages: Field required"),
}


@pytest.mark.parametrize(("text", "message"), NO_LOCKS.values(), ids=NO_LOCKS.keys())
def test_what_is_no_lock_is_refused(text: str, message: str) -> None:
    """With the command that makes a new one."""
    with pytest.raises(LockError) as caught:
        parse_lock(text, PackagesLock, "registry/lock/agents/claude.json")

    assert caught.value.message.startswith(message)
    assert caught.value.remedy == "agc lock --upgrade claude"


@settings(deadline=None)
@given(text=st.text())
def test_any_text_is_a_lock_or_a_lock_error(text: str) -> None:
    """Never another failure."""
    with pytest.raises(LockError):
        parse_lock(text, SystemLock, "x.json")


def test_a_project_reads_its_own_locks_before_shipped_ones(tmp_path: Path) -> None:
    """File by file."""
    found = definitions()
    pins = locks(found)
    written(tmp_path / "shipped", pins)
    own = pins.agents["claude"].model_copy(update={"inputs": digest_bytes(b"own")})
    write_lock(own, tmp_path / "own")
    read, damage = read_locks([tmp_path / "shipped", tmp_path / "own"], found)

    assert damage == ()
    assert read == pins.with_lock(own)


def test_a_damaged_lock_is_reported_once_and_the_others_are_read(tmp_path: Path) -> None:
    """It is not called missing as well."""
    found = definitions()
    folder = written(tmp_path, locks(found))
    file = folder / "agents/claude.json"
    file.write_text(file.read_text().replace("2.1.330", "2.1.331", 1))
    read, damage = read_locks([folder], found)

    assert "claude" not in read.agents
    assert problems(read, damage) == [
        (
            f"{file}: integrity mismatch: the file is not what `agc lock` wrote (edited by hand, or merged)"
            " -- agc lock --upgrade claude"
        )
    ]


def test_damaged_missing_and_stale_are_reported_together(tmp_path: Path) -> None:
    """Everything at once, each with its file or definition."""
    found = definitions()
    folder = written(tmp_path, locks(found))
    (folder / "agents/claude.json").write_text("{")
    (folder / "agents/picky.json").unlink()
    write_lock(SAMPLES["toolchains/bun"].model_copy(update={"inputs": digest_bytes(b"old")}), folder)
    read, damage = read_locks([folder], found)

    assert [line.replace(str(folder), "") for line in problems(read, damage)][1:] == [
        "definitions/toolchains/bun.yaml:5:1: toolchains/bun changed since it was locked -- agc lock",
        "definitions/agents/picky.yaml:5:1: agents/picky is not locked -- agc lock",
    ]


def test_unreadable_locks_are_damage(tmp_path: Path) -> None:
    """Not the end of the program."""
    found = definitions()
    folder = written(tmp_path, locks(found))
    (folder / "agents/claude.json").write_bytes(b"\xff\xfe")
    _, damage = read_locks([folder], found)

    assert [error.message for error in damage] == ["cannot be read: it is not UTF-8"]
    assert damage[0].remedy == "agc lock --upgrade claude"


def test_the_lock_of_another_component_is_refused(tmp_path: Path) -> None:
    """A copied file answers for what it was made for."""
    found = definitions()
    folder = written(tmp_path, locks(found))
    (folder / "agents/picky.json").write_text((folder / "agents/claude.json").read_text())
    _, damage = read_locks([folder], found)

    assert [error.message for error in damage] == ["is the lock of agents/claude, not of agents/picky"]


def test_nothing_is_locked_at_first() -> None:
    """Every component is named, with the one command."""
    lines = problems(Locks())

    assert len(lines) == len(SAMPLES)
    assert all(line.endswith("is not locked -- agc lock") for line in lines)


CHANGES = {
    "version of a package": (
        "agents/claude.yaml",
        "      platforms:",
        "      version: ^2\n      platforms:",
        {"agents/claude"},
    ),
    "archive of a platform": (
        "agents/claude.yaml",
        "claude-code-linux-x64",
        "claude-code-linux-x64-musl",
        {"agents/claude"},
    ),
    "Debian package of a toolchain": ("toolchains/node.yaml", "[libatomic1]", "[libatomic1, jq]", {"bases/node-bun"}),
    "common tools": ("common-tools/default.yaml", "[git, tini]", "[git, jq, tini]", {"bases/node-bun", "bases/plain"}),
    "suite of the root": ("roots/tiny.yaml", "suite: trixie", "suite: forky", {"roots/tiny"}),
    "order of packages": ("common-tools/default.yaml", "[git, tini]", "[tini, git]", set()),
    "environment": ("agents/claude.yaml", 'DISABLE_UPDATES: "1"', 'DISABLE_UPDATES: "2"', set()),
    "description": ("agents/claude.yaml", "A coding agent.", "Another.", set()),
    "comment": ("toolchains/bun.yaml", "spec:", "# new\nspec:", set()),
}


@pytest.mark.parametrize(("file", "old", "new", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_a_lock_is_stale_when_what_it_answers_changed(
    tmp_path: Path, file: str, old: str, new: str, expected: set[str]
) -> None:
    """And not for anything else in a definition."""
    original = definitions()
    for path in (Path(__file__).parent.parent / "compose/project/definitions").rglob("*.yaml"):
        target = tmp_path / path.parent.name / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(path.read_text())
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    changed = load_definitions([tmp_path], tmp_path)

    errors = stale(locks(original), changed)

    assert {error.message.split()[0] for error in errors} == expected
    assert all(error.remedy == "agc lock" and error.location for error in errors)


def test_a_base_is_stale_when_its_root_moved() -> None:
    """Its packages were chosen for what lay in the other root."""
    found = definitions()
    pins = locks(found)
    moved = pins.roots["tiny"].bootstrap["linux/amd64"].model_copy(update={"digest": digest_bytes(b"moved")})
    root = pins.roots["tiny"].model_copy(update={"bootstrap": {**pins.roots["tiny"].bootstrap, "linux/amd64": moved}})

    assert problems(pins.with_lock(root)) == [
        "definitions/bases/model-mock.yaml:5:1: bases/model-mock changed since it was locked -- agc lock",
        "definitions/bases/node-bun.yaml:6:1: bases/node-bun changed since it was locked -- agc lock",
        "definitions/bases/plain.yaml:6:1: bases/plain changed since it was locked -- agc lock",
    ]


def test_a_base_whose_root_is_not_locked_is_not_blamed() -> None:
    """The root is what is missing."""
    assert len(problems(replace(locks(definitions()), roots={}))) == 1


def test_a_whole_lock_is_enough() -> None:
    """Nothing is raised."""
    require(locks(definitions()), definitions(), ())


def test_pins_cannot_be_changed() -> None:
    """Neither fields nor maps, nor the tables of locks."""
    pins = locks(definitions(), ("image", "bootstrap"))
    root = pins.roots["tiny"]
    assert root.image is not None

    with pytest.raises(ValidationError, match="frozen"):
        root.component = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        root.bootstrap["linux/amd64"] = root.bootstrap["linux/arm64"]  # type: ignore[index]
    with pytest.raises(TypeError):
        root.image.platforms["x"] = digest_bytes(b"")  # type: ignore[index]
    with pytest.raises(TypeError):
        of_npm(pins.agents["claude"].packages[0]).archives["x"] = None  # type: ignore[index]
    with pytest.raises(TypeError):
        pins.agents["x"] = pins.agents["claude"]  # type: ignore[index]


def test_the_digest_of_all_locks_changes_with_any_of_them() -> None:
    """And with nothing else."""
    found = definitions()
    pins = locks(found)
    other = pins.with_lock(root_lock(found, ("image",)))

    assert pins.digest() == locks(definitions()).digest()
    assert pins.digest() != other.digest()
    assert other.with_lock(root_lock(found)).digest() == pins.digest()


def test_a_root_is_taken_from_the_image_where_it_is_locked() -> None:
    """Unless the person wants it otherwise."""
    found = definitions()
    both, one = root_lock(found, ("image", "bootstrap")), root_lock(found)

    assert (both.source("auto"), one.source("auto")) == ("image", "bootstrap")
    assert (both.source("bootstrap"), one.source("image")) == ("bootstrap", "image")
    assert one.digest("image", "linux/amd64") is None
    assert both.digest("image", "linux/amd64") != both.digest("bootstrap", "linux/amd64")
    assert both.digest("bootstrap", "linux/riscv64") is None


def test_pins_are_found_by_what_they_are_for() -> None:
    """A package for any platform serves each."""
    found = definitions()
    pins = locks(found)
    npm = of_npm(pins.toolchains["node"].pin("npm")).archive("linux/amd64")
    node = of_npm(pins.toolchains["node"].pin("node"))

    assert npm is not None
    assert npm.package == "npm"
    assert node.archive("linux/riscv64") is None
    assert system_lock(found, "plain", ("image",)).pin("bootstrap", "linux/amd64") is None
    with pytest.raises(KeyError):
        pins.toolchains["node"].pin("yarn")


def test_a_checksum_must_be_one() -> None:
    """Pins that are no digest never enter a lock."""
    with pytest.raises(ValidationError):
        RootLock(component="roots/x", inputs="sha256:zz")
