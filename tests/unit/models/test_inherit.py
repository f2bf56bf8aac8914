"""Bases that inherit: the union of what they extend, and a clear no where that is not possible."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ErrorGroup
from pipeline.models.defined import Defined, Definitions
from pipeline.models.kinds import Base, BaseSpec
from pipeline.models.load import load_definitions
from tests.unit.models.test_clashes import HEAD, ROOT, toolchain

OTHER_ROOT = ROOT.replace("name: r}", "name: s}")
TOOLS = HEAD.format(kind="CommonTools", name="shell") + "  debian: [git]\n"


def base(name: str, *lines: str) -> str:
    """Return a base on root r with further lines, or one that extends where the first line says so."""
    stand = () if lines and lines[0].startswith("extends:") else ("root: r",)
    return HEAD.format(kind="Base", name=name) + "".join(f"  {line}\n" for line in (*stand, *lines))


def combo(name: str, bases: str, *lines: str) -> str:
    """Return a combo with further lines."""
    return HEAD.format(kind="Combo", name=name) + "".join(f"  {line}\n" for line in (f"bases: [{bases}]", *lines))


def load(folder: Path, **documents: str) -> Definitions:
    """Load these documents, each in a file of its name, with two roots, two toolchains and a set of tools."""
    fixed = {"r": ROOT, "s": OTHER_ROOT, "t": toolchain("t", "t"), "u": toolchain("u", "u"), "tools": TOOLS}
    for name, text in {**fixed, **documents}.items():
        (folder / f"{name}.yaml").write_text(text)
    return load_definitions([folder], folder)


def problems(folder: Path, **documents: str) -> list[str]:
    """Return what is wrong with these documents, with its place and what to do."""
    with pytest.raises(ErrorGroup) as caught:
        load(folder, **documents)
    return [f"{error} -- {error.remedy}" for error in caught.value.errors]


def one(folder: Path, name: str, **documents: str) -> Defined[Base]:
    """Return the base called `name`."""
    return load(folder, **documents).bases[name]


def test_a_base_has_what_it_extends_and_its_own(tmp_path: Path) -> None:
    """What is inherited comes first."""
    found = one(
        tmp_path,
        "b",
        a=base("a", "toolchains: [u]", "commonTools: [shell]", "debian: [jq]", "env: {A: x}", "workspace: /work"),
        b=base("b", "extends: a", "toolchains: [t]", "debian: [tini]", "env: {B: y}"),
    )
    spec = found.model.spec

    assert (spec.root, spec.toolchains, spec.common_tools, spec.debian) == ("r", ("u", "t"), ("shell",), ("jq", "tini"))
    assert (dict(spec.env), spec.workspace, spec.extends) == ({"A": "x", "B": "y"}, "/work", "a")


def test_every_key_of_an_heir_knows_where_it_was_written(tmp_path: Path) -> None:
    """In whatever file that is."""
    found = one(
        tmp_path,
        "b",
        a=base("a", "toolchains: [u]", "debian: [jq]", "env: {A: x}", "workspace: /work"),
        b=base("b", "extends: a", "toolchains: [u, t]", "env:", "  B: y"),
    )
    places = {
        ("root",): "a.yaml:5:3",
        ("toolchains", 0): "a.yaml:6:16",
        ("toolchains", 1): "b.yaml:6:19",
        ("debian", 0): "a.yaml:7:12",
        ("env", "A"): "a.yaml:8:9",
        ("env", "B"): "b.yaml:8:5",
        ("workspace",): "a.yaml:9:3",
        ("extends",): "b.yaml:5:3",
        (): "b.yaml:4:1",
    }

    assert {path: str(found.at("spec", *path)) for path in places} == places
    assert str(found.at("metadata", "name")) == "b.yaml:3:12"


def test_every_field_of_a_base_is_inherited(tmp_path: Path) -> None:
    """A field that the union forgets would silently have its default."""
    found = one(tmp_path, "b", a=base("a"), b=base("b", "extends: a"))

    assert found.model.spec.model_fields_set == set(BaseSpec.model_fields)


def test_a_base_without_parents_is_as_it_was_written(tmp_path: Path) -> None:
    """Nothing is put together."""
    found = one(tmp_path, "a", a=base("a", "toolchains: [t]"))

    assert found.model.spec.model_fields_set == {"root", "toolchains"}


def test_a_combo_is_the_union_in_order_of_first_mention(tmp_path: Path) -> None:
    """And is a base among the bases, with a name and a description of its own."""
    found = load(
        tmp_path,
        a=base("a", "toolchains: [u]", "debian: [jq, tini]"),
        b=base("b", "toolchains: [t, u]", "debian: [less, jq]"),
        c=combo("c", "b, a", "debian: [file]").replace("{name: c}", "{name: c, description: both}"),
    )
    combined = found.bases["c"].model

    assert combined.spec.toolchains == ("t", "u")
    assert combined.spec.debian == ("less", "jq", "tini", "file")
    assert (combined.metadata.description, combined.kind) == ("both", "Base")
    assert (list(found.combos), list(found.bases)) == (["c"], ["a", "b", "c"])


def test_a_diamond_has_everything_once(tmp_path: Path) -> None:
    """Both ways lead to the same variables, tests and toolchains."""
    smoke = "smoke: [{name: works, run: [id]}]"
    found = one(
        tmp_path,
        "d",
        a=base("a", "toolchains: [t]", "env: {A: x}", smoke),
        b=base("b", "extends: a", "toolchains: [u]"),
        c=base("c", "extends: a", "env: {C: y}"),
        d=combo("d", "b, c"),
    ).model.spec

    assert (found.toolchains, dict(found.env)) == (("t", "u"), {"A": "x", "C": "y"})
    assert [test.name for test in found.smoke] == ["works"]


def test_a_combo_may_join_combos_and_a_base_extend_one(tmp_path: Path) -> None:
    """As long as there are three levels at most."""
    found = load(
        tmp_path,
        a=base("a", "toolchains: [t]"),
        b=base("b", "toolchains: [u]"),
        c=combo("c", "a, b"),
        d=base("d", "extends: c"),
        e=combo("e", "c, b"),
    ).bases

    assert found["d"].model.spec.toolchains == found["e"].model.spec.toolchains == ("t", "u")


@pytest.mark.parametrize(
    ("line", "other", "expected"),
    [
        ("env: {A: x}", "env: {A: y}", "variable `A` of c is `y` here and `x` in a.yaml:6:9"),
        ("workspace: /a", "workspace: /b", "`workspace` of c is `/b` here and `/a` in a.yaml:6:3"),
        ("user: {uid: 7}", "user: {uid: 8}", "`user` of c is one thing here and another in a.yaml:6:3"),
        (
            "smoke: [{name: n, run: [a]}]",
            "smoke: [{name: n, run: [b]}]",
            "smoke test `n` of c is one thing here and another in a.yaml:6:11",
        ),
    ],
    ids=["env", "workspace", "user", "smoke"],
)
def test_bases_that_contradict_each_other_are_not_joined(tmp_path: Path, line: str, other: str, expected: str) -> None:
    """The message names both places."""
    (found,) = problems(tmp_path, a=base("a", line), b=base("b", other), c=combo("c", "a, b"))

    assert found.partition(": ")[2] == (
        f"{expected} -- whoever inherits may add, not change; make the two equal, or remove one"
    )
    assert found.startswith("b.yaml:6:")


def test_bases_on_different_roots_are_not_joined(tmp_path: Path) -> None:
    """Their Debian packages would not fit together."""
    other = base("b").replace("root: r", "root: s")

    assert problems(tmp_path, a=base("a"), b=other, c=combo("c", "a, b")) == [
        (
            "b.yaml:5:3: `root` of c is `s` here and `r` in a.yaml:5:3"
            " -- whoever inherits may add, not change; make the two equal, or remove one"
        )
    ]


def test_an_heir_may_repeat_but_not_change(tmp_path: Path) -> None:
    """A variable, the root, the workspace."""
    same = base("b", "extends: a", "root: r", "env: {A: x}", "workspace: /workspace")
    (tmp_path / "bad").mkdir()

    assert one(tmp_path, "b", a=base("a", "env: {A: x}"), b=same).model.spec.root == "r"
    assert [
        text.partition(" -- ")[0]
        for text in problems(
            tmp_path / "bad",
            a=base("a", "env: {A: x}"),
            b=base("b", "extends: a", "root: s", "env: {A: y}", "workspace: /work"),
        )
    ] == [
        "b.yaml:6:3: `root` of b is `s` here and `r` in a.yaml:5:3",
        "b.yaml:7:9: variable `A` of b is `y` here and `x` in a.yaml:6:9",
        "b.yaml:8:3: `workspace` of b is `/work` here and `/workspace` in a.yaml:4:1",
    ]


def test_a_conflict_is_told_once(tmp_path: Path) -> None:
    """Whoever builds on what cannot be has no mistake of its own."""
    documents = {"a": base("a", "env: {A: x}"), "b": base("b", "env: {A: y}"), "c": combo("c", "a, b")}

    assert len(problems(tmp_path, **documents, d=base("d", "extends: c"))) == 1


CYCLES = {
    "itself": ({"a": base("a", "extends: a")}, "a.yaml:5:3: bases inherit in a circle: a → a"),
    "two": (
        {"a": base("a", "extends: b"), "b": base("b", "extends: a")},
        "a.yaml:5:3: bases inherit in a circle: a → b → a",
    ),
    "combo": (
        {"a": base("a", "extends: c"), "b": base("b"), "c": combo("c", "b, d"), "d": base("d", "extends: a")},
        "a.yaml:5:3: bases inherit in a circle: a → c → d → a",
    ),
    "heirs": (
        {"a": base("a", "extends: b"), "b": base("b", "extends: c"), "c": base("c", "extends: b")},
        "b.yaml:5:3: bases inherit in a circle: b → c → b",
    ),
}


@pytest.mark.parametrize(("documents", "expected"), CYCLES.values(), ids=CYCLES)
def test_a_cycle_is_named_whole_and_once(tmp_path: Path, documents: dict[str, str], expected: str) -> None:
    """Beginning with the first of its names; what only leads to it is not blamed."""
    assert problems(tmp_path, **documents) == [f"{expected} -- take one of them out"]


def test_two_cycles_through_one_base_are_two_errors(tmp_path: Path) -> None:
    """Each needs an answer."""
    documents = {"a": combo("a", "b, c"), "b": base("b", "extends: a"), "c": base("c", "extends: b")}

    assert [text.partition(" -- ")[0] for text in problems(tmp_path, **documents)] == [
        "a.yaml:5:11: bases inherit in a circle: a → b → a",
        "a.yaml:5:14: bases inherit in a circle: a → c → b → a",
    ]


def test_three_levels_are_allowed(tmp_path: Path) -> None:
    """A base, one that extends it, and one that extends that."""
    found = one(
        tmp_path,
        "c",
        a=base("a", "toolchains: [t]"),
        b=base("b", "extends: a", "toolchains: [u]"),
        c=base("c", "extends: b", "debian: [jq]"),
    )

    assert (found.model.spec.toolchains, found.model.spec.debian) == (("t", "u"), ("jq",))


def test_a_fourth_level_is_refused_with_the_whole_chain(tmp_path: Path) -> None:
    """A fifth is not blamed for it."""
    documents = {
        "a": base("a"),
        "b": base("b", "extends: a"),
        "c": base("c", "extends: b"),
        "d": combo("d", "a, c"),
        "e": base("e", "extends: d"),
    }

    assert problems(tmp_path, **documents) == [
        (
            "d.yaml:5:14: d inherits over 4 levels, and 3 are allowed: d → c → b → a"
            " -- extend b instead, or move what is needed up"
        )
    ]


def test_a_very_long_chain_and_a_very_long_cycle_are_refused_soon(tmp_path: Path) -> None:
    """Neither the depth of a stack nor the patience of a person is used up."""
    chain = {f"b{at:04}": base(f"b{at:04}", f"extends: b{at - 1:04}" if at else "root: s") for at in range(1500)}
    chain["b0000"] = base("b0000")
    cycle = {f"c{at:03}": base(f"c{at:03}", f"extends: c{(at + 1) % 300:03}") for at in range(300)}
    one, two = problems(tmp_path, **chain, **cycle)

    assert one.startswith("b0003.yaml:5:3: b0003 inherits over 4 levels")
    assert two.startswith("c000.yaml:5:3: bases inherit in a circle: c000 → c001 → ")
    assert two.count("→") == 300


def test_an_unknown_parent_brings_the_nearest_names(tmp_path: Path) -> None:
    """Bases and combos alike."""
    documents = {"node": base("node"), "b": base("b", "extends: nod"), "c": combo("c", "node, bb")}

    assert problems(tmp_path, **documents) == [
        "b.yaml:5:3: there is no base named `nod` -- did you mean node?",
        "c.yaml:5:17: there is no base named `bb` -- did you mean b?",
    ]


def test_a_mistake_is_blamed_on_who_wrote_it(tmp_path: Path) -> None:
    """Heirs of a base with an unknown toolchain are right themselves."""
    documents = {"a": base("a", "toolchains: [v]"), "b": base("b", "extends: a"), "c": combo("c", "a, b")}

    assert problems(tmp_path, **documents) == [
        "a.yaml:6:16: there is no toolchain named `v` -- known: t, u",
    ]


FORMS = {
    "neither": (
        base("b", "extends: a").replace("  extends: a\n", "  debian: [jq]\n"),
        "b.yaml:4:1: `spec`: a base names its `root`, or the base it `extends`",
    ),
    "empty root": (
        base("b").replace("root: r", 'root: ""'),
        "b.yaml:5:3: `spec.root`: '' does not have the right form",
    ),
    "one": (
        combo("b", "a"),
        "b.yaml:4:1: `spec`: a combo joins two `bases` at least; to build on one, define a Base that `extends` it",
    ),
    "twice": (combo("b", "a, a"), "b.yaml:5:3: `spec.bases`: 'a' is there twice"),
    "root of a combo": (combo("b", "a, c", "root: r"), "b.yaml:6:3: unknown key `spec.root`"),
    "missing": (HEAD.format(kind="Combo", name="b") + "  debian: [jq]\n", "b.yaml:4:1: `spec.bases` is missing"),
}


@pytest.mark.parametrize(("text", "expected"), FORMS.values(), ids=FORMS)
def test_what_inherits_has_one_form(tmp_path: Path, text: str, expected: str) -> None:
    """A base extends one, a combo joins several."""
    assert [line.partition(" -- ")[0] for line in problems(tmp_path, a=base("a"), b=text)] == [expected]


def test_a_base_and_a_combo_of_one_name_are_one_too_many(tmp_path: Path) -> None:
    """Their images would be called the same."""
    documents = {"a": base("a"), "b": base("b"), "c": combo("a", "a, b")}

    assert problems(tmp_path, **documents) == [
        "c.yaml:3:12: duplicate name: Combo `a` is defined in a.yaml:3:12 already -- rename one of them"
    ]


def test_a_projects_combo_replaces_a_shipped_base_of_its_name(tmp_path: Path) -> None:
    """And what extends that base then stands on the combo."""
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    shipped.mkdir()
    own.mkdir()
    load(
        shipped, a=base("a"), b=base("b", "toolchains: [t]"), c=base("c", "toolchains: [u]"), d=base("d", "extends: a")
    )
    (own / "a.yaml").write_text(combo("a", "b, c"))
    found = load_definitions([shipped, own], tmp_path)

    assert found.bases["d"].model.spec.toolchains == ("t", "u")
    assert set(found.combos) == {"a"}


def test_commands_of_joined_toolchains_may_not_clash(tmp_path: Path) -> None:
    """Though neither base has both."""
    documents = {"t": toolchain("t", "x"), "u": toolchain("u", "x")}
    bases = {"a": base("a", "toolchains: [t]"), "b": base("b", "toolchains: [u]")}

    assert problems(tmp_path, **documents, **bases, c=combo("c", "a, b")) == [
        "u.yaml:5:34: command `x` (on base c) is claimed twice, first in t.yaml:5:34 -- keep one of them"
    ]
