"""A package of PyPI, from an index on loopback to a command in an image."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ExitCode
from pipeline.platform import host_platform
from pipeline.settings import PYPI_FILES, PYPI_INDEX
from tests.engine.small import read_lock
from tests.engine.support import Agc, shelf, write_files

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

AGENT = """\
apiVersion: agentcontainers/v1
kind: Agent
metadata:
  name: greeter
spec:
  packages:
    - pypi: greeter
      python: "3.13"
      extras: [loud]
      binaries: {greeter: bin/greeter}
  command: [greeter]
  requires: ["python >=3.13 <3.14"]
  licence: {publish: baked, name: ISC}
  smoke:
    - name: greets
      run: [greeter]
      contains: HELLO FROM {version}
    - name: stands-in-nobodys-way
      run: [sh, -ec, "! python3 -c 'import greeter' 2>/dev/null && test ! -w /opt/agents/greeter && echo apart"]
      contains: apart
"""
LOCK = Path("registry/lock/agents/greeter.json")
MACHINE = host_platform().machine


@dataclass
class Index:
    """An index of packages with pages in HTML, and their files."""

    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, list[str]] = field(default_factory=dict)
    address: str = ""

    def publish(self, name: str, version: str, files: dict[str, str], *, hours: float = 99, **metadata: str) -> None:
        """Publish a wheel so many hours ago."""
        packed, folder = io.BytesIO(), f"{name}-{version}.dist-info"
        lines = [f"{key.replace('_', '-')}: {value}" for key, value in metadata.items() if key != "entry"]
        head = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines])
        everything = {
            **files,
            f"{folder}/METADATA": head + "\n",
            f"{folder}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{folder}/RECORD": "",
        }
        if "entry" in metadata:
            everything[f"{folder}/entry_points.txt"] = f"[console_scripts]\n{metadata['entry']}\n"
        with zipfile.ZipFile(packed, "w") as archive:
            for path, text in everything.items():
                archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)
        path = f"packages/{name}-{version}-py3-none-any.whl"
        self.files[path] = packed.getvalue()
        sha256 = hashlib.sha256(packed.getvalue()).hexdigest()
        time = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        link = f'<a href="/{path}#sha256={sha256}" data-upload-time="{time}">{path.rpartition("/")[2]}</a>'
        self.links.setdefault(name, []).append(link)

    def answer(self, path: str) -> bytes | None:
        """Return what is at a path."""
        name = path.removeprefix("simple/").rstrip("/")
        if path.startswith("simple/") and name in self.links:
            return f"<!DOCTYPE html><html><body>{''.join(self.links[name])}</body></html>".encode()
        return self.files.get(path)


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    """Yield an index with a package, and one that its extra needs."""
    made = Index()
    made.publish("loudly", "3.0", {"loudly.py": "def say(text):\n    print(text.upper())\n"})
    program = "import loudly\n\ndef main():\n    loudly.say('hello from {}')\n"
    needs: dict[str, Any] = {"Provides_Extra": "loud", "Requires_Dist": 'loudly; extra == "loud"'}
    needs["entry"] = "greeter = greeter:main"
    made.publish("greeter", "1.0", {"greeter.py": program.format("1.0")}, **needs)
    made.publish("greeter", "2.0", {"greeter.py": program.format("2.0")}, hours=3, **needs)
    with shelf(made.answer) as made.address:
        yield made


@pytest.fixture(scope="module")
def mirrored(agc: Agc, index: Index) -> Agc:
    """Return `agc` with that index in place of PyPI."""
    return agc.given(AGC_MIRRORS=f"{PYPI_INDEX}={index.address}simple/,{PYPI_FILES}={index.address}")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with one agent."""
    return write_files(tmp_path_factory.mktemp("wheels"), {"definitions/greeter.yaml": AGENT})


def test_a_package_is_resolved_with_what_it_needs_and_waits(mirrored: Agc, project: Path) -> None:
    """The release of three hours ago waits; wheels are pinned by where they lie below the index's files."""
    locked = mirrored("lock", "--json", project=project)
    assert locked.code == 0, locked.stderr
    (package,) = locked.json["packages"]
    (pin,) = read_lock(project / LOCK)["packages"]

    assert (package["outcome"], package["after"]["version"]) == ("new", "1.0")
    assert [item["version"] for item in package["passedOver"]] == ["2.0"]
    assert [(wheel["package"], wheel["path"]) for wheel in pin["wheels"]] == [
        ("greeter", "packages/greeter-1.0-py3-none-any.whl"),
        ("loudly", "packages/loudly-3.0-py3-none-any.whl"),
    ]


def test_wheels_from_a_mirror_become_a_command(agc: Agc, index: Index, project: Path, tmp_path: Path) -> None:
    """Installed without a network, in an environment of their own. What else there is comes from PyPI."""
    files = ",".join(f"{PYPI_FILES}{path}={index.address}{path}" for path in index.files)
    built = agc.given(AGC_MIRRORS=files)(
        "build", "python-greeter", "--json", "--output", f"oci:{tmp_path / 'out'}", project=project
    )

    assert built.code == 0, built.stderr
    assert built.image["smoke"]["failed"] == 0
    assert built.image["platforms"][0]["layers"][-1]["component"] == "agents/greeter"


def test_a_wheel_that_was_altered_is_refused(agc: Agc, mirrored: Agc, index: Index, project: Path) -> None:
    """By its hash."""
    exact = AGENT.replace("pypi: greeter", 'pypi: greeter\n      version: "2.0"')
    write_files(project, {"definitions/greeter.yaml": exact})
    locked = mirrored("lock", "--json", project=project)
    assert locked.code == 0, locked.stderr
    index.files["packages/greeter-2.0-py3-none-any.whl"] += b" "
    files = ",".join(f"{PYPI_FILES}{path}={index.address}{path}" for path in index.files)
    built = agc.given(AGC_MIRRORS=files)("build", "python-greeter", project=project)

    assert built.code == ExitCode.INTEGRITY, built.stderr
    assert "greeter-2.0-py3-none-any.whl" in built.stderr
