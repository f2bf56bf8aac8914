"""The graph of an image: what it looks like, and what does and does not change which part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.compose.component import program_layer
from pipeline.compose.image import Composition, combined_digest, compose, compose_all
from pipeline.compose.layers import EPOCH
from pipeline.digest import Digest, digest_bytes
from pipeline.errors import LockError
from pipeline.graph import Copy, Mkdir, Network, State, Symlink, Write, walk
from pipeline.graph.ops import Files, Http, Image, Layout, Run
from pipeline.models.defined import Definitions
from pipeline.models.load import load_definitions
from pipeline.models.parts import User
from pipeline.platform import AMD64, ARM64, PLATFORMS, Platform
from pipeline.resolve.lock import Locks
from pipeline.resolve.plan import plan_images
from pipeline.verify.cases import smoke_cases
from tests.unit.compose.samples import PROJECT, archive, composed, deb_pin, definitions, locks, of_npm, plan

IMAGES = ("node-bun", "node-bun-claude", "node-bun-picky", "plain", "plain-claude")


def graph_text(state: State) -> str:
    """Return a graph as text: states in order of building, each by number, its fields one to a line."""
    numbers: dict[Digest, str] = {}
    lines: list[str] = []
    for item in walk(state):
        numbers[item.digest] = f"#{len(numbers) + 1}"
        place = f" [{item.location}]" if item.location else ""
        lines.append(f"{numbers[item.digest]} {type(item.op).__name__} {item.name or '-'}{place}")
        lines += [f"    {line}" for line in _field_lines(item.op, numbers)]
    return "\n".join(lines) + "\n"


def _field_lines(op: Any, numbers: dict[Digest, str]) -> Iterator[str]:
    for item in fields(op):
        value = getattr(op, item.name)
        if value in (None, (), "", False):
            continue
        if isinstance(value, tuple) and any(is_dataclass(part) for part in value):
            yield f"{item.name}:"
            yield from (f"  - {_shown(part, numbers)}" for part in value)
        else:
            yield f"{item.name}: {_shown(value, numbers)}"


def _shown(value: Any, numbers: dict[Digest, str]) -> str:
    if isinstance(value, State):
        return numbers[value.digest]
    if isinstance(value, str) and (value.startswith("sha256:") or len(value) > 120):
        return f"<{len(value)} characters, {digest_bytes(value.encode())[7:19]}>" if len(value) > 120 else value[:19]
    if isinstance(value, tuple):
        return "(" + ", ".join(_shown(part, numbers) for part in value) + ")"
    if is_dataclass(value):
        named = [
            f"{item.name}={_shown(part, numbers)}"
            for item in fields(value)
            if (part := getattr(value, item.name)) not in (None, (), "", False)
        ]
        return f"{type(value).__name__}({', '.join(named)})"
    return oct(value) if value in {0o755, 0o644} else str(value)


def layers(composition: Composition) -> dict[str, Digest]:
    """Return the digest of each layer by component."""
    return {layer.component: layer.state.digest for layer in composition.layers}


def with_project(folder: Path, file: str = "", old: str = "", new: str = "") -> Definitions:
    """Return the definitions of a copy of the project with one text replaced in one file."""
    for path in (PROJECT / "definitions").rglob("*.yaml"):
        name = f"{path.parent.name}/{path.name}"
        text = path.read_text()
        assert name != file or old in text
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text.replace(old, new, 1) if name == file else text)
    return load_definitions([folder], folder)


def recomposed(found: Definitions, pins: Locks | None = None, name: str = "node-bun-claude") -> Composition:
    """Return an image from other definitions, with locks that answer them."""
    return compose(plan(name, found=found, pins=pins))


def test_the_graph_of_an_image_looks_as_it_was_reviewed(golden: Callable[[str, str], None]) -> None:
    """Every state, by reference; a change here changes what users get."""
    golden("compose/node-bun-claude-amd64.txt", graph_text(composed().rootfs))


def test_the_graph_digest_is_pinned(golden: Callable[[str, str], None]) -> None:
    """The same on any machine and any Python; if it moves, every image is built anew."""
    lines = [
        f"{name} {platform} {composed(name, platform).graph_digest}\n" for name in IMAGES for platform in PLATFORMS
    ]
    golden("compose/digests.txt", "".join(lines))


def test_layers_come_in_order_with_their_versions() -> None:
    """Root, system, toolchains as the base lists them, agent."""
    assert [(layer.component, layer.version) for layer in composed().layers] == [
        ("roots/tiny", "trixie"),
        ("common-tools/default", ""),
        ("bases/node-bun", ""),
        ("toolchains/node", "26.10.0"),
        ("toolchains/bun", "1.4.5"),
        ("agents/claude", "2.1.330"),
    ]


def test_an_agents_layer_knows_no_base() -> None:
    """On another base, with other packages, it is the same blob."""
    one, other = layers(composed("node-bun-claude")), layers(composed("plain-claude"))

    assert one["agents/claude"] == other["agents/claude"]
    assert one["bases/node-bun"] != other["bases/plain"]


def test_an_agents_layer_knows_no_root_and_no_system_packages() -> None:
    """Both may move under it."""
    found = definitions()
    pins = locks(found)
    system = pins.bases["node-bun"]
    newer = tuple(pin.model_copy(update={"packages": (*pin.packages, deb_pin("jq"))}) for pin in system.system)
    packages = recomposed(found, pins.with_lock(system.model_copy(update={"system": newer})))
    root = recomposed(found, locks(found, ("image",)))
    before = layers(composed())

    assert _changed(before, layers(packages)) == {"bases/node-bun"}
    assert _changed(before, layers(root)) == {"roots/tiny", "common-tools/default", "bases/node-bun"}


def test_common_tools_are_one_layer_for_all_bases_that_have_them() -> None:
    """Their locks agree, as those of one day do; where one moves alone, its tools are its own."""
    found = definitions()
    pins = locks(found)
    plain = pins.bases["plain"]
    newer = tuple(
        pin.model_copy(update={"packages": (deb_pin("git", "9"), *pin.of_base), "tools": ("git",)})
        for pin in plain.system
    )
    before, other = layers(composed("node-bun")), layers(composed("plain"))
    alone = compose(plan("plain", found=found, pins=pins.with_lock(plain.model_copy(update={"system": newer}))))

    assert before["common-tools/default"] == other["common-tools/default"]
    assert layers(alone)["common-tools/default"] != other["common-tools/default"]


def test_a_new_version_of_the_agent_changes_its_layer_alone() -> None:
    """That is what a release costs."""
    found = definitions()
    pins = locks(found)
    claude = pins.agents["claude"]
    locked = of_npm(claude.packages[0])
    newer = locked.model_copy(
        update={
            "version": "2.1.331",
            "archives": {name: archive(pin.package, "2.1.331") for name, pin in locked.archives.items()},
        }
    )
    after = recomposed(found, pins.with_lock(claude.model_copy(update={"packages": (newer,)})))

    assert _changed(layers(composed()), layers(after)) == {"agents/claude"}
    assert after.graph_digest != composed().graph_digest


def _changed(before: dict[str, Digest], after: dict[str, Digest]) -> set[str]:
    assert list(before) == list(after)
    return {component for component in before if before[component] != after[component]}


SAME = {
    "comment": ("agents/claude.yaml", "spec:", "# a remark\nspec:  # and another"),
    "order of keys": (
        "agents/claude.yaml",
        "  name: claude\n  title: Claude Code\n",
        "  title: Claude Code\n  name: claude\n",
    ),
    "order of variables": (
        "toolchains/node.yaml",
        "        npm: bin/npm-cli.js\n        npx: bin/npx-cli.js",
        "        npx: bin/npx-cli.js\n        npm: bin/npm-cli.js",
    ),
    "quotes": ("agents/claude.yaml", "command: [claude]", "command:\n    - 'claude'"),
    "egress": ("agents/claude.yaml", "host: api.anthropic.com", "host: example.com"),
    "secret": ("agents/claude.yaml", "description: API key.", "description: The key."),
    "smoke test": ("agents/claude.yaml", "timeout: 5", "timeout: 6"),
    "mirror-like address": (
        "roots/tiny.yaml",
        "  bootstrap: {}",
        "  bootstrap: {}\n  archive: http://other.example/debian",
    ),
}


@pytest.mark.parametrize(("file", "old", "new"), SAME.values(), ids=SAME.keys())
def test_what_is_no_content_changes_no_digest(tmp_path: Path, file: str, old: str, new: str) -> None:
    """Of the graph, and so of the image."""
    assert recomposed(with_project(tmp_path, file, old, new)).graph_digest == composed().graph_digest


CONTENT = {
    "binaries": ("agents/claude.yaml", "claude: claude", "claude: bin/claude", {"agents/claude"}),
    "volume": ("agents/claude.yaml", "path: /home/dev/.claude", "path: /home/dev/.c", {"agents/claude"}),
    "exclude": ("toolchains/node.yaml", "share/man", "share/doc", {"toolchains/node"}),
    "workspace": ("bases/node-bun.yaml", "  root: tiny", "  root: tiny\n  workspace: /work", {"bases/node-bun"}),
    "environment": ("agents/claude.yaml", 'DISABLE_UPDATES: "1"', 'DISABLE_UPDATES: "0"', set()),
    "command": ("agents/claude.yaml", "command: [claude]", "command: [claude, -p]", set()),
    "description": ("agents/claude.yaml", "A coding agent.", "An agent.", set()),
}


@pytest.mark.parametrize(("file", "old", "new", "expected"), CONTENT.values(), ids=CONTENT.keys())
def test_content_changes_its_own_layer_and_the_image(
    tmp_path: Path, file: str, old: str, new: str, expected: set[str]
) -> None:
    """What only the config says changes no layer."""
    after = recomposed(with_project(tmp_path, file, old, new))

    assert _changed(layers(composed()), layers(after)) == expected
    assert after.graph_digest != composed().graph_digest


def test_a_project_in_another_folder_has_the_same_graph(tmp_path: Path) -> None:
    """Where files lie is for messages."""
    assert recomposed(with_project(tmp_path)).rootfs.digest == composed().rootfs.digest


def test_another_platform_takes_other_archives() -> None:
    """And all packages that are the same everywhere stay."""

    def files(platform: Platform) -> set[str]:
        return {
            state.op.url.rpartition("/")[2]
            for state in states(composed(platform=platform))
            if isinstance(state.op, Http)
        }

    amd, arm = files(AMD64), files(ARM64)

    assert "claude-code-linux-x64-2.1.330.tgz" in amd - arm
    assert "claude-code-linux-arm64-2.1.330.tgz" in arm - amd
    assert "npm-12.2.0.tgz" in amd & arm


def states(composition: Composition) -> list[State]:
    """Return every state of an image."""
    return list(walk(composition.rootfs))


EVERY = [(name, platform) for name in IMAGES for platform in PLATFORMS]


@pytest.mark.parametrize(("name", "platform"), EVERY, ids=[f"{name} {platform}" for name, platform in EVERY])
def test_no_build_reaches_out_and_everything_fetched_is_pinned(name: str, platform: Platform) -> None:
    """Steps have no network, files a checksum, roots a digest."""
    for state in states(composed(name, platform)):
        match state.op:
            case Run(network=network, secrets=secrets, caches=caches):
                assert (network, secrets, caches) == (Network.NONE, (), ())
            case Http(checksum=checksum):
                assert checksum is not None
            case Image(ref=ref):
                assert "@sha256:" in ref
            case Layout(digest=digest):
                assert digest.startswith("sha256:")


@pytest.mark.parametrize("name", IMAGES)
def test_a_test_reaches_out_only_where_its_definition_says_so(name: str) -> None:
    """By default nothing does."""
    composition = composed(name)
    built = {state.digest for state in states(composition)}
    reaching = {
        state.name
        for case in smoke_cases(composition)
        for state in walk(case.state)
        if isinstance(state.op, Run) and state.op.network is Network.HOST and state.digest not in built
    }

    assert reaching == ({"smoke agents/claude: claude-reaches-out"} if name.endswith("claude") else set())


@pytest.mark.parametrize("name", IMAGES)
def test_everything_written_has_the_one_time(name: str) -> None:
    """But for what is only unpacked or mounted, and copied from there with the time."""
    for layer in composed(name).layers[1:]:
        assert isinstance(layer.state.op, Files)
        assert {action.timestamp for action in layer.state.op.actions} == {EPOCH}
    for state in states(composed(name)):
        for action in state.op.actions if isinstance(state.op, Files) else ():
            match action:
                case Copy(unpack=True, timestamp=timestamp):
                    assert timestamp is None
                case Copy(timestamp=timestamp) | Mkdir(timestamp=timestamp):
                    assert timestamp == EPOCH
                case Symlink(timestamp=timestamp) | Write(timestamp=timestamp):
                    assert timestamp == EPOCH


def test_the_step_that_installs_knows_the_one_time() -> None:
    """Packages' own scripts ask for it."""
    runs = [state.op for state in states(composed()) if isinstance(state.op, Run)]

    assert [dict(op.env)["SOURCE_DATE_EPOCH"] for op in runs] == [str(EPOCH)] * 2


def test_agent_files_belong_to_root_and_volumes_to_the_user() -> None:
    """With the folders on the way to a volume in the user's home, and none above it."""
    layer = composed().layers[-1].state
    owners = {
        action.path: (action.owner.uid, oct(action.mode))
        for state in walk(layer)
        if isinstance(state.op, Files)
        for action in state.op.actions
        if isinstance(action, Mkdir)
    }
    copies = [action for action in layer.op.actions if isinstance(action, Copy)] if isinstance(layer.op, Files) else []

    assert owners == {
        "/home": (0, "0o755"),
        "/home/dev": (1000, "0o755"),
        "/home/dev/.claude": (1000, "0o755"),
        "/opt": (0, "0o755"),
        "/opt/agents": (0, "0o755"),
        "/opt/agents/claude": (0, "0o755"),
        "/usr": (0, "0o755"),
        "/usr/local": (0, "0o755"),
        "/usr/local/bin": (0, "0o755"),
    }
    assert all(
        copy.owner is not None and copy.owner.uid == 0 and "w" not in copy.mode.split("go=")[1] for copy in copies[:-1]
    )


def test_a_volume_outside_the_home_gives_the_user_that_folder_alone(tmp_path: Path) -> None:
    """Not the folders above it."""
    found = with_project(tmp_path, "agents/claude.yaml", "/home/dev/.claude", "/var/lib/claude")
    skeleton = {
        action.path: action.owner.uid
        for state in walk(recomposed(found).layers[-1].state)
        if isinstance(state.op, Files)
        for action in state.op.actions
        if isinstance(action, Mkdir)
    }

    assert (skeleton["/var"], skeleton["/var/lib"], skeleton["/var/lib/claude"]) == (0, 0, 1000)


def test_every_state_leads_to_the_definition_that_asked_for_it() -> None:
    """So that a failing step can name a file and line; roots, layers, runs and fetches all do."""
    for layer in composed().layers:
        assert layer.state.location
        assert layer.state.name == layer.component
    for state in states(composed()):
        if isinstance(state.op, (Run, Http)):
            assert state.location, state.name


def test_a_package_that_is_not_locked_for_the_platform_is_an_error() -> None:
    """With its place."""
    found = definitions()
    claude, lock = found.agents["claude"], locks(found).agents["claude"]
    here = claude.at("spec", "packages", 0)

    with pytest.raises(LockError) as caught:
        program_layer("agents/claude", claude, lock, Platform("linux", "mips"), None, User())

    assert caught.value.message == "agents/claude: @anthropic-ai/claude-code is not locked for linux/mips"
    assert caught.value.location == here


def test_a_base_that_adds_nothing_still_has_its_user() -> None:
    """Its layer is there with no package file."""
    item = plan("plain")
    empty = compose(replace(item, system=item.system.model_copy(update={"packages": ()})))

    assert [layer.component for layer in empty.layers] == ["roots/tiny", "bases/plain"]
    assert not [state for state in states(empty) if isinstance(state.op, Http)]


def test_packages_of_the_security_archive_come_from_there() -> None:
    """The lock says which; the definition says where it is."""
    urls = {state.op.url for state in states(composed("plain")) if isinstance(state.op, Http)}

    assert urls == {
        "http://deb.debian.org/debian-security/pool/main/g/git/git_1.0-1_amd64.deb",
        "http://deb.debian.org/debian/pool/main/t/tini/tini_1.0-1_amd64.deb",
    }


def test_one_platform_gives_its_own_digest_and_several_one_together() -> None:
    """Whatever order they come in."""
    amd, arm = digest_bytes(b"amd"), digest_bytes(b"arm")

    assert combined_digest({"linux/amd64": amd}) == amd
    assert combined_digest({"a": amd, "b": arm}) == combined_digest({"b": arm, "a": amd})
    assert combined_digest({"a": amd, "b": arm}) != combined_digest({"a": arm, "b": amd})


def test_images_that_are_composed_together_share_their_layers() -> None:
    """Each is made once, and the images are the same as when they are composed alone."""
    found = definitions()
    plans = plan_images(IMAGES, PLATFORMS, found, locks(found), "auto")
    together = compose_all(plans)
    made = {id(layer): layer.component for item in together for layer in item.layers}
    counts = {component: sorted(made.values()).count(component) for component in made.values()}

    assert [item.graph_digest for item in together] == [compose(item).graph_digest for item in plans]
    # Two platforms; the owner of an agent's folders is part of its layer, and these bases have one user.
    assert set(counts.values()) == {2}
