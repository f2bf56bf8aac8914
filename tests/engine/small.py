"""A project with the smallest base that makes an image, its lock written from pins the shipped lock has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.models.load import load_definitions
from pipeline.resolve.lock import render_lock, system_inputs
from pipeline.resolve.pins import PackagesLock, SystemLock
from tests.engine.support import CHECKOUT, write_files

BASE = """\
apiVersion: agentcontainers/v1
kind: Base
metadata:
  name: small
spec:
  root: debian-trixie
  debian: [tini]
  smoke:
"""
PASSES = """\
    - name: runs-as-dev
      run: [id, -un]
      contains: dev
"""
OTHER = """\
apiVersion: agentcontainers/v1
kind: Base
metadata:
  name: other
spec:
  extends: small
  env: {OTHER: "1"}
"""
"""A second base on the first: `definitions/bases/other.yaml`."""
SHIPPED_LOCK = CHECKOUT / "registry" / "lock"


def small_project(folder: Path, smoke: str = PASSES) -> Path:
    """Write the project into `folder` and return it; `smoke` is YAML."""
    write_files(folder, {"definitions/bases/small.yaml": BASE + smoke})
    lock_base(folder, "small", "tini")
    return folder


def lock_base(folder: Path, base: str, *packages: str) -> None:
    """Lock a base of a project to Debian packages, without common tools, as the lock of a shipped base has them."""
    definitions = load_definitions([CHECKOUT / "definitions", folder / "definitions"], folder)
    shipped = SystemLock.model_validate(read_lock(SHIPPED_LOCK / "bases" / "node-bun.json"))
    system = tuple(
        pins.model_copy(update={"packages": tuple(pin for pin in pins.packages if pin.name in packages), "tools": ()})
        for pins in shipped.system
    )
    inputs = system_inputs(definitions, definitions.bases[base].model.spec)
    write_lock(folder, SystemLock(component=f"bases/{base}", inputs=inputs, system=system))


def read_lock(path: Path) -> dict[str, Any]:
    """Return a lock file without its checksum."""
    document: dict[str, Any] = json.loads(path.read_text())
    del document["checksum"]
    return document


def write_lock(folder: Path, lock: SystemLock | PackagesLock) -> None:
    """Write a lock file of a project as `agc lock` does, checksum and all."""
    write_files(folder, {f"registry/lock/{lock.component}.json": render_lock(lock)})


def changed_lock(path: Path, replaced: Mapping[str, str]) -> str:
    """Return the text of a lock file with words replaced and the checksum made good."""
    text = json.dumps(read_lock(path))
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    document = json.loads(text)
    kind = SystemLock if "system" in document else PackagesLock
    return render_lock(kind.model_validate(document))
