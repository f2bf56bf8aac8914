"""Lowering: what LLB a state becomes, as text in tests/golden/llb, and what may and may not change it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf import text_format

from pipeline.digest import digest_bytes
from pipeline.engine.buildkit import llb_pb2 as pb
from pipeline.engine.buildkit.lowering import CA_SECRET, Wiring, layout_store, lower
from pipeline.graph import Copy, Mount, Network, State, http, image, scratch, stack
from pipeline.graph.ops import Run
from pipeline.platform import AMD64, ARM64
from tests.unit.graph.samples import ROOT, SAMPLES

PLAIN = Wiring()
WIRED = Wiring(
    mirrors=(("https://", "https://mirror/"), ("https://example.org/", "https://near/"), ("docker.io/", "oci.near/")),
    proxies={"http_proxy": "http://proxy:3128", "no_proxy": "localhost"},
    has_ca=True,
)
VERTICES = [name for name in SAMPLES if name != "scratch"]


def operations(definition: bytes) -> list[tuple[str, pb.Op]]:
    """Return the operations of a definition with their digests, in order."""
    data = getattr(pb.Definition.FromString(definition), "def")
    return [(digest_bytes(each), pb.Op.FromString(each)) for each in data]


def readable(definition: bytes) -> str:
    """Return a definition as protobuf text, with operations numbered and inputs named by number."""
    decoded = pb.Definition.FromString(definition)
    numbers: dict[str, str] = {}
    parts = []
    for index, (digest, operation) in enumerate(operations(definition)):
        for each in operation.inputs:
            each.digest = numbers[each.digest]
        numbers[digest] = f"operation {index}"
        text = text_format.MessageToString(operation)
        metadata = text_format.MessageToString(decoded.metadata[digest]) if digest in decoded.metadata else ""
        parts.append(f"# operation {index}\n{text}{metadata and '# its metadata' + chr(10)}{metadata}")
    return "\n".join(parts)


@pytest.mark.parametrize("name", VERTICES)
def test_each_operation_lowers_to_the_llb_on_record(name: str, golden: Callable[[str, str], None]) -> None:
    """A change of the wire form is seen in review; it throws away every cache there is."""
    golden(f"llb/{name}.txtpb", readable(lower(SAMPLES[name], AMD64, PLAIN).definition))


def test_the_wiring_of_a_machine_lowers_to_the_llb_on_record(golden: Callable[[str, str], None]) -> None:
    """Mirrors, proxies and a CA bundle are added to steps that reach the network, and to sources."""
    state = stack(SAMPLES["run"], SAMPLES["run-output"], SAMPLES["image"])

    golden("llb/wired.txtpb", readable(lower(state, ARM64, WIRED).definition))


@pytest.mark.parametrize("name", VERTICES)
def test_the_same_state_gives_the_same_bytes(name: str) -> None:
    """Lowering is pure: a second walk, over another object, changes nothing."""
    state = SAMPLES[name]
    twin = State(state.op, state.name, state.location)

    assert lower(twin, AMD64, WIRED) == lower(state, AMD64, WIRED)


def test_the_empty_file_system_alone_has_no_definition() -> None:
    """LLB knows it only as a missing input."""
    with pytest.raises(ValueError, match="empty file system"):
        lower(scratch(), AMD64, PLAIN)


def test_every_operation_comes_before_those_that_use_it() -> None:
    """Each input names an operation that was there already, and the last one only points at the result."""
    definition = lower(SAMPLES["stack"], AMD64, PLAIN).definition
    seen: set[str] = set()
    for digest, operation in operations(definition):
        assert {each.digest for each in operation.inputs} <= seen
        seen.add(digest)
    assert operations(definition)[-1][1].WhichOneof("op") is None


def test_a_shared_state_is_one_vertex() -> None:
    """Forty doublings lower to as many operations as there are states."""
    state = ROOT
    for _ in range(40):
        state = stack(state.run("a"), state.run("b"))
    digests = [digest for digest, _ in operations(lower(state, AMD64, PLAIN).definition)]

    assert len(digests) == len(set(digests)) == 1 + 40 * 3 + 1


def test_equal_inputs_of_one_step_are_one_input() -> None:
    """A state used twice by a step is sent once and referred to twice."""
    (_, step), _ = operations(lower(ROOT.files(*(copy_of_root("/a"), copy_of_root("/b"))), AMD64, PLAIN).definition)[1:]

    assert len(step.inputs) == 1
    assert [action.secondaryInput for action in step.file.actions] == [0, 0]


def test_an_archive_is_unpacked_by_the_one_step_that_copies_from_it() -> None:
    """Into nothing, once, whatever number of copies it makes."""
    (_, fetched), (_, step), _ = operations(lower(SAMPLES["unpack-and-copy"], AMD64, PLAIN).definition)

    assert fetched.WhichOneof("op") == "source"
    unpack, *copies = step.file.actions
    assert (unpack.input, unpack.secondaryInput, unpack.output) == (-1, 0, -1)
    assert [(copy.input, copy.secondaryInput, copy.output) for copy in copies] == [(-1, 1, -1), (2, 1, 0)]


@pytest.mark.parametrize(
    "others",
    [
        lambda archive: [archive],
        lambda archive: [archive.layer("/b", "/b", timestamp=0)],
        lambda archive: [archive.mkdir("/b", timestamp=0)],
        lambda archive: [ROOT.run("true", mounts=[Mount(archive, "/b")])],
        lambda archive: [archive.diff(ROOT)],
    ],
    ids=["itself", "another-copy", "as-a-base", "mounted", "compared"],
)
def test_an_archive_that_more_is_made_of_is_unpacked_by_a_step_of_its_own(
    others: Callable[[State], list[State]],
) -> None:
    """So that it is done once."""
    archive = SAMPLES["unpack"]
    state = stack(archive.layer("/a", "/a", timestamp=0), *others(archive))

    assert archive.digest in lower(state, AMD64, PLAIN).states


def copy_of_root(path: str) -> Copy:
    """Return an action that copies the root into itself."""
    return Copy(ROOT, "/etc", path, None, 0)


def test_a_chain_of_thousands_of_steps_is_lowered() -> None:
    """Depth is no limit."""
    state = ROOT
    for number in range(3000):
        state = state.run(str(number))

    assert len(operations(lower(state, AMD64, PLAIN).definition)) == 3000 + 2


def test_file_actions_follow_each_other_within_one_vertex() -> None:
    """The first action stands on the base, each other on the one before, and the last is the result."""
    actions = operations(lower(SAMPLES["files"], AMD64, PLAIN).definition)[1][1].file.actions

    assert [(action.input, action.secondaryInput, action.output) for action in actions] == [
        (-1, -1, -1),
        (1, -1, -1),
        (2, -1, -1),
        (3, 0, 0),
    ]


def test_the_wiring_of_a_machine_is_outside_the_digest_of_a_state() -> None:
    """Mirrors, proxies and CA change the bytes sent, and neither the state nor the vertex it is reported as."""
    state = SAMPLES["run"]
    plain, wired = lower(state, AMD64, PLAIN), lower(state, AMD64, WIRED)

    assert wired.definition != plain.definition
    assert wired.states == plain.states
    groups = [
        {each.progress_group.id for each in pb.Definition.FromString(lowered.definition).metadata.values()}
        for lowered in (plain, wired)
    ]
    assert groups[0] == groups[1] == set(plain.states)


def test_a_step_without_network_gets_neither_proxy_nor_ca() -> None:
    """What a sealed step sees is the same on every machine."""
    state = ROOT.run("true")

    assert isinstance(state.op, Run)
    assert state.op.network is Network.NONE
    assert lower(state, AMD64, WIRED) == lower(state, AMD64, PLAIN)


def test_the_ca_comes_as_a_secret_and_never_as_a_layer() -> None:
    """Its path is in variables that programs look at; the mount has no output."""
    operation = next(
        each for _, each in operations(lower(SAMPLES["run"], AMD64, WIRED).definition) if each.exec.meta.args
    )
    mounts = [each for each in operation.exec.mounts if each.secretOpt.ID == CA_SECRET]

    assert [each.output for each in mounts] == [-1]
    assert f"NODE_EXTRA_CA_CERTS={mounts[0].dest}" in operation.exec.meta.env


@pytest.mark.parametrize(
    ("state", "identifier"),
    [
        (http("https://example.org/a", digest_bytes(b""), "a"), "https://near/a"),
        (http("https://elsewhere/a", None, "a"), "https://mirror/elsewhere/a"),
        (http("http://plain/a", None, "a"), "http://plain/a"),
        (image(f"docker.io/x@{digest_bytes(b'')}"), f"docker-image://oci.near/x@{digest_bytes(b'')}"),
    ],
    ids=["longest", "other", "none", "image"],
)
def test_sources_are_fetched_from_the_longest_matching_mirror(state: State, identifier: str) -> None:
    """The public name stays in the state; the mirror is in the LLB alone."""
    lowered = lower(state, AMD64, WIRED)

    assert operations(lowered.definition)[0][1].source.identifier == identifier
    assert lowered.states[state.digest] is state


def test_the_layouts_a_graph_reads_are_listed_once() -> None:
    """The client must hand each of them over; two roots have two stores."""
    state = stack(ROOT, ROOT.run("true"), ROOT.layer("/a", timestamp=0))

    assert lower(state, AMD64, PLAIN).layouts == (digest_bytes(b"root"),)
    assert layout_store(digest_bytes(b"a")) != layout_store(digest_bytes(b"b"))


def test_the_platform_is_in_every_vertex() -> None:
    """An arm64 build shares no vertex with an amd64 one."""
    one, two = (
        {digest for digest, _ in operations(lower(SAMPLES["stack"], platform, PLAIN).definition)}
        for platform in (AMD64, ARM64)
    )

    assert not one & two
