"""A real Dagger engine: it builds and tests an image from the bootstrapped root, and the files are BuildKit's.

Runs where an engine answers: `_EXPERIMENTAL_DAGGER_RUNNER_HOST` names one, or Docker runs and can start one. The
program `dagger` is needed too: `_EXPERIMENTAL_DAGGER_CLI_BIN`, or `dagger` on PATH.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("dagger", reason="dagger-io is not installed")

import dagger
import graphql
import psutil
import zstandard
from dagger.mod import default_module

from pipeline.dagger_module import Agc as Module
from pipeline.dagger_module import AgcFailedError
from pipeline.digest import Digest
from pipeline.engine.dagger.connection import connect
from pipeline.engine.layout import blob_path, read_manifest
from pipeline.errors import EngineError
from pipeline.settings import load_settings
from tests.conftest import GOLDEN
from tests.engine.small import small_project
from tests.engine.support import IMAGE, Agc, Run, finish, interrupt

RUNNER = "_EXPERIMENTAL_DAGGER_RUNNER_HOST"
PROGRAM = "_EXPERIMENTAL_DAGGER_CLI_BIN"

KNOWN_DIFFERENCES: Mapping[str, str] = {}
"""Paths that Dagger cannot make as BuildKit does, each with the reason. Times are not compared: see repack.py."""

Entry = tuple[str, int, int, int, int, str]
"""Type, mode, uid, gid, size, and the SHA-256 or where a link leads."""


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    """Skip where there is no engine; one that is named must answer."""
    if not (os.environ.get(RUNNER) or _docker_runs()):
        pytest.skip(f"no Dagger engine: {RUNNER} is not set, and Docker does not run")
    program = os.environ.get(PROGRAM) or shutil.which("dagger")
    if not program:
        pytest.skip(f"no program dagger: {PROGRAM} is not set, and there is none on PATH")
    os.environ[PROGRAM] = program

    async def ask() -> None:
        async with connect(load_settings(Path("/nonexistent"), os.environ)):
            pass

    try:
        anyio.run(ask)
    except EngineError as error:
        if os.environ.get(RUNNER):
            raise
        pytest.skip(error.message.splitlines()[0])


def _docker_runs() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([str(docker), "info"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def built(agc: Agc, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """Return a build by Dagger, and its layout."""
    out = tmp_path_factory.mktemp("dagger") / "out"
    return agc("--engine", "dagger", "build", IMAGE, "--output", f"oci:{out}", "--json"), out


def tree(layout: Path, manifest: Digest) -> dict[str, Entry]:
    """Return the files of an image, those of a layer on top of those below it."""
    files: dict[str, Entry] = {}
    for layer in read_manifest(layout, manifest).layers:
        with blob_path(layout, layer.digest).open("rb") as blob:
            data = zstandard.ZstdDecompressor().stream_reader(blob).read()
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for entry in tar:
                name = entry.name.removeprefix("./").strip("/")
                folder, _, last = name.rpartition("/")
                if last.startswith(".wh."):
                    gone = f"{folder}/{last.removeprefix('.wh.')}".strip("/")
                    files = {path: held for path, held in files.items() if f"{path}/".find(f"{gone}/") != 0}
                elif name not in {"", "."}:
                    files[name] = _entry(tar, entry)
    return files


def _entry(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Entry:
    # A hard link is a name like any other of its file.
    reader = tar.extractfile(entry) if entry.isreg() or entry.islnk() else None
    data = reader.read() if reader else b""
    said = hashlib.sha256(data).hexdigest() if reader else entry.linkname
    kind = "file" if reader else {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link"}.get(entry.type, "other")
    return kind, entry.mode & 0o7777, entry.uid, entry.gid, len(data), said


def test_an_image_is_built_and_passes_its_smoke_tests(built: tuple[Run, Path]) -> None:
    """All of them, the one without network in which the agent really works too."""
    run, _ = built

    assert run.image["smoke"]["failed"] == 0
    assert run.image["smoke"]["passed"] > 0


def test_the_files_are_those_of_buildkit(agc: Agc, first: Run, built: tuple[Run, Path], tmp_path: Path) -> None:
    """Path, type, mode, owner, size, content and link target of every file."""
    run, out = built
    other = agc("build", IMAGE, "--output", f"oci:{tmp_path / 'out'}", "--json")

    theirs = tree(tmp_path / "out", Digest(other.image["platforms"][0]["digest"]))
    ours = tree(out, Digest(run.image["platforms"][0]["digest"]))

    different = {path for path in theirs.keys() | ours.keys() if theirs.get(path) != ours.get(path)}
    assert different == set(KNOWN_DIFFERENCES), sorted(different)[:20]
    assert first.image["platforms"][0]["digest"] == other.image["platforms"][0]["digest"]
    assert run.image["graphDigest"] == other.image["graphDigest"]


def test_what_is_packed_is_the_same_again(agc: Agc, built: tuple[Run, Path], tmp_path: Path) -> None:
    """From the engine's cache as from nothing: what Dagger exports may differ, what we make of it may not."""
    run, _ = built

    again = agc("--engine", "dagger", "build", IMAGE, "--output", f"oci:{tmp_path / 'out'}", "--json")

    assert again.image["platforms"][0]["digest"] == run.image["platforms"][0]["digest"]


def test_the_config_is_ours(built: tuple[Run, Path]) -> None:
    """With what Dagger has no words for."""
    run, out = built
    manifest = read_manifest(out, Digest(run.image["platforms"][0]["digest"]))

    config = json.loads(blob_path(out, manifest.config.digest).read_bytes())["config"]

    assert config["StopSignal"] == "SIGTERM"
    assert config["Volumes"]


def test_a_failed_smoke_test_ends_with_its_exit_code(agc: Agc, tmp_path: Path) -> None:
    """And nothing is written."""
    project = small_project(tmp_path / "p", "    - name: fails\n      run: [sh, -c, 'echo said; exit 3']\n")

    run = agc("--engine", "dagger", "build", "small", "-o", f"oci:{tmp_path / 'out'}", "--json", project=project)

    assert run.code == 8, run.stderr
    assert "said" in run.error["message"]
    assert not (tmp_path / "out" / "index.json").exists()


def test_no_engine_is_told(agc: Agc) -> None:
    """With what to look at."""
    run = agc.given(**{RUNNER: "unix:///nonexistent/engine.sock"})("--engine", "dagger", "smoke", IMAGE, "--json")

    assert run.error["code"] == "engine"
    assert RUNNER in run.error["remedy"]


@pytest.mark.parametrize("ends", ["lost", "interrupted"])
def test_what_ends_in_the_middle_writes_nothing(agc: Agc, tmp_path: Path, ends: str) -> None:
    """A session that is lost is the engine's fault, one that was interrupted is nobody's."""
    # Never the same, or a test that had passed would come from the cache.
    slow = f"    - name: slow\n      timeout: 120\n      run: [sh, -c, 'sleep 60; echo {tmp_path}']\n"
    project = small_project(tmp_path / "p", slow)
    out = tmp_path / "out"
    build = ("--engine", "dagger", "build", "small", "-o", f"oci:{out}", "--json")
    process = agc.start(*build, project=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr
    # The image is there, and its one test under way.
    next(line for line in process.stderr if "bases/small … done" in line)
    if ends == "lost":
        children = psutil.Process(process.pid).children()
        for child in children:
            child.kill()
        assert children
        run = finish(process)
    else:
        run = interrupt(process)

    assert run.error["code"] == ("engine" if ends == "lost" else "interrupted")
    assert not (out / "index.json").exists()


def test_the_recorded_calls_are_valid_by_the_engine() -> None:
    """Its own schema, in the place of what the SDK says of it."""

    async def ask() -> graphql.GraphQLSchema:
        async with connect(load_settings(Path("/nonexistent"), os.environ)):
            return await dagger.dag._ctx.conn.session.get_schema()

    schema = anyio.run(ask)
    # graphql-core knows nothing of interfaces that implement others, for which the SDK turns its check off as well.
    rules = [rule for rule in graphql.specified_rules if rule.__name__ != "PossibleFragmentSpreadsRule"]
    for file in sorted((GOLDEN / "dagger").glob("*.graphql")):
        for query in graphql.parse(file.read_text()).definitions:
            errors = graphql.validate(schema, graphql.DocumentNode(definitions=(query,)), rules)
            assert not errors, f"{file.name}: {errors}"


def test_the_module_is_registered_and_its_functions_run(
    agc: Agc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a live connection, as the module's own runtime has it."""
    monkeypatch.chdir(tmp_path)
    module = default_module()
    monkeypatch.setattr(module, "_main_name", "Agc")
    monkeypatch.setattr(module, "_main", module.get_object("Agc"))

    async def ask() -> None:
        async with dagger.connection():
            assert await module._typedefs()
            roots = dagger.dag.host().directory(str(agc.cache / "roots"))
            make: Any = Module
            called = make(roots=roots)
            assert (await called.validate()).startswith("valid: ")
            container = await called.build(IMAGE)
            assert await container.entrypoint() == ["/usr/bin/tini", "--"]
            assert "Claude Code" in await container.with_exec(["claude", "--version"]).stdout()
            layout = await called.build_all([IMAGE])
            assert "index.json" in await layout.entries()
            assert "passed" in await called.smoke([IMAGE])
            with pytest.raises(AgcFailedError, match="did you mean"):
                await called.build("node-bun-cloude")

    anyio.run(ask)
    assert list(tmp_path.iterdir()) == []
