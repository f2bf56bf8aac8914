"""The other side: the same images as Dockerfiles, built by the same daemon through `dockerfile.v0`.

As `docker buildx bake` would: the bases side by side, then the agents on them, as many at a time as `agc` has.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine.api import Compression
from pipeline.engine.buildkit.compression import LEVELS
from pipeline.engine.buildkit.progress import Progress
from pipeline.platform import host_platform
from pipeline.resolve.pins import NpmPin, PypiPin
from pipeline.stages.crowd import SIDE_BY_SIDE
from tests.bench.machine import Machine, Registry
from tests.bench.measure import DOCKERFILES, longest
from tests.bench.ours import Ours
from tests.bench.sides import BASES, BUMPED, Built, Inputs

FOLDER = Path(__file__).with_name("dockerfiles")
_ROOT_IMAGE = "debian:trixie-slim"  # what the files begin with; the daemon is given our root under that name


@dataclass
class Dockerfiles:
    """`buildctl` on the files in `dockerfiles/`, with the versions `ours` has locked."""

    machine: Machine
    ours: Ours
    inputs: Inputs | None = None
    name: str = DOCKERFILES

    @property
    def registry(self) -> Registry:
        """The registry it pushes to."""
        return self.machine.registries[DOCKERFILES]

    def forget(self) -> None:
        """Forget what was published and built."""
        self.machine.forget(DOCKERFILES)

    def take(self, inputs: Inputs) -> None:
        """Remember what to build with."""
        self.inputs = inputs

    def build(self, images: Sequence[str], logs: Path) -> Built:
        """Build and push the bases of `images`, then the images themselves."""
        logs.mkdir(parents=True, exist_ok=True)
        wanted = {image: next(base for base in BASES if image.startswith(base)) for image in images}
        steps: dict[str, float] = {}
        digests: dict[str, str] = {}
        versions = self._versions()
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for group in (sorted(set(wanted.values())), sorted(set(wanted) - set(wanted.values()))):
                calls = [pool.submit(self._one, image, wanted.get(image, image), versions, logs) for image in group]
                for image, call in zip(group, calls, strict=True):
                    digests[image], took = call.result()
                    steps |= {f"{image}: {name}": seconds for name, seconds in took.items()}
        return Built({image: digests[image] for image in images}, {}, longest(steps))

    def _one(self, image: str, base: str, versions: Mapping[str, str], logs: Path) -> tuple[str, dict[str, float]]:
        """Build one file and return the image's digest, and each step's wall time."""
        metadata = logs / f"{image}.json"
        agent = image.removeprefix(base).removeprefix("-")
        own = {"BASE": f"{self.registry.address}/{self.name}/{base}:latest"} if agent else {}
        archives = {name: value for name, value in versions.items() if name.isupper()}
        own |= {"VERSION": versions[agent]} if agent else archives
        command = [
            *(str(self.machine.buildctl), f"--addr={self.machine.address}", "build", "--frontend=dockerfile.v0"),
            *(f"--local={place}={FOLDER}" for place in ("context", "dockerfile")),
            *(f"--opt=filename={agent or base}.Dockerfile", "--opt=force-network-mode=host", "--allow=network.host"),
            *(f"--opt=build-arg:{name}={value}" for name, value in {**self._wiring(), **own}.items()),
            *self._root(),
            *("--progress=rawjson", f"--metadata-file={metadata}"),
            f"--output={_output(f'{self.registry.address}/{self.name}/{image}:latest')}",
        ]
        done = subprocess.run(command, capture_output=True, check=False)
        (logs / f"{image}.log").write_bytes(done.stderr)
        if done.returncode != 0:
            raise subprocess.CalledProcessError(done.returncode, command[:6], stderr=done.stderr[-2000:].decode())
        progress = Progress()
        for line in done.stderr.splitlines():
            list(progress.feed(line))
        took = {vertex.name: vertex.seconds for vertex in progress.vertices.values() if not vertex.cached}
        return json.loads(metadata.read_text())["containerimage.digest"], took

    def _wiring(self) -> dict[str, str]:
        """Return the build arguments that lead to the mirror; BuildKit keeps proxies out of its cache keys."""
        address = self.machine.mirror.address
        return {
            "NPM_REGISTRY": address,
            "PYPI_FILES": f"{address}/pypi-files",
            "NPM_CONFIG_REGISTRY": f"{address}/",
            "http_proxy": address,
            "no_proxy": "127.0.0.1,localhost",
        }

    def _root(self) -> Iterable[str]:
        """Return the options by which the files' root image is the root ours stands on."""
        if self.inputs is None:
            raise RuntimeError("take() comes first")
        yield f"--oci-layout=root={self.ours.root_layout(self.inputs.root)}"
        yield f"--opt=context:{_ROOT_IMAGE}=oci-layout://root@{self.inputs.root}"

    def _versions(self) -> dict[str, str]:
        """Return versions of agents, and archives and checksums of toolchains, as they are locked."""
        pins, platform = self.ours.pins(), str(host_platform())
        versions = {name: lock.version for name, lock in pins.items()}
        for toolchain, package, prefix in (("node", "node", "NODE"), ("node", "npm", "NPM"), ("bun", "bun", "BUN")):
            pin = pins[toolchain].pin(package)
            archive = pin.archive(platform) if isinstance(pin, NpmPin) else None
            if archive is None:
                raise RuntimeError(f"{package} is not locked for {platform}")
            versions |= {f"{prefix}_ARCHIVE": archive.path, f"{prefix}_SHA256": archive.sha256.removeprefix("sha256:")}
        uv = pins["python"].pin("uv")
        (wheel,) = uv.wheels_for(platform) if isinstance(uv, PypiPin) else ()
        versions |= {"UV_WHEEL": wheel.path, "UV_SHA256": wheel.sha256.removeprefix("sha256:")}
        return {**versions, BUMPED: self.inputs.version if self.inputs else versions[BUMPED]}


def _output(ref: str) -> str:
    """Return the same export that `agc` asks for."""
    compression = Compression.ZSTD
    return (
        f"type=image,name={ref},push=true,registry.insecure=true,oci-mediatypes=true,"
        f"compression={compression},compression-level={LEVELS[compression]},force-compression=true"
    )
