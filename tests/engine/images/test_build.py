"""The same image from the same definitions: pruned, elsewhere, by others, twice at once; and nothing done twice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.engine.support import (
    CHECKOUT,
    IMAGE,
    Agc,
    Mirror,
    Run,
    copy_checkout,
    files_below,
    finish,
    forward_proxy,
    layers_of,
    new_cache,
    write_files,
)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

MEGABYTE = 1_000_000
NPM = "https://registry.npmjs.org/"
CLAUDE = "definitions/agents/claude.yaml"
OLDER = "2.1.329"
SEMVER = """\
apiVersion: agentcontainers/v1
kind: Agent
metadata:
  name: semver
spec:
  packages:
    - npm: semver
      version: 7.7.2
      binaries:
        semver: bin/semver.js
  command: [semver]
  requires: [node >=20]
  licence:
    publish: baked
    name: ISC
  smoke:
    - name: answers
      run: [semver, 1.2.3]
      contains: 1.2.3
"""
# Every way a machine may differ that a program can notice without being told.
ELSEWHERE: Mapping[str, str | None] = {
    "TZ": "Pacific/Kiritimati",
    "LC_ALL": "tr_TR.UTF-8",
    "LANG": None,
    "PYTHONHASHSEED": "4242",
    "SOURCE_DATE_EPOCH": "1",
    "TMPDIR": None,
    "GZIP": "-1",
}


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Return a project that adds an agent of its own to what the package ships."""
    return write_files(tmp_path / "foreign", {"definitions/semver.yaml": SEMVER})


def test_a_cold_build_ends_with_a_tested_image(first: Run) -> None:
    """From an empty cache to a digest, with every smoke test passed and layers that say they were built."""
    image = first.image

    assert image["smoke"]["failed"] == 0
    assert image["smoke"]["passed"] > 10
    assert [layer["cached"] for layer in image["platforms"][0]["layers"]][1:] == [False] * 5


def test_agc_stays_small_while_it_builds(first: Run) -> None:
    """Hundreds of megabytes are fetched, packed and written, and none of them passes through Python."""
    assert 10 * MEGABYTE < first.peak < 200 * MEGABYTE


def test_an_unchanged_image_is_not_built_again(agc: Agc, first: Run, image_layout: Path) -> None:
    """Every layer comes from the cache, and no blob of the layout is written anew."""
    before = files_below(image_layout / "blobs")

    again = agc("build", IMAGE, "--json", "-o", f"oci:{image_layout}").image

    assert again["digest"] == first.image["digest"]
    assert all(layer["cached"] for layer in again["platforms"][0]["layers"])
    assert files_below(image_layout / "blobs") == before
    assert [path.name for path in image_layout.parent.iterdir() if path.name.startswith(".")] == []


def test_an_unchanged_image_costs_little_more_than_starting_python(agc: Agc, first: Run, image_layout: Path) -> None:
    """Processor time of agc itself, without buildctl's, against a program that only imports its libraries."""
    program = (
        "import anyio, pydantic, typer, yaml\n"
        "class Model(pydantic.BaseModel):\n    field: int\n"
        "anyio.run(anyio.sleep, 0)"
    )
    spent, bare = [], []
    for _ in range(5):
        spent.append(agc("build", IMAGE, "--json", "-o", f"oci:{image_layout}").seconds)
        before = os.times().children_user + os.times().children_system
        subprocess.run([sys.executable, "-c", program], check=True)
        bare.append(os.times().children_user + os.times().children_system - before)

    assert 0 < min(spent) < 4 * min(bare)


def test_pruning_changes_no_digest_nor_do_two_builds_at_once(agc: Agc, first: Run, tmp_path: Path) -> None:
    """Two builds that start together on an emptied engine both make what the first build made."""
    freed = agc("engine", "prune", "--all", "--json").json["freedBytes"]
    running = [
        agc.start("build", IMAGE, "--json", "-o", f"oci:{tmp_path / name}", stdout=subprocess.PIPE, stderr=-3)
        for name in ("one", "other")
    ]
    ended = [finish(process) for process in running]

    assert freed > 100 * MEGABYTE
    assert [run.image["digest"] for run in ended] == [first.image["digest"]] * 2
    assert [layers_of(run.image) for run in ended] == [layers_of(first.image)] * 2
    assert files_below(tmp_path / "one").keys() == files_below(tmp_path / "other").keys()


def test_two_builds_at_once_share_a_layout(agc: Agc, first: Run, small: Path, tmp_path: Path) -> None:
    """Two images written into one layout at the same time are both in it, and nothing else is."""
    out = tmp_path / "out"
    running = [
        agc.start("build", name, "-q", "-o", f"oci:{out}", project=small, stdout=-3, stderr=-3)
        for name in ("small", IMAGE)
    ]

    assert [process.wait() for process in running] == [0, 0]
    assert {path.name for path in tmp_path.iterdir()} == {"small", "out"}
    listed = subprocess.run(
        ["grep", "-o", "ref.name[^,}]*", out / "index.json"], capture_output=True, text=True, check=True
    )
    assert listed.stdout.count(IMAGE) == 1
    assert listed.stdout.count('"small"') == 1


def test_another_clone_on_another_machine_builds_the_same(
    first: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone in a folder with a space, an empty cache, another home, zone, locale, mask, hash seed, CA and proxy."""
    clone = copy_checkout(tmp_path / "a clone with spaces")
    home = tmp_path / "home"
    home.mkdir()
    environment = {**ELSEWHERE, "PYTHONPATH": str(clone), "HOME": str(home)}
    asked: list[str] = []
    with new_cache() as there, forward_proxy(asked) as proxy:
        if not any(name.lower().endswith("_proxy") for name in there.variables()):
            address = f"http://somebody:hush-hush@{proxy}"
            environment |= {"http_proxy": address, "https_proxy": address, "no_proxy": "127.0.0.1"}
        run = there.given(**environment)("build", IMAGE, "--json", "-o", f"oci:{tmp_path / 'out'}", project=clone)

    if "has moved" in run.stderr + first.stderr:
        pytest.skip("the Debian archive has moved since the root was locked, so another one was made")
    assert run.image["digest"] == first.image["digest"]
    assert layers_of(run.image) == layers_of(first.image)
    assert run.image["graphDigest"] == first.image["graphDigest"]
    if "http_proxy" in environment:
        assert {"deb.debian.org", "registry.npmjs.org"} <= set(asked)


def test_two_clones_plan_the_same(agc: Agc, first: Run, tmp_path: Path) -> None:
    """Where a checkout lies and what its folder is called is in no digest."""
    clone = copy_checkout(tmp_path / "else where")

    run = agc.given(PYTHONPATH=str(clone))("plan", IMAGE, "--json", project=clone)

    assert run.image["graphDigest"] == first.image["graphDigest"]


@pytest.mark.parametrize(
    "environment",
    [
        {"TZ": "Pacific/Kiritimati"},
        {"LC_ALL": "tr_TR.UTF-8"},
        {"LC_ALL": "C", "PYTHONUTF8": "0"},
        {"HOME": "/nonexistent"},
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "2"},
        {"https_proxy": "http://somebody:hush-hush@127.0.0.1:1"},
        {"AGC_MIRRORS": f"{NPM}=http://127.0.0.1:1/"},
        {"SSL_CERT_FILE": "/nonexistent"},
    ],
    ids=str,
)
def test_the_environment_is_in_no_digest(agc: Agc, first: Run, environment: Mapping[str, str]) -> None:
    """The graph is the same whatever the environment of this machine says."""
    assert agc.given(**environment)("plan", IMAGE, "--json").image["graphDigest"] == first.image["graphDigest"]


def test_comments_and_the_order_of_keys_are_in_no_digest(agc: Agc, first: Run, tmp_path: Path) -> None:
    """All definitions written anew, keys sorted and comments different, make the same images and need no new lock."""
    for path in (CHECKOUT / "definitions").rglob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        text = "# another comment\n\n" + yaml.safe_dump(document, sort_keys=True)
        write_files(tmp_path, {str(path.relative_to(CHECKOUT)): text})
    assert (tmp_path / CLAUDE).read_text() != (CHECKOUT / CLAUDE).read_text()

    assert agc("lock", "--check", project=tmp_path).code == 0
    theirs, ours = (agc("plan", "--json", project=project).json["images"] for project in (tmp_path, CHECKOUT))
    assert [(one["name"], one["platforms"][0]["layers"], one["graphDigest"]) for one in theirs] == [
        (one["name"], one["platforms"][0]["layers"], one["graphDigest"]) for one in ours
    ]


def test_another_version_of_an_agent_changes_its_layer_alone(agc: Agc, first: Run, tmp_path: Path) -> None:
    """Moving claude writes one lock file and one layer; all layers below keep their digests."""
    text = (CHECKOUT / CLAUDE).read_text()
    assert "version: latest" in text
    write_files(tmp_path, {CLAUDE: text.replace("version: latest", f"version: {OLDER}")})

    locked = agc("lock", "--json", project=tmp_path)
    image = agc("build", IMAGE, "--json", "-o", "none", project=tmp_path).image

    assert [change["component"] for change in locked.json["changes"]] == ["agents/claude"], locked.stderr
    assert [str(path.relative_to(tmp_path)) for path in (tmp_path / "registry").rglob("*.json")] == [
        "registry/lock/agents/claude.json"
    ]
    now, before = layers_of(image), layers_of(first.image)
    assert {name for name in now if now[name] != before[name]} == {"agents/claude"}
    built = [layer["component"] for layer in image["platforms"][0]["layers"] if not layer["cached"]]
    assert built == ["agents/claude"]


def test_a_mirror_is_asked_and_is_in_no_digest(agc: Agc, first: Run, foreign: Path, tmp_path: Path) -> None:
    """An image locked and built through a mirror of the npm registry is the image built without one."""
    with Mirror(NPM).run() as mirror:
        mirrored = agc.given(AGC_MIRRORS=f"{NPM}={mirror.address}")
        assert mirrored("lock", project=foreign).code == 0
        through = mirrored("build", "node-bun-semver", "--json", "-o", "none", project=foreign).image
    lock = (foreign / "registry" / "lock" / "agents" / "semver.json").read_text()
    shutil.rmtree(foreign / "registry")

    assert agc("lock", project=foreign).code == 0
    direct = agc("build", "node-bun-semver", "--json", "-o", "none", project=foreign).image

    assert {"/semver", "/semver/-/semver-7.7.2.tgz"} <= set(mirror.asked)
    assert (foreign / "registry" / "lock" / "agents" / "semver.json").read_text() == lock
    assert (direct["digest"], direct["graphDigest"]) == (through["digest"], through["graphDigest"])
    assert layers_of(direct).items() - layers_of(first.image).items() == {
        ("agents/semver", layers_of(direct)["agents/semver"])
    }
