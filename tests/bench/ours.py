"""Our side: a project with the three bases, locked at the start, and one run of `agc build` for all images."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.digest import Digest, hex_of
from pipeline.platform import host_platform
from pipeline.resolve.lock import write_lock
from pipeline.resolve.pins import PackagesLock, RootLock, SystemLock
from pipeline.stages.project import Project, load_project
from tests.bench.machine import Machine, Registry
from tests.bench.measure import OURS, read_steps
from tests.bench.sides import BASES, BUMPED, Built, Inputs
from tests.engine.support import CHECKOUT

ROOT = "debian-trixie"
BUILD_ROOT = "debian-trixie-build"
_SHIPPED = Path(__file__).with_name("project")


@dataclass
class Ours:
    """`agc` on a project of its own; `smoke` says whether it also tests what it builds."""

    machine: Machine
    smoke: bool = False
    name: str = OURS
    _locks: dict[str, str] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        """The registry it pushes to."""
        return self.machine.registries[OURS]

    @property
    def folder(self) -> Path:
        """The project."""
        return self.machine.folder / "project"

    def prepare(self, versions: Sequence[str], log: Path) -> Inputs:
        """Write the project and lock it, once for each of `versions` of the agent; return what to begin with."""
        shutil.copytree(_SHIPPED, self.folder)
        roots = (ROOT, BUILD_ROOT)
        for root in roots:
            self._write("roots", root, {r"platforms: .*": f"platforms: [{host_platform()}]"})
        everything = [*roots, *BASES]
        for version in versions:
            self._write("agents", BUMPED, {r"version: .*": f'version: "{version}"'})
            arguments = [f"--upgrade={name}" for name in everything]
            self.machine.agc("-C", self.folder, "lock", *arguments, log=log)
            self._locks[version] = self._lock_file.read_text()
            everything = []
        locks = self.project().locks
        return Inputs(locks.roots[ROOT].bootstrap[str(host_platform())].digest, versions[0])

    def project(self) -> Project:
        """Return the project as it is now."""
        return load_project(self.folder, {**os.environ, **self.machine.environment()})

    def pins(self) -> Mapping[str, PackagesLock]:
        """Return the locks of all toolchains and agents by name."""
        locks = self.project().locks
        return {**locks.toolchains, **locks.agents}

    def take(self, inputs: Inputs) -> None:
        """Put the root and the version into definitions and lock, as `agc lock` would."""
        self._write("agents", BUMPED, {r"version: .*": f'version: "{inputs.version}"'})
        self._lock_file.write_text(self._locks[inputs.version])
        locks, platform = self.project().locks, str(host_platform())
        root = locks.roots[ROOT]
        pin = root.bootstrap[platform].model_copy(update={"digest": inputs.root})
        moved: list[RootLock | SystemLock] = [root.model_copy(update={"bootstrap": {platform: pin}})]
        on_root = (name for name, base in self.project().definitions.bases.items() if base.model.spec.root == ROOT)
        for lock in (locks.bases[name] for name in on_root):
            pins = tuple(one.model_copy(update={"root": inputs.root}) for one in lock.system)
            moved.append(lock.model_copy(update={"system": pins}))
        for one in moved:
            write_lock(one, self.folder / "registry" / "lock")

    def root_layout(self, root: Digest) -> Path:
        """Return where the layout of a root lies."""
        return self.machine.cache / "roots" / hex_of(root)

    def choices(self) -> list[str]:
        """Return the options a person chooses."""
        return [] if self.smoke else ["--no-smoke"]

    def forget(self) -> None:
        """Forget what was published, exported and built."""
        (self.folder / "registry" / "catalog.json").unlink(missing_ok=True)
        self.machine.forget(OURS)

    def build(self, images: Sequence[str], logs: Path) -> Built:
        """Build and push `images` with one command."""
        logs.mkdir(parents=True, exist_ok=True)
        options = ["--json", "--locked", f"--output=push:{self.registry.address}/{self.name}"]
        options += self.choices()
        said = self.machine.agc("-C", self.folder, "build", *options, *images, log=logs / "agc.log")
        built = json.loads(said.splitlines()[-1])["images"]
        stages: dict[str, float] = {}
        for image in built:
            for stage, seconds in image["seconds"].items():
                stages[stage] = max(stages.get(stage, 0.0), seconds)
        steps = read_steps((logs / "agc.log").read_text())
        return Built({image["name"]: image["digest"] for image in built}, stages, steps)

    @property
    def _lock_file(self) -> Path:
        return self.folder / "registry" / "lock" / "agents" / f"{BUMPED}.json"

    def _write(self, kind: str, name: str, changes: Mapping[str, str]) -> None:
        """Write a shipped definition into the project, with the first match of each pattern replaced."""
        text = (CHECKOUT / "definitions" / kind / f"{name}.yaml").read_text()
        for pattern, new in changes.items():
            text, count = re.subn(pattern, new, text, count=1)
            if not count:
                raise ValueError(f"{kind}/{name}.yaml has no {pattern}")
        target = self.folder / "definitions" / kind / f"{name}.yaml"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
