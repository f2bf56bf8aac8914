"""What scripts rely on: the form of `--json`, plans without an engine, an installed `agc`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

from tests.engine.support import CHECKOUT, IMAGE, NOWHERE, Agc, Run, layers_of, write_files

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
AGENT = """\
apiVersion: agentcontainers/v1
kind: Agent
metadata:
  name: chatter
  description: A small agent of somebody else.
spec:
  packages:
    - npm: semver
      version: 7.7.2
      binaries: {chatter: bin/semver.js}
  command: [chatter]
  requires: [node >=20, git]
  licence: {publish: baked, name: ISC}
  smoke:
    - name: chats
      run: [chatter, --range, "1.x", 1.2.3, 2.0.0]
      contains: 1.2.3
"""


def test_json_of_a_build_has_the_documented_form(first: Run) -> None:
    """One object on the last line: images, their platforms, their layers, tests and times."""
    (line,) = first.stdout.splitlines()
    document = json.loads(line)

    assert set(document) == {"images"}
    (image,) = document["images"]
    assert {"name", "digest", "graphDigest", "platforms", "smoke", "seconds"} <= set(image)
    assert image["name"] == IMAGE
    (platform,) = image["platforms"]
    assert set(platform) == {"platform", "digest", "graphDigest", "layers"}
    assert re.fullmatch("linux/(amd64|arm64)", platform["platform"])
    for layer in platform["layers"]:
        assert set(layer) == {"component", "digest", "size", "cached"}
        assert (type(layer["size"]), type(layer["cached"])) == (int, bool)
        assert layer["size"] > 0
    digests = [image["digest"], image["graphDigest"], platform["digest"], platform["graphDigest"]]
    assert all(DIGEST.fullmatch(digest) for digest in [*digests, *layers_of(image).values()])
    assert list(layers_of(image)) == [
        "roots/debian-trixie",
        "common-tools/default",
        "bases/node-bun",
        "toolchains/node",
        "toolchains/bun",
        "agents/claude",
    ]
    assert set(image["smoke"]) == {"passed", "failed"}
    assert all(isinstance(spent, float) and spent >= 0 for spent in image["seconds"].values())


def test_the_summary_for_people_says_the_same(agc: Agc, first: Run, image_layout: Path) -> None:
    """Name, digest, size of each layer, time of each stage, and the command that runs it."""
    shown = agc("build", IMAGE, "-q", "-o", f"oci:{image_layout}").stdout

    assert shown.startswith(IMAGE)
    assert first.image["digest"] in shown
    assert all(re.search(rf"{re.escape(component)} +[\d.]+ [kM]B", shown) for component in layers_of(first.image))
    assert re.search(r"time +plan [\d.]+s.*total [\d.]+s", shown)
    assert "docker run --rm -it -e ANTHROPIC_API_KEY" in shown


def test_a_plan_needs_neither_engine_nor_network(agc: Agc, first: Run, tmp_path: Path) -> None:
    """Names and graph digests as a build has them, with an engine that does not answer and no network at all."""
    alone = agc.given(BUILDKIT_HOST=NOWHERE, AGC_CACHE=str(tmp_path / "none"), https_proxy="http://127.0.0.1:1")
    command = ["plan", IMAGE, "--json"]

    planned = alone(*command).image

    assert (planned["name"], planned["graphDigest"]) == (IMAGE, first.image["graphDigest"])
    ours, theirs = planned["platforms"][0], first.image["platforms"][0]
    assert ours["graphDigest"] == theirs["graphDigest"]
    assert [layer["component"] for layer in ours["layers"]] == [layer["component"] for layer in theirs["layers"]]
    assert not (tmp_path / "none").exists()


def test_a_plan_works_where_there_is_no_network_device(agc: Agc, first: Run) -> None:
    """In a network namespace of its own nothing can be reached, and nothing is missed."""
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine makes no network namespaces")
    program = "import sys; from pipeline.cli import main; sys.exit(main())"
    isolated = ["unshare", "--net", sys.executable, "-c", program, "plan", IMAGE, "--json"]

    done = subprocess.run(isolated, capture_output=True, text=True, check=True, env=agc.variables(), cwd=CHECKOUT)

    assert json.loads(done.stdout)["images"][0]["graphDigest"] == first.image["graphDigest"]


def test_engine_status_and_stop_answer_in_json(agc: Agc, first: Run) -> None:
    """Status tells pid, address and disk; after a stop none runs, and the next build starts one."""
    status = agc("engine", "status", "--json").json
    assert status["running"] is True
    assert {"address", "pid", "version", "root", "diskBytes"} <= set(status)

    assert agc("engine", "stop", "--json").json == {"stopped": True}
    assert agc("engine", "status", "--json").json["running"] is False
    assert agc("engine", "stop", "--json").json == {"stopped": False}
    assert agc("build", IMAGE, "--json", "-o", "none").image["digest"] == first.image["digest"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel of this checkout into a fresh environment, with the packages this one has beside it."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).parent / "uv"
    if not uv.is_file():
        pytest.skip("uv is not installed, and the wheel is built with it")
    # Built from a copy, so that nothing of the build stays in the checkout.
    names = ("pipeline", "definitions", "registry", "templates", "pyproject.toml", "README.md", "LICENSE")
    for name in names:
        source = CHECKOUT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / "source" / name)
    built = subprocess.run(
        [uv, "build", "--quiet", "--wheel", "--out-dir", folder, folder / "source"],
        check=False,
        capture_output=True,
        text=True,
    )
    if built.returncode != 0 and "fetch" in built.stderr:
        pytest.skip("the package index with the build back end cannot be reached")
    assert built.returncode == 0, built.stderr
    shutil.rmtree(folder / "source")
    venv.create(folder / "env", symlinks=True)
    (wheel,) = folder.glob("*.whl")
    python = folder / "env" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", f"--python={python}", wheel], check=True)
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    # A folder named in a .pth file is searched, but the .pth files in it, our own editable one, are not read.
    (site / "beside.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env" / "bin" / "agc"


def _run(program: Path, agc: Agc, folder: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [program, *arguments, "--json"], cwd=folder, env=agc.variables(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_an_installed_agc_carries_its_definitions(installed: Path, agc: Agc, first: Run, tmp_path: Path) -> None:
    """In an empty folder it plans the shipped images, from its own files, to the same digests."""
    env = installed.parents[1]
    python = env / "bin" / "python"
    where = subprocess.run(
        [python, "-c", "import pipeline; print(pipeline.__file__)"], capture_output=True, text=True, check=True, cwd="/"
    )

    (image,) = _run(installed, agc, tmp_path, "plan", IMAGE)["images"]

    assert Path(where.stdout).is_relative_to(env)
    assert image["graphDigest"] == first.image["graphDigest"]


def test_an_installed_agc_serves_a_project_of_its_own(installed: Path, agc: Agc, first: Run, tmp_path: Path) -> None:
    """A project with one definition gets it locked, built on the shipped base, and tested; only its lock is written."""
    project = write_files(tmp_path / "theirs", {"definitions/chatter.yaml": AGENT})

    locked = _run(installed, agc, tmp_path, "lock", "-C", "theirs")
    (image,) = _run(installed, agc, tmp_path, "build", "node-bun-chatter", "-C", "theirs", "-o", "oci:out")["images"]

    assert [change["component"] for change in locked["changes"]] == ["agents/chatter"]
    assert sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()) == [
        "definitions/chatter.yaml",
        "registry/lock/agents/chatter.json",
    ]
    assert image["smoke"]["failed"] == 0
    shared = layers_of(first.image).items() & layers_of(image).items()
    assert [name for name, _ in sorted(shared)] == [
        "bases/node-bun",
        "common-tools/default",
        "roots/debian-trixie",
        "toolchains/bun",
        "toolchains/node",
    ]
    assert (tmp_path / "out" / "index.json").is_file()
