"""States: values whose digest is what they mean, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.digest import Digest, digest_bytes
from pipeline.errors import Location
from pipeline.graph import Mount, Network, State, http, image, layout, scratch, stack, walk
from pipeline.graph.ops import Http, Op, Run
from tests.unit.graph.samples import EPOCH, ROOT, SAMPLES

PINNED = {
    "scratch": "sha256:c9ff901144d79ed11707c31cc4753a410a028d4710cdfd55e261b06a181edb62",
    "image": "sha256:281f668c632ff7a2d58902f1048b1980262eac8c16c992e06315370f89c02200",
    "layout": "sha256:10506bc956e0e62aff8dcd18edf19d37d9de039c2fcf22e11aa5696a42c61282",
    "http": "sha256:40b5350dffd5a9a5df928a4e57093dcd3fc0759d854eecee41735368f71d5533",
    "http-unpinned": "sha256:8da198a4fc66fa1534ade77c2c6288ede5b12fb7ef598be92715ffbb534e26cd",
    "run": "sha256:d3a340841042177e5bcaae7c793457a2bce1be7196fcf952a5ed7dabeba683cb",
    "run-output": "sha256:a389752d908600bd89ada3027d08c3063881ce363e571ecbd2eb5855f83c9332",
    "write": "sha256:043399996a782c31f9d354f642d91e512d1a0678dbfce61584f1a341bec0a624",
    "mkdir": "sha256:1be7408ff3d8370f72bf11d011abe25444d0fd417e2d1a4d1b60c7c70d968a33",
    "symlink": "sha256:8ebfc41fd24cac92cc4d2f7ebe778ca28e2fba1a247acfba3194bd9989c43ede",
    "unpack": "sha256:4daf5d3b7dc91c6339c75f982906a99cf5c0748b32805b5a812326f7df9c6808",
    "unpack-and-copy": "sha256:b3f1ad3c313b1d4427c7c9e1b1cdd891817471574b616ee1740be84b73141c77",
    "layer": "sha256:2b79cec299bf4de5271cc01f352b0d35560e2c1280d3acca0ae4de5e3d199e80",
    "files": "sha256:dce75a7558cc92cdced6de7b903bfebd006deb70b419ea92cc220de4153c98fa",
    "diff": "sha256:29111dcf61bb159980dc86eec2b3acc7f12e703f9c70f5859a5e8a9c7ad7d36c",
    "stack": "sha256:fd6e289a9381734cf2e6513b5de921294e5b6c0a0ee228bf4405149662fc5733",
}
WORD = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
PAIRS = st.lists(st.tuples(WORD, WORD), max_size=3)


def states() -> st.SearchStrategy[State]:
    """Return graphs of every shape: sources, and steps on top of smaller graphs."""
    leaves = st.one_of(
        st.just(scratch()),
        WORD.map(lambda word: layout(digest_bytes(word.encode()))),
        st.tuples(WORD, WORD).map(lambda pair: http(pair[0], digest_bytes(pair[1].encode()), "f")),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda s, args, env: s.run(*args, env=env), inner, st.lists(WORD, max_size=3), PAIRS),
            st.builds(
                lambda s, mode, data: s.write("/f", data, mode=mode, timestamp=0),
                inner,
                st.integers(0, 511),
                st.binary(),
            ),
            st.builds(lambda s, path: s.layer("/", path, timestamp=EPOCH), inner, WORD),
            st.builds(lambda s, other: s.diff(other), inner, inner),
            st.builds(lambda s, other: s.run("x", mounts=[Mount(other, "/m")], output="/o"), inner, inner),
            st.lists(inner, min_size=1, max_size=3).map(lambda layers: stack(*layers)),
        ),
        max_leaves=6,
    )


def rebuilt(value: Any) -> Any:
    """Return a copy of a graph in which every state is a new object with other prose."""
    if isinstance(value, State):
        return State(rebuilt(value.op), name="other", location=Location("other.yaml", 7))
    if isinstance(value, tuple):
        return tuple(rebuilt(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(
            **{
                item.name: "other" if is_prose(value, item.metadata) else rebuilt(getattr(value, item.name))
                for item in fields(value)
            }
        )
    return value


def is_prose(value: object, metadata: Any) -> bool:
    """Tell whether a field is for people only; where nothing is pinned, a URL is not."""
    return "prose" in metadata and not (isinstance(value, Http) and value.checksum is None)


def other(value: Any) -> Any:
    """Return a value that is not equal: of the same type where there is one."""
    if isinstance(value, Enum):
        return next(member for member in type(value) if member is not value)
    if isinstance(value, State):
        return value.run("other")
    if value is None:
        return "x"
    more: dict[type, Any] = {bool: not value, int: 1, str: "x", bytes: b"x"}
    return more[bool] if isinstance(value, bool) else value + more[type(value)]


def variations(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield, with the name of the field, every copy of `value` that differs in one leaf that is identity."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            for name, varied in variations(item):
                yield f"[{index}]{name}", (*value[:index], varied, *value[index + 1 :])
        yield "[more]", (*value, value[0] if value else "x")
    elif is_dataclass(value) and not isinstance(value, (type, State)):
        for item in fields(value):
            if not is_prose(value, item.metadata):
                for name, varied in variations(getattr(value, item.name)):
                    yield f".{item.name}{name}", replace(value, **{item.name: varied})
    else:
        yield "", other(value)


@given(states())
def test_equal_meaning_has_an_equal_digest(state: State) -> None:
    """Names, places and the URLs of pinned files are prose; a graph built anew is the same graph."""
    twin = rebuilt(state)

    assert twin == state
    assert hash(twin) == hash(state)
    assert twin.digest == state.digest


@given(states(), states())
def test_states_are_equal_as_their_digests_are(one: State, two: State) -> None:
    """Equality and digest never disagree, and a state made of another is not that other."""
    assert (one == two) is (one.digest == two.digest)
    assert one.run("x") != one


CASES = {
    f"{name}{path}": (sample.op, varied) for name, sample in SAMPLES.items() for path, varied in variations(sample.op)
}


@pytest.mark.parametrize(("op", "varied"), CASES.values(), ids=CASES)
def test_every_field_that_is_not_prose_is_identity(op: Op, varied: Op) -> None:
    """A change of any leaf of an operation gives another digest."""
    assert State(varied).digest != State(op).digest


def test_samples_show_every_operation_and_every_field() -> None:
    """The walk above leaves nothing out: all operations occur, and one with every field of a step filled."""
    kinds = {type(sample.op).__name__ for sample in SAMPLES.values()}

    assert kinds == {"Scratch", "Image", "Layout", "Http", "Run", "Files", "Diff", "Merge"}
    assert {field.name for field in fields(Run)} == {
        case.removeprefix("run.").partition("[")[0].partition(".")[0] for case in CASES if case.startswith("run.")
    }


def test_operations_with_equal_fields_are_not_equal_states() -> None:
    """The type of an operation is part of its meaning: a stack of two is not their difference."""
    one, two = ROOT, scratch()

    assert stack(one, two) != one.diff(two)
    assert image(f"a@{digest_bytes(b'')}").digest != layout(Digest(f"a@{digest_bytes(b'')}")).digest


def test_unpinned_files_are_known_by_their_url() -> None:
    """Without a checksum the URL is all there is."""
    assert http("https://a/x", None, "x") != http("https://b/x", None, "x")
    assert http("https://a/x", digest_bytes(b""), "x") == http("https://b/x", digest_bytes(b""), "x")


@pytest.mark.parametrize("name", SAMPLES)
def test_the_digest_of_each_operation_is_pinned(name: str) -> None:
    """A change here rebuilds everything everywhere: it must be meant, and said in the change log."""
    assert SAMPLES[name].digest == PINNED[name]


def test_a_name_is_carried_and_can_be_given_again() -> None:
    """A new name keeps the place, unless a new place comes with it."""
    place = Location("a.yaml", 1)
    state = ROOT.run("true").named("first", place).named("second")

    assert (state.name, state.location) == ("second", place)
    assert state == ROOT.run("true")


def test_steps_have_no_network_unless_it_is_asked_for() -> None:
    """What is not pinned cannot be fetched by accident."""
    state = ROOT.run("true")

    assert isinstance(state.op, Run)
    assert state.op.network is Network.NONE


def test_an_image_without_a_digest_is_refused() -> None:
    """A tag moves."""
    with pytest.raises(ValueError, match="not pinned"):
        image("docker.io/library/debian:trixie")


def test_a_stack_of_one_is_that_one_and_of_none_is_refused() -> None:
    """No merge where nothing is merged."""
    assert stack(ROOT) is ROOT
    with pytest.raises(ValueError, match="at least one"):
        stack()


def test_what_has_no_canonical_form_is_refused() -> None:
    """A list in an operation, which could change later, does not reach a digest."""
    with pytest.raises(TypeError, match="list has no place"):
        _ = State(Run(ROOT, ("x",), env=[("a", "b")])).digest  # type: ignore[arg-type]


def test_a_deep_graph_is_hashed_and_walked_without_recursion() -> None:
    """Depth is bounded by memory, not by Python's stack."""
    state = scratch()
    for number in range(5000):
        state = state.write(f"/{number}", b"", timestamp=0)

    assert state.digest.startswith("sha256:")
    assert len(list(walk(state))) == 5001


def test_a_diamond_is_walked_once_inputs_first() -> None:
    """Forty doublings are eighty states, not 2 to the 40th; each comes after what it needs."""
    state = ROOT
    for _ in range(40):
        state = stack(state.run("a"), state.run("b"))
    order = list(walk(state))
    places = {step.digest: index for index, step in enumerate(order)}

    assert len(order) == len(places) == 1 + 40 * 3
    assert order[0] == ROOT
    assert order[-1] == state
    assert all(places[child.digest] < places[step.digest] for step in order for child in step.inputs)


def test_a_state_prints_as_one_short_line() -> None:
    """A failing comparison does not print the graph."""
    assert repr(ROOT.run("x").named("step")) == f"State(Run, 'step', {ROOT.run('x').digest})"
