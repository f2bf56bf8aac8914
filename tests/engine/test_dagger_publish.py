"""The module's functions that publish and check, on a real Dagger engine and a registry; see `dagger_engine.py`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

pytest.importorskip("dagger", reason="dagger-io is not installed")

import dagger

from pipeline.dagger_module import Agc as Module
from pipeline.dagger_module import AgcFailedError
from tests.docker.cosign import PASSWORD, Cosign
from tests.engine.dagger_engine import require_engine
from tests.engine.small import small_project
from tests.engine.support import Agc, write_files
from tests.registry.conftest import registry as registry  # noqa: PLC0414 (the fixture)
from tests.registry.server import Registry
from tests.registry.test_evidence import KINDS, record
from tests.registry.test_evidence import cosign as cosign  # noqa: PLC0414 (the fixture)
from tests.unit.verify.vulnerabilities.samples import write_database

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

Maker: TypeAlias = Callable[[], Any]
"""What makes the module for a project: its fields are Dagger's values, which a connection must be there for."""


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    require_engine()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project of one small image, with a database in which nothing is wrong with it."""
    folder = small_project(tmp_path / "project")
    write_database(folder / "osv", {"Debian": [record("no-such-package")]})
    write_files(folder, {"agc.toml": '[gate]\nosv = "osv"\n'})
    return folder


@pytest.fixture
def connected(
    agc: Agc, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Maker], Awaitable[Any]]], Any]:
    """Return what runs a function under a live connection; it is given what makes the module of the project."""
    write_files(tmp_path / "work", {"here": ""})
    monkeypatch.chdir(tmp_path / "work")

    def run(ask: Callable[[Maker], Awaitable[Any]]) -> Any:
        async def connected() -> Any:
            async with dagger.connection():
                host, make = dagger.dag.host(), Module
                roots = host.directory(str(agc.cache / "roots"))
                given: Any = {"project": host.directory(str(project)), "roots": roots}
                return await ask(lambda: make(**given))

        return anyio.run(connected)

    return run


def test_what_the_module_publishes_others_can_check(
    connected: Any, registry: Registry, cosign: Cosign, project: Path, tmp_path: Path
) -> None:
    """Signed by a key that is a secret. The project that comes back knows of it, the one that was given does not."""
    private, public = cosign.home / "cosign.key", cosign.home / "cosign.pub"
    place = f"{registry.address}/team"

    async def ask(module: Maker) -> tuple[Any, ...]:
        key = dagger.dag.set_secret("key", private.read_text())
        password = dagger.dag.set_secret("password", PASSWORD)
        changed = await module().publish([place], ["small"], sign_key=key, sign_password=password)
        catalog = json.loads(await changed.file("registry/catalog.json").contents())
        said = await module().verify(
            f"{place}/small@{catalog['images']['small']['digest']}",
            key=dagger.dag.host().file(str(public)),
            as_json=True,
        )
        bill = await (await module().sbom("small")).contents()
        return catalog["images"]["small"], json.loads(said), json.loads(bill)

    image, verified, bill = connected(ask)
    (platform,) = image["platforms"].values()

    assert verified["verified"] is True
    assert cosign.verifies(f"{place}/small@{image['digest']}", public)
    for kind in KINDS:
        assert cosign.attests(f"{place}/small@{platform['digest']}", public, kind), kind
    assert "tini" in {package["name"] for package in bill["packages"]}
    assert not (project / "registry/catalog.json").exists()
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["here"]


def test_a_key_that_cannot_be_used_publishes_nothing(connected: Any, registry: Registry, cosign: Cosign) -> None:
    """And what it says has neither the key nor the password."""
    private = (cosign.home / "cosign.key").read_text()

    async def ask(module: Maker) -> str:
        key = dagger.dag.set_secret("key", private)
        password = dagger.dag.set_secret("password", "not-the-password")
        with pytest.raises(AgcFailedError) as caught:
            await module().publish([f"{registry.address}/team"], ["small"], sign_key=key, sign_password=password)
        return str(caught.value)

    said = connected(ask)

    assert "password" in said
    assert "not-the-password" not in said
    assert private.splitlines()[1] not in said
    assert registry.tags("team/small") == {}
