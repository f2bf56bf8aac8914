"""Wheels, files of images, toolchains that are brought along, and toolpacks: the graph and the config they give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.compose.config import image_config
from pipeline.compose.image import Composition, compose
from pipeline.errors import DefinitionError, LockError
from pipeline.graph import Copy, Network, State, Symlink, Write, walk
from pipeline.graph.ops import Files, Http, Image, Run
from pipeline.platform import AMD64, ARM64
from pipeline.resolve.plan import ImagePlan, plan_images
from pipeline.verify.cases import smoke_cases
from tests.unit.compose.samples import PROJECT, definitions, locks

FOUND = definitions(PROJECT.parent / "wide")
LOCKS = locks(FOUND)


def planned(name: str, **changes: Any) -> ImagePlan:
    """Return the plan of an image of the project for amd64."""
    found = replace(FOUND, **changes) if changes else FOUND
    return plan_images([name], [AMD64], found, LOCKS, "auto")[0]


def composed(name: str) -> Composition:
    """Return an image of the project."""
    return compose(planned(name))


def layer(name: str, component: str) -> State:
    """Return a layer of an image."""
    return next(item.state for item in composed(name).layers if item.component == component)


def actions(state: State) -> list[Any]:
    """Return the file actions of a state and of what it copies."""
    return [action for item in walk(state) if isinstance(item.op, Files) for action in item.op.actions]


def links(name: str, component: str) -> dict[str, str]:
    """Return the links that a layer makes."""
    return {item.path: item.target for item in actions(layer(name, component)) if isinstance(item, Symlink)}


def test_wheels_are_fetched_by_their_hash_and_installed_without_a_network() -> None:
    """Those of the platform alone, where they will lie."""
    steps = [item for item in walk(layer("python", "toolchains/python")) if isinstance(item.op, Run)]
    install = steps[-1].op
    assert isinstance(install, Run)
    files = [item.op.filename for item in walk(install.mounts[0].source) if isinstance(item.op, Http)]

    assert files == ["uv-0.13.9-py3-none-linux_amd64.whl", "typing_extensions-4.16.0-py3-none-any.whl"]
    assert all(item.op.checksum for item in walk(install.mounts[0].source) if isinstance(item.op, Http))
    assert (install.network, install.output) == (Network.NONE, "/opt/toolchains/python")
    assert install.args[4:] == ("/opt/toolchains/python", "uv==0.13.9", "typing-extensions==4.16.0")


def test_wheels_know_no_base() -> None:
    """What installs them has a lock of its own: no update of a base installs anything anew."""
    base = LOCKS.bases["python"]
    newer = tuple(pin.model_copy(update={"packages": pin.packages[1:]}) for pin in base.system)
    moved = LOCKS.with_lock(base.model_copy(update={"system": newer}))
    other = compose(plan_images(["pack"], [AMD64], FOUND, moved, "auto")[0])
    before = {item.component: item.state.digest for item in composed("pack").layers}
    after = {item.component: item.state.digest for item in other.layers}

    assert {name for name, digest in after.items() if before[name] != digest} == {"bases/python"}


def test_wheels_need_a_builder() -> None:
    """A project that has none is told where it needs it."""
    bases = {name: base for name, base in FOUND.bases.items() if name != "wheel-builder"}

    with pytest.raises(DefinitionError, match="python is made of wheels, and no base is named `wheel-builder`"):
        planned("python", bases=bases)


def test_wheels_for_another_platform_are_none_for_this() -> None:
    """As with any package."""
    lock = LOCKS.toolpacks["pack"]
    (pin,) = lock.packages
    foreign = tuple(wheel for wheel in pin.wheels if wheel.platforms == ("linux/arm64",))  # type: ignore[union-attr]
    moved = LOCKS.with_lock(lock.model_copy(update={"packages": (pin.model_copy(update={"wheels": foreign}),)}))

    with pytest.raises(LockError, match="toolpacks/pack: headroom-ai is not locked for linux/amd64"):
        compose(plan_images(["pack"], [AMD64], FOUND, moved, "auto")[0])


def test_files_of_an_image_are_copied_by_its_digest() -> None:
    """The one of the index; the engine takes from it what the platform needs."""
    state = layer("dot", "toolchains/dotnet")
    (source,) = [item.op for item in walk(state) if isinstance(item.op, Image)]
    (copied,) = [item for item in actions(state) if isinstance(item, Copy) and item.source == "/usr/share/dotnet"]

    assert source.ref.startswith("registry.example/dotnet/sdk@sha256:")
    assert copied.path == "/opt/toolchains/dotnet"
    assert links("dot", "toolchains/dotnet") == {
        "/opt/toolchains/dotnet/bin/dotnet": "/opt/toolchains/dotnet/dotnet",
    }


def test_a_toolchain_that_is_brought_is_the_same_layer() -> None:
    """On PATH the base links it; off PATH nobody does."""
    assert layer("python-claw", "toolchains/node") == layer("node-base", "toolchains/node")
    assert "/usr/local/bin/node" in links("node-base", "bases/node-base")
    assert "/usr/local/bin/node" not in links("python-claw", "bases/python")
    assert links("node-base-claw", "toolchains/node") == {
        "/opt/toolchains/node/bin/npm": "/opt/toolchains/node/lib/npm/bin/npm-cli.js"
    }


def test_a_program_that_brings_a_toolchain_finds_it_wherever_it_is_put() -> None:
    """Its layer is the same on every base."""
    (script,) = [item for item in actions(layer("python-claw", "agents/claw")) if isinstance(item, Write)]

    assert layer("python-claw", "agents/claw") == layer("node-base-claw", "agents/claw")
    assert (script.path, script.mode) == ("/usr/local/bin/claw", 0o755)
    assert script.data.decode().splitlines() == [
        "#!/bin/sh",
        'PATH="/opt/toolchains/node/bin:$PATH" exec /opt/agents/claw/claw.mjs "$@"',
    ]


def test_nothing_is_brought_where_it_is_there() -> None:
    """Or where nobody asks."""
    assert [item.name for item, _ in planned("python-claw").brought] == ["node"]
    assert planned("node-base-claw").brought == ()
    assert planned("pack").brought == ()


def test_what_a_brought_toolchain_needs_of_the_system_the_base_must_have() -> None:
    """A program never adds Debian packages."""
    with pytest.raises(DefinitionError) as caught:
        planned("bare-claw")

    assert caught.value.message == (
        "agent claw requires `libatomic1`, and base bare does not have it; toolchain node, which claw brings, needs it"
    )
    assert caught.value.remedy == "bases that would do: node-base, python"


def test_a_sidecar_is_an_image_of_its_own() -> None:
    """By the name of its toolpack."""
    item = composed("pack")
    config = image_config(item.plan, item.layers, {})["config"]

    assert [one.component for one in item.layers][-2:] == ["toolchains/python", "toolpacks/pack"]
    assert config["Cmd"] == ["pack", "serve"]
    assert config["Entrypoint"] == ["/usr/bin/tini", "--"]
    assert config["ExposedPorts"] == {"8787/tcp": {}}
    assert config["Healthcheck"]["Test"] == ["CMD", "curl", "http://127.0.0.1:8787/ok it"]
    assert config["Labels"]["org.opencontainers.image.version"] == "0.42.0"


def test_an_embedded_toolpack_is_started_before_the_agent() -> None:
    """Its variables lead the agent to it; the agent is what the image is for."""
    item = composed("python-claw-pack")
    config = image_config(item.plan, item.layers, {})["config"]

    assert [one.component for one in item.layers][-3:] == ["toolchains/node", "toolpacks/pack", "agents/claw"]
    assert config["Cmd"] == ["claw"]
    assert config["Entrypoint"][:4] == ["/usr/bin/tini", "--", "/bin/sh", "-c"]
    assert config["Entrypoint"][5:] == [
        "pack",
        "pack serve --host 127.0.0.1",
        "curl 'http://127.0.0.1:8787/ok it'",
        "7",
    ]
    assert "MODEL_URL=http://127.0.0.1:8787" in config["Env"]
    assert sorted(config["Volumes"]) == ["/home/dev/.claw", "/home/dev/.pack"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT AND Apache-2.0"
    assert "Healthcheck" not in config


def test_tests_of_an_embedded_toolpack_go_through_the_entry_point() -> None:
    """And what is brought is looked for where it is, not on PATH."""
    cases = {case.title: case for case in smoke_cases(composed("python-claw-pack"))}
    step = cases["toolpacks/pack: pack-runs-beside"].state.op
    presence = cases["toolchains/node: presence"].state.op
    agent = cases["agents/claw: presence"].state.op
    assert isinstance(step, Run)
    assert isinstance(presence, Run)
    assert isinstance(agent, Run)

    assert step.args[step.args.index("/usr/bin/tini") :][-2:] == ("curl", "http://127.0.0.1:8787/ok")
    assert "/opt/toolchains/node/bin/node" in presence.args
    assert agent.args[-4:] == ("claw", "/usr/local/bin/claw", *["/opt/agents/claw/claw.mjs"] * 2)


@pytest.mark.parametrize("name", ["node-base-claw", "python-claw", "python-claw-pack", "pack", "dot"])
def test_every_image_can_be_put_together_for_both_platforms(name: str) -> None:
    """Each its own."""
    one, other = (compose(plan_images([name], [platform], FOUND, LOCKS, "auto")[0]) for platform in (AMD64, ARM64))

    assert one.graph_digest != other.graph_digest
