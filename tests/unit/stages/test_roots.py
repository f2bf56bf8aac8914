"""Roots put in place, and what is said where the archive is no longer what was locked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from pipeline.digest import digest_bytes, hex_of
from pipeline.engine.bootstrap import BootstrapRequest
from pipeline.errors import LockError
from pipeline.platform import AMD64, Platform, host_platform
from pipeline.resolve.lock import Locks
from pipeline.resolve.pins import BootstrapPin
from pipeline.resolve.plan import ImagePlan
from pipeline.stages import roots
from pipeline.stages.roots import Moved, lay_roots, moved_packages, root_state
from tests.unit.compose.samples import definitions, locks, plan, root_digest
from tests.unit.stages.bench import Bench, bench, resolving

HOST = host_platform()
NEWER = BootstrapPin(digest=digest_bytes(b"newer"), packages={"apt": "3.0.5", "sed": "4.9"})


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Callable[[BootstrapPin], list[BootstrapRequest]]:
    """Return a function that says what bootstrapping comes to; it returns the requests there will be."""

    def gives(pin: BootstrapPin) -> list[BootstrapRequest]:
        requests: list[BootstrapRequest] = []

        async def bootstrap(request: BootstrapRequest, _: Platform, folder: Path, **__: object) -> BootstrapPin:
            requests.append(request)
            (folder / hex_of(pin.digest)).mkdir(parents=True, exist_ok=True)
            return pin

        monkeypatch.setattr(roots, "bootstrap", bootstrap)
        return requests

    return gives


def laid(desk: Bench, *, locked: bool, pins: Locks | None = None) -> ImagePlan:
    """Lay the root of node-bun-claude."""

    async def run() -> ImagePlan:
        known = pins or locks(definitions())
        (done,) = await lay_roots([plan(platform=HOST, pins=known)], known.roots, desk, locked=locked)
        return done

    return anyio.run(run)


@pytest.mark.parametrize("locked", [True, False])
def test_a_root_that_lies_here_is_used(tmp_path: Path, locked: bool) -> None:
    """Nothing is bootstrapped, nothing said."""
    desk = bench(tmp_path)

    assert laid(desk, locked=locked) == plan(platform=HOST)
    assert desk.layouts == {root_digest("bootstrap", HOST): desk.roots / hex_of(root_digest("bootstrap", HOST))}
    assert (desk.notes, desk.made, desk.requests) == ([], set(), [])


def test_a_root_from_a_registry_needs_no_layout(tmp_path: Path) -> None:
    """The engine pulls it."""
    desk = bench(tmp_path, roots=False)
    done = laid(desk, locked=True, pins=locks(definitions(), ("image",)))

    assert desk.layouts == {}
    assert root_state(done).name == f"docker.io/library/debian@{root_digest('image', HOST)}"


@pytest.mark.parametrize("locked", [True, False])
def test_a_root_that_comes_out_as_locked_is_used(
    tmp_path: Path, archive: Callable[[BootstrapPin], list[BootstrapRequest]], locked: bool
) -> None:
    """It was made for this build."""
    same = locks(definitions()).roots["tiny"].bootstrap[str(HOST)]
    requests = archive(same)
    desk = bench(tmp_path, roots=False)

    assert laid(desk, locked=locked).root.digest == same.digest
    assert desk.made == {same.digest}
    assert (requests[0].suite, requests[0].include) == ("trixie", ())
    assert [note for note in desk.notes if "warning" in note] == []


def test_a_locked_build_refuses_a_root_that_moved(
    tmp_path: Path, archive: Callable[[BootstrapPin], list[BootstrapRequest]]
) -> None:
    """With what moved, and the command that moves the lock."""
    archive(NEWER)

    with pytest.raises(LockError) as caught:
        laid(bench(tmp_path, resolving, roots=False), locked=True)

    assert caught.value.message == ("the archive has moved: apt 3.0.4 → 3.0.5, dash 1 → (none), sed (none) → 4.9")
    assert caught.value.remedy == "agc lock --upgrade tiny, or build without --locked"
    assert str(caught.value.location) == "definitions/roots/tiny.yaml:9:3"


def test_a_locked_build_refuses_other_bytes_of_the_same_versions(
    tmp_path: Path, archive: Callable[[BootstrapPin], list[BootstrapRequest]]
) -> None:
    """They may come of another tool, and still were not locked."""
    archive(BootstrapPin(digest=digest_bytes(b"other"), packages={"apt": "3.0.4", "dash": "1"}))

    with pytest.raises(LockError, match="not the locked one, byte for byte"):
        laid(bench(tmp_path, roots=False), locked=True)


def test_another_build_goes_on_with_the_root_there_is(
    tmp_path: Path, archive: Callable[[BootstrapPin], list[BootstrapRequest]]
) -> None:
    """With packages resolved on it, its own and its mock's, and warnings that say so."""
    archive(NEWER)
    desk = bench(tmp_path, resolving, roots=False)
    done = laid(desk, locked=False)

    assert done.root.digest == done.system.root == NEWER.digest
    assert NEWER.digest in desk.layouts
    assert done.mock
    assert done.mock.root.digest == done.mock.system.root == NEWER.digest
    assert [request.state.inputs[0].digest for request in desk.requests] == [root_state(done).digest] * 2
    assert any("apt 3.0.4 → 3.0.5" in note and note.startswith("warning: root tiny") for note in desk.notes)


def test_a_root_that_moved_is_bootstrapped_once(
    tmp_path: Path, archive: Callable[[BootstrapPin], list[BootstrapRequest]]
) -> None:
    """What it came to is kept beside it; the next build warns again and resolves nothing."""
    requests = archive(NEWER)
    first = laid(bench(tmp_path, resolving, roots=False), locked=False)
    desk = bench(tmp_path, resolving, roots=False)

    assert laid(desk, locked=False) == first
    assert len(requests) == 1
    assert desk.requests == []
    assert any(note.startswith("warning: root tiny") for note in desk.notes)


@pytest.mark.parametrize(
    "content", ["", "{", '{"digest": "x"}', json.dumps({"digest": "sha256:" + "0" * 64, "packages": {}})]
)
def test_a_record_that_cannot_be_used_is_made_again(
    tmp_path: Path, archive: Callable[[BootstrapPin], list[BootstrapRequest]], content: str
) -> None:
    """Torn, foreign, or of a root that was cleaned up."""
    requests = archive(NEWER)
    record = tmp_path / "cache/moved" / f"root-{hex_of(root_digest('bootstrap', HOST))}.json"
    record.parent.mkdir(parents=True)
    record.write_text(content)

    assert laid(bench(tmp_path, resolving, roots=False), locked=False).root.digest == NEWER.digest
    assert len(requests) == 1


def test_a_package_record_that_cannot_be_read_is_dropped(tmp_path: Path) -> None:
    """The lock is used until something is gone again."""
    desk = bench(tmp_path)
    record = roots._packages_record(plan(platform=HOST), desk)
    record.parent.mkdir(parents=True)
    record.write_text("[{")

    assert laid(desk, locked=False) == plan(platform=HOST)
    assert not record.exists()


def test_what_moved_is_named_with_both_versions() -> None:
    """Also what came and went."""
    item = plan(platform=AMD64)
    newer = tuple(
        pin.model_copy(update={"version": "2" if pin.name == "git" else pin.version})
        for pin in item.system.packages
        if pin.name != "tini"
    )
    moved = moved_packages(item.system, item.system.model_copy(update={"packages": newer}))

    assert [str(one) for one in moved] == ["git 1.0-1 → 2", "tini 1.0-1 → (none)"]
    assert moved_packages(item.system, item.system) == ()
    assert str(Moved("jq", "", "1")) == "jq (none) → 1"
