"""What tests against a real BuildKit share: the engine, and a Debian root to build on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from pipeline.digest import Digest, digest_json, hex_of
from pipeline.engine.bootstrap import BootstrapRequest, bootstrap
from pipeline.engine.buildkit.client import BuildKit
from pipeline.engine.buildkit.locate import connect
from pipeline.errors import EngineError
from pipeline.graph import State, layout
from pipeline.platform import Platform, host_platform
from pipeline.settings import DEBIAN_ARCHIVE, DEBIAN_SECURITY, Settings, load_settings

EPOCH = 1_767_225_600


@pytest.fixture(scope="session")
def engine_settings() -> Settings:
    """Return the settings of this machine; AGC_TEST_BUILDKIT names a daemon to test against."""
    environment = dict(os.environ)
    if address := environment.get("AGC_TEST_BUILDKIT"):
        environment["BUILDKIT_HOST"] = address
    return load_settings(Path("/nonexistent"), environment)


@pytest.fixture(scope="session")
def engine(engine_settings: Settings) -> BuildKit:
    """Return the engine that builds on this machine, started where none runs."""
    try:
        return anyio.run(connect, engine_settings, print).engine
    except EngineError as error:
        if engine_settings.engine.host:
            raise
        pytest.skip(f"no engine: {error.message.splitlines()[0]}")


@pytest.fixture(scope="session")
def platform() -> Platform:
    """Return this machine's platform."""
    return host_platform()


@pytest.fixture(scope="session")
def root_request(engine_settings: Settings) -> BootstrapRequest:
    """Return the smallest root that is of use."""
    return BootstrapRequest(
        suite="trixie",
        variant="minbase",
        include=("ca-certificates",),
        archive=DEBIAN_ARCHIVE,
        security=DEBIAN_SECURITY,
        mirrored=(engine_settings.mirrored(DEBIAN_ARCHIVE), engine_settings.mirrored(DEBIAN_SECURITY)),
        epoch=EPOCH,
    )


@pytest.fixture(scope="session")
def layouts(engine_settings: Settings, platform: Platform, root_request: BootstrapRequest) -> Mapping[Digest, Path]:
    """Return the layout of a bootstrapped root: made once on a machine, and found again later."""
    folder = engine_settings.cache / "test-roots"
    asked = digest_json([str(platform), root_request.suite, root_request.variant, list(root_request.include), EPOCH])
    known = folder / f"{hex_of(asked)[:16]}.digest"
    if not (known.is_file() and (folder / hex_of(known.read_text())).is_dir()):
        extra = engine_settings.proxy.as_environment()
        try:
            made = anyio.run(lambda: bootstrap(root_request, platform, folder, environment=extra))
        except EngineError as error:
            pytest.skip(f"no root file system: {error.message.splitlines()[0]}")
        known.write_text(made.digest)
    digest = Digest(known.read_text())
    return {digest: folder / hex_of(digest)}


@pytest.fixture(scope="session")
def root(layouts: Mapping[Digest, Path]) -> State:
    """Return the bootstrapped root."""
    return layout(next(iter(layouts)))
