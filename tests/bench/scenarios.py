"""What is done and measured: each scenario in rounds, and in each round both sides in turn."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.digest import Digest, hex_of
from pipeline.engine.layout import blob_path, read_manifest, write_single_layer_image
from pipeline.platform import host_platform
from tests.bench.machine import Machine
from tests.bench.measure import (
    BUMP,
    COLD_BASE,
    NO_OP,
    UPDATE,
    Sample,
    Scenario,
    new_bytes,
    pulled_bytes,
)
from tests.bench.ours import Ours
from tests.bench.sides import BASES, Inputs, Side, matrix, pulled
from tests.bench.theirs import Dockerfiles

STEPS_KEPT = 12
SMOKE = Scenario("cold-matrix-tested", "whole matrix, cold, ours with all smoke tests", 1)


@dataclass
class Comparison:
    """Both sides on one machine; `versions` are those of the bumped agent, oldest first. All begins with the oldest.

    `images` is what a build of everything builds.
    """

    machine: Machine
    versions: Sequence[str]
    logs: Path
    say: Callable[[str], None]
    images: tuple[str, ...] = tuple(matrix())
    inputs: Inputs = field(init=False)
    ours: Ours = field(init=False)
    sides: tuple[Side, ...] = field(init=False)

    def prepare(self) -> None:
        """Lock the project, then build everything once on both sides, so that the mirror has all there is to fetch."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.ours = Ours(self.machine)
        self.say(f"locking the project for {len(self.versions)} versions of the agent")
        self.inputs = self.ours.prepare(self.versions, self.logs / "lock.log")
        self.sides = (self.ours, Dockerfiles(self.machine, self.ours))
        for side in self.sides:
            side.take(self.inputs)
            started = time.monotonic()
            side.build(self.images, self.logs / "first" / side.name)
            self.say(f"first build, not measured: {side.name} {time.monotonic() - started:.1f} s")
        for version in self.versions:
            for package in ("claude-code", f"claude-code-linux-{_npm_cpu()}"):
                path = f"/@anthropic-ai/{package}/-/{package}-{version}.tgz"
                self.machine.mirror.obtain(path, {})

    def run(self, scenario: Scenario) -> Iterator[Sample]:
        """Do a scenario and yield its samples as they come; it is known by its name, its rounds may be others."""
        match scenario.name:
            case NO_OP.name:
                yield from self._rounds(scenario, lambda _: self.inputs, prime=True)
            case BUMP.name:
                bumped = [replace(self.inputs, version=version) for version in self.versions]
                yield from self._rounds(scenario, lambda number: bumped[number + 1], prime=True)
            case UPDATE.name:
                roots = [self._updated_root(number) for number in range(scenario.rounds)]
                updated = [replace(self.inputs, root=root) for root in roots]
                yield from self._rounds(scenario, lambda number: updated[number], prime=True, tidy=True)
            case COLD_BASE.name:
                yield from self._rounds(scenario, lambda _: self.inputs, images=BASES[:1], cold=True)
            case _:
                yield from self._rounds(scenario, lambda _: self.inputs, cold=True)

    def tested(self) -> Sample:
        """Build the whole matrix cold with all smoke tests, which only our side has."""
        side = Ours(self.machine, smoke=True, _locks=self.ours._locks)
        side.take(self.inputs)
        side.forget()
        return self._measured(SMOKE, side, 0, self.images)

    def _rounds(
        self,
        scenario: Scenario,
        inputs: Callable[[int], Inputs],
        *,
        images: Sequence[str] = (),
        prime: bool = False,
        cold: bool = False,
        tidy: bool = False,
    ) -> Iterator[Sample]:
        """Yield the samples of all rounds; who begins changes from round to round.

        A warm scenario begins with everything built. A `tidy` one gives back the disk that earlier rounds took.
        """
        wanted = tuple(images) or self.images
        if prime:
            for side in self.sides:
                side.take(self.inputs)
                side.build(wanted, self.logs / scenario.name / "before" / side.name)
        for number in range(scenario.rounds):
            began = time.monotonic()
            for side in self.sides if number % 2 == 0 else reversed(self.sides):
                side.take(inputs(number))
                if cold:
                    side.forget()
                yield self._measured(scenario, side, number, wanted)
            if tidy:
                self.machine.prune(f"--keep-duration={time.monotonic() - began:.0f}s")

    def _measured(self, scenario: Scenario, side: Side, number: int, images: Sequence[str]) -> Sample:
        blobs, tags = side.registry.blobs(), {}
        with suppress(OSError, ValueError):  # nothing was pushed before a cold build
            tags = dict(pulled(side, self.images)) if blobs else {}
        load = os.getloadavg()[0]
        started = time.monotonic()
        built = side.build(images, self.logs / scenario.name / str(number) / side.name)
        seconds = time.monotonic() - started
        sample = Sample(
            scenario.name,
            side.name,
            number,
            round(seconds, 3),
            new_bytes(blobs, side.registry.blobs()),
            pulled_bytes(tags, pulled(side, self.images)) if tags else 0,
            round(load, 2),
            built.digests,
            built.stages,
            built.steps[:STEPS_KEPT],
        )
        self.say(f"{scenario.name} {number + 1}: {side.name} {seconds:.2f} s, {sample.pushed / 1e6:.1f} MB pushed")
        return sample

    def _updated_root(self, number: int) -> Digest:
        """Return a root in which one library has other bytes, as after a security update."""
        layout = self.ours.root_layout(self.inputs.root)
        (layer,) = read_manifest(layout, self.inputs.root).layers
        work = self.machine.cache / "roots" / f"update-{number}"
        work.mkdir()
        tar = work / "root.tar"
        shutil.copyfile(blob_path(layout, layer.digest), tar)
        with tarfile.open(tar, "a:") as archive:
            member = tarfile.TarInfo("./usr/lib/updated.so")
            content = os.urandom(500_000)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
        digest = write_single_layer_image(work, tar, host_platform().architecture)
        work.rename(self.machine.cache / "roots" / hex_of(digest))
        return digest


def _npm_cpu() -> str:
    return {"amd64": "x64", "arm64": "arm64"}[host_platform().architecture]
