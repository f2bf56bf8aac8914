"""A real Dagger engine: it builds and tests an image from the bootstrapped root, and the files are BuildKit's.

Runs where an engine answers; see `dagger_engine.py`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("dagger", reason="dagger-io is not installed")

import dagger
import graphql
import zstandard
from dagger.mod import default_module

from pipeline.dagger_module import Agc as Module
from pipeline.dagger_module import AgcFailedError
from pipeline.digest import Digest
from pipeline.engine.dagger.connection import connect
from pipeline.engine.layout import blob_path, read_manifest
from pipeline.settings import load_settings
from tests.conftest import GOLDEN
from tests.engine.dagger_engine import require_engine
from tests.engine.small import small_project
from tests.engine.support import IMAGE, Agc, Run, write_files

KNOWN_DIFFERENCES: Mapping[str, str] = {}
"""Paths that Dagger cannot make as BuildKit does, each with the reason. Times are not compared: see repack.py."""

Entry = tuple[str, int, int, int, int, str]
"""Type, mode, uid, gid, size, and the SHA-256 or where a link leads."""


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    require_engine()


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


OURS = """\
apiVersion: agentcontainers/v1
kind: Base
metadata:
  name: ours
spec:
  extends: node-bun
  env:
    TEAM: blue
"""
CELL = """\
apiVersion: agentcontainers/v1
kind: Matrix
metadata:
  name: default
spec:
  cells:
    - base: ours
      agents: [claude]
      tier: v1
"""


def test_a_project_extends_what_the_module_ships(agc: Agc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its definitions alone are enough: the module locks them, and builds from that."""
    write_files(tmp_path / "images", {"bases/ours.yaml": OURS, "matrix.yaml": CELL})
    monkeypatch.chdir(tmp_path)

    async def ask() -> None:
        async with dagger.connection():
            host = dagger.dag.host()
            make: Any = Module
            given = {"definitions": host.directory("images"), "roots": host.directory(str(agc.cache / "roots"))}
            images = await make(**given).list_matrix(tier="v1")
            assert [line.split()[0] for line in images.splitlines()[1:]] == ["ours", "ours-claude"]
            with pytest.raises(AgcFailedError, match="bases/ours is not locked"):
                await make(**given).build("ours-claude")
            project = await make(**given).lock()
            assert await project.entries(path="registry/lock") == ["bases/"]
            roots = given["roots"]
            built = await make(project=project, roots=roots).build("ours-claude")
            assert await built.env_variable("TEAM") == "blue"
            assert "Claude Code" in await built.with_exec(["claude", "--version"]).stdout()
            generated = await make(project=project).generate(only=["ci"])
            assert await generated.file("definitions/bases/ours.yaml").contents() == OURS
            assert "ci/" in await generated.entries()
            catalog = project.with_new_file("registry/catalog.json", '{"schema": "nonsense"}')
            with pytest.raises(AgcFailedError, match="is a catalog of the form 'nonsense'"):
                await make(project=catalog).catalog()

    anyio.run(ask)
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_pruning_empties_the_engine_and_our_folder(agc: Agc) -> None:
    """By the engine's own policy; the archives it was given are made of the roots again when they are wanted."""
    archives = agc.cache / "dagger"
    before = sum(file.stat().st_size for file in archives.glob("*.tar"))

    run = agc("--engine", "dagger", "engine", "prune", "--json")

    assert run.code == 0, run.stderr
    assert run.json["freedBytes"] >= before > 0
    assert not archives.exists()
    assert any((agc.cache / "roots").iterdir())
