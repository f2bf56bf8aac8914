"""`agc lock --upgrade`: what waits, what is refused, how the rest differs, and that one file is written for each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.engine.record import Answer, Request
from pipeline.errors import BuildError, ExitCode, FailedStep, Location, RefusedError, ResolveError, SourceGoneError
from pipeline.models.defined import Definitions
from pipeline.models.packages import NpmArchive
from pipeline.resolve.contents import FilesDiff
from pipeline.resolve.cooldown import Hindrance, Outcome
from pipeline.resolve.lock import Locks, packages_inputs
from pipeline.resolve.pins import PackagesLock
from pipeline.resolve.release import Concern, Fact
from pipeline.stages.locking import update_locks
from pipeline.stages.project import Project
from pipeline.stages.upgrade import LockRequest, LockResult, PackageReport, TreeDiff, version_in
from tests.unit.compose.samples import VERSIONS, definitions, locks
from tests.unit.stages.bench import Bench, bench, npm_document, npm_registry, project, resolving, tree

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CLAUDE = "@anthropic-ai/claude-code"
NATIVE = ("@anthropic-ai/claude-code-linux-arm64", "@anthropic-ai/claude-code-linux-x64")
OLD, NEW, NEWEST = "2.1.330", "2.1.331", "2.1.332"
BOTH = locks(definitions(), ("image", "bootstrap"))


def registry(*versions: str, ages: Mapping[str, float] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a registry with these versions of claude, some so many hours old; `changes` are in the last of them."""
    packages = npm_registry()
    for name in (CLAUDE, *NATIVE):
        document = npm_document(name, *versions)
        document["time"].update(
            {version: (NOW - timedelta(hours=hours)).isoformat() for version, hours in (ages or {}).items()}
        )
        document["versions"][versions[-1]].update(changes)
        packages[name.replace("/", "%2F")] = document
    return packages


def updated(
    desk: Bench, *upgrade: str, item: Project | None = None, accept: str = "", days: float | None = None
) -> LockResult:
    """Bring the lock of the small project up to date."""
    request = LockRequest(NOW, upgrade, days, frozenset({accept} - {""}))
    folder = desk.settings.cache.parent
    return anyio.run(update_locks, item or project(folder, BOTH), request, desk)


def report(result: LockResult) -> PackageReport:
    """Return what became of the one package there is a report of."""
    result.raise_for_errors()
    (one,) = result.packages
    return one


def test_what_moved_is_compared_with_what_was_locked(tmp_path: Path) -> None:
    """File by file, on every platform, from the archives themselves."""
    desk = bench(tmp_path, resolving, packages=registry(OLD, NEW))
    result = updated(desk, "claude")

    one = report(result)
    assert one.outcome is Outcome.MOVED
    assert [(diff.package, diff.platform) for diff in one.archives] == [
        (NATIVE[0], "linux/arm64"),
        (NATIVE[1], "linux/amd64"),
    ]
    arm = "bin/claude-code-linux-arm64-2.1.33"
    assert one.archives[0].files == FilesDiff((f"{arm}1",), (f"{arm}0",), (), (f"{arm}1",), kept=1)
    assert [request.state.name for request in desk.requests] == ["check archives", "list archives"]
    assert list(tree(tmp_path / "registry/lock")) == ["agents/claude.json"]


def test_a_young_release_waits_and_nothing_is_written(tmp_path: Path) -> None:
    """It is told which, and until when; the engine has nothing to do."""
    desk = bench(tmp_path, resolving, packages=registry(OLD, NEW, ages={NEW: 20}))
    result = updated(desk, "claude")

    one = report(result)
    assert (one.outcome, result.changes, desk.requests) == (Outcome.WAITS, (), [])
    assert [(item.release.version, item.ready) for item in one.decision.passed] == [(NEW, NOW + timedelta(hours=4))]
    assert not (tmp_path / "registry").exists()


def test_the_release_before_a_young_one_is_taken(tmp_path: Path) -> None:
    """It had its time."""
    desk = bench(tmp_path, resolving, packages=registry(OLD, NEW, NEWEST, ages={NEWEST: 1}))

    assert updated(desk, "claude").changes[0].after == f"{CLAUDE} {NEW}"


@pytest.mark.parametrize(("days", "version"), [(0, NEWEST), (0.5, NEW), (7, OLD)])
def test_one_run_may_wait_shorter_or_longer(tmp_path: Path, days: float, version: str) -> None:
    """Than the definition says."""
    desk = bench(tmp_path, resolving, packages=registry(OLD, NEW, NEWEST, ages={NEW: 20, NEWEST: 1}))
    one = report(updated(desk, "claude", days=days))

    assert one.decision.taken is not None
    assert one.decision.taken.version == version


def of_claude(found: Definitions, **changes: Any) -> Definitions:
    """Return definitions in which that of claude says something else."""
    defined = found.agents["claude"]
    spec = defined.model.spec.model_copy(update=changes)
    model = defined.model.model_copy(update={"spec": spec})
    return replace(found, agents={**found.agents, "claude": replace(defined, model=model)})


def test_each_component_says_how_long_its_releases_wait(tmp_path: Path) -> None:
    """And changing that makes no lock stale."""
    patient = of_claude(definitions(), cool_down=3)
    desk = bench(tmp_path, resolving, packages=registry(OLD, NEW, ages={NEW: 48}))

    assert updated(desk, item=project(tmp_path, BOTH, patient)).packages == ()
    assert report(updated(desk, "claude", item=project(tmp_path, BOTH, patient))).outcome is Outcome.WAITS
    assert report(updated(desk, "claude")).outcome is Outcome.MOVED


def test_a_component_that_was_never_locked_waits_too(tmp_path: Path) -> None:
    """With an older release where there is one, with an error where there is none."""
    item = project(tmp_path, replace(BOTH, agents={"picky": BOTH.agents["picky"]}))
    first = bench(tmp_path, resolving, packages=registry(OLD, NEW, ages={NEW: 1}))
    assert updated(first, item=item).changes[0].after == f"{CLAUDE} {OLD}"

    with pytest.raises(ResolveError, match=r"no release of .* is old enough yet: 2\.1\.331 was published") as caught:
        updated(bench(tmp_path, resolving, packages=registry(NEW, ages={NEW: 1})), item=item).raise_for_errors()
    assert caught.value.message.endswith("2026-11-21 11:00 UTC, and waits until 2026-11-22 11:00")
    assert caught.value.remedy == "wait, or take it now: agc lock --upgrade claude --cool-down 0"


SCRIPT: dict[str, Any] = {"scripts": {"postinstall": "node x.js"}}


def test_a_release_that_gained_a_script_is_refused(tmp_path: Path) -> None:
    """With the fact, the old and the new value, and the command that takes it; what is locked stays."""
    desk = bench(tmp_path, resolving, packages=registry(OLD, NEW, **SCRIPT))
    result = updated(desk, "claude")

    one = report(result)
    assert (one.outcome, result.changes, desk.requests) == (Outcome.REFUSED, (), [])
    assert one.decision.concerns[0] == Concern(Fact.SCRIPTS, CLAUDE, "none", "postinstall: node x.js")
    assert one.accept == f"agc lock --upgrade claude --accept {CLAUDE}@{NEW}"
    assert not (tmp_path / "registry").exists()


def test_what_was_accepted_is_locked(tmp_path: Path) -> None:
    """That release alone."""
    desk = bench(tmp_path, resolving, packages=registry(OLD, NEW, **SCRIPT))

    assert updated(desk, "claude", accept=f"{CLAUDE}@{NEWEST}").changes == ()
    assert updated(desk, "claude", accept=f"{CLAUDE}@{NEW}").changes[0].after == f"{CLAUDE} {NEW}"


def test_a_refusal_stops_no_other_component(tmp_path: Path) -> None:
    """Each has its own file."""
    packages = registry(OLD, NEW, **SCRIPT)
    packages["picky"] = npm_document("picky", VERSIONS["picky"], "1.0.1")
    desk = bench(tmp_path, resolving, packages=packages)
    result = updated(desk, "claude", "picky")

    assert [change.component for change in result.changes] == ["agents/picky"]
    assert [one.outcome for one in result.packages] == [Outcome.REFUSED, Outcome.MOVED]


def test_a_refused_release_is_an_error_where_what_is_locked_cannot_stay(tmp_path: Path) -> None:
    """There is nothing to build from; other components are locked all the same."""
    (package,) = definitions().agents["claude"].model.spec.packages
    wanted = of_claude(definitions(), packages=(package.model_copy(update={"version": NEW}),))
    desk = bench(tmp_path, resolving, packages=registry(OLD, NEW, **SCRIPT))

    with pytest.raises(RefusedError) as caught:
        updated(desk, item=project(tmp_path, BOTH, wanted)).raise_for_errors()
    assert caught.value.exit_code is ExitCode.REFUSED
    assert f"install scripts of {CLAUDE}: none → postinstall: node x.js" in caught.value.message
    assert caught.value.remedy == f"look at it; then agc lock --upgrade claude --accept {CLAUDE}@{NEW}"


def test_a_version_that_was_written_does_not_wait(tmp_path: Path) -> None:
    """Somebody chose it; the report has its age."""
    (package,) = definitions().agents["claude"].model.spec.packages
    wanted = of_claude(definitions(), packages=(package.model_copy(update={"version": NEW}),))
    desk = bench(tmp_path, resolving, packages=registry(OLD, NEW, ages={NEW: 1}))
    one = report(updated(desk, item=project(tmp_path, BOTH, wanted)))

    assert one.outcome is Outcome.MOVED
    assert one.decision.chosen is not None
    assert one.decision.chosen.published == NOW - timedelta(hours=1)


def test_other_bytes_of_the_version_that_is_locked_are_refused(tmp_path: Path) -> None:
    """A release does not change; whoever changed it may be no friend."""
    packages = registry(OLD)
    name = NATIVE[0]
    packages[name.replace("/", "%2F")]["versions"][OLD]["dist"]["integrity"] = "sha512-other"
    result = updated(bench(tmp_path, resolving, packages=packages), "claude")

    one = report(result)
    assert (one.outcome, result.changes) == (Outcome.REFUSED, ())
    assert [(concern.fact, concern.package, concern.after) for concern in one.decision.concerns] == [
        (Fact.CONTENT, name, "sha512-other")
    ]


def test_an_archive_that_is_gone_is_told_and_stops_nothing(tmp_path: Path) -> None:
    """People may unpublish; the new release is there."""

    def answer(request: Request) -> Answer:
        if request.state.name == "list archives":
            return Answer(error=SourceGoneError("https://registry.npmjs.org/old.tgz"))
        return resolving(request)

    result = updated(bench(tmp_path, answer, packages=registry(OLD, NEW)), "claude")

    one = report(result)
    assert one.gone == "https://registry.npmjs.org/old.tgz"
    assert {diff.files for diff in one.archives} == {None}
    assert result.changes[0].after == f"{CLAUDE} {NEW}"


TREE = NpmArchive.model_validate({"npm": "picky", "tree": True, "binaries": {"picky": "a.js"}})


def tree_entry(name: str, version: str, **more: Any) -> dict[str, Any]:
    """Return what package-lock.json says of a package, at the integrity that its archive has."""
    dist = npm_document(name, version)["versions"][version]["dist"]
    return {"resolved": dist["tarball"], "integrity": dist["integrity"], **more}


class Trees:
    """A project whose agent `picky` is a tree, and an npm that answers with what it is told."""

    def __init__(self, folder: Path) -> None:
        found = definitions()
        defined = found.agents["picky"]
        spec = defined.model.spec.model_copy(update={"packages": (TREE,)})
        model = defined.model.model_copy(update={"spec": spec})
        self.found = replace(found, agents={"picky": replace(defined, model=model)})
        self.folder = folder

    def updated(self, pins: Locks, answer: Mapping[str, Any] | str, *versions: str) -> LockResult:
        """Upgrade the agent where npm answers with these packages, or refuses for the age of one that it names."""
        packages = {**npm_registry(), "picky": npm_document("picky", *versions)}

        def engine(request: Request) -> Answer:
            if not request.state.name.startswith("resolve the dependencies"):
                return resolving(request)
            if isinstance(answer, str):
                words = f"npm error No matching version found for {answer} with a date before 11/20/2026, 12:00:00 PM."
                return Answer(error=BuildError("exit code 1", step=FailedStep("npm", 1, (words,))))
            return Answer(files={"package-lock.json": json.dumps({"packages": answer}).encode()})

        desk = bench(self.folder, engine, packages=packages)
        return updated(desk, "picky", item=project(self.folder, pins, self.found))

    def locked(self, answer: Mapping[str, Any], version: str) -> Locks:
        """Return locks that hold this tree."""
        pins = locks(self.found, ("image", "bootstrap"))
        empty = replace(pins, agents={})
        self.updated(empty, answer, version).raise_for_errors()
        text = json.loads((self.folder / "registry/lock/agents/picky.json").read_text())
        del text["checksum"]
        return pins.with_lock(PackagesLock.model_validate(text))


def modules(**versions: str) -> dict[str, Any]:
    """Return a tree of packages, with these versions."""
    return {f"node_modules/{name}": tree_entry(name, version) for name, version in versions.items()}


def test_the_dependencies_of_a_tree_are_compared(tmp_path: Path) -> None:
    """What came, what went, what is another version."""
    trees = Trees(tmp_path)
    pins = trees.locked(modules(picky="1.0.0", a="1.0.0", b="1.0.0", c="1.0.0"), "1.0.0")
    one = report(trees.updated(pins, modules(picky="1.0.1", b="1.0.0", c="2.0.0", d="1.0.0"), "1.0.0", "1.0.1"))

    assert one.tree == TreeDiff((("d", "1.0.0"),), (("a", "1.0.0"),), (("c", "1.0.0", "2.0.0"),), kept=1)
    assert [diff.package for diff in one.archives] == ["picky"]


def test_dependencies_move_where_the_release_itself_does_not(tmp_path: Path) -> None:
    """That is what an upgrade of it asks for."""
    trees = Trees(tmp_path)
    pins = trees.locked(modules(picky="1.0.0", a="1.0.0"), "1.0.0")
    result = trees.updated(pins, modules(picky="1.0.0", a="1.1.0"), "1.0.0")

    assert report(result).outcome is Outcome.MOVED
    assert [change.component for change in result.changes] == ["agents/picky"]


def test_dependencies_do_not_go_back(tmp_path: Path) -> None:
    """They were locked when less patience was asked for; they stay until what is newer is old enough."""
    trees = Trees(tmp_path)
    pins = trees.locked(modules(picky="1.0.0", a="1.1.0"), "1.0.0")
    result = trees.updated(pins, modules(picky="1.0.0", a="1.0.0"), "1.0.0")

    assert (report(result).outcome, result.changes) == (Outcome.STAYS, ())
    assert "which stay" in report(result).decision.note


def test_a_release_whose_dependency_is_too_young_waits_with_it(tmp_path: Path) -> None:
    """It is old enough itself."""
    trees = Trees(tmp_path)
    pins = trees.locked(modules(picky="1.0.0"), "1.0.0")
    result = trees.updated(pins, "b@^2", "1.0.0", "1.0.1")

    one = report(result)
    assert (one.outcome, result.changes) == (Outcome.WAITS, ())
    assert one.decision.passed[0].hindrance is Hindrance.NEEDS
    assert one.decision.note == "picky 1.0.1 needs what is too young to be taken: b@^2"


def test_the_lock_of_a_tree_answers_its_definition(tmp_path: Path) -> None:
    """A second run finds nothing to do."""
    trees = Trees(tmp_path)
    pins = trees.locked(modules(picky="1.0.0"), "1.0.0")

    assert pins.agents["picky"].inputs == packages_inputs((TREE,))


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("left-pad/-/left-pad-1.3.0.tgz", "1.3.0"),
        ("@openai/codex/-/codex-0.169.0-linux-x64.tgz", "0.169.0-linux-x64"),
    ],
)
def test_a_version_is_read_from_the_name_of_its_archive(path: str, version: str) -> None:
    """The lock says it nowhere else."""
    assert version_in(path) == version


def test_where_a_refusal_is_written_is_told(tmp_path: Path) -> None:
    """As for every error of a definition."""
    (package,) = definitions().agents["claude"].model.spec.packages
    wanted = of_claude(definitions(), packages=(package.model_copy(update={"version": NEW}),))
    desk = bench(tmp_path, resolving, packages=registry(OLD, NEW, **SCRIPT))

    (error,) = updated(desk, item=project(tmp_path, BOTH, wanted)).errors
    assert error.location == Location("definitions/agents/claude.yaml", 10, 7)
