"""Definitions as they are loaded: what replaces what, what stays as it was, and what makes no difference."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from pipeline.errors import DefinitionError, ErrorGroup, UsageError
from pipeline.models.choices import pick, suggest
from pipeline.models.defined import Definitions
from pipeline.models.document import parse_document
from pipeline.models.kinds import Agent
from pipeline.models.load import load_definitions
from tests.unit.compose.samples import PROJECT, definitions
from tests.unit.models.test_bad_input import AGENT, BASE, FILES, ROOT, TOOLCHAIN, errors_of

SHIPPED = Path(__file__).parents[3]


def load(folder: Path, files: Mapping[str, str]) -> Definitions:
    """Write `files` into `folder` and load them."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return load_definitions([folder], folder)


def test_shipped_definitions_load() -> None:
    """Everything this project ships is right."""
    assert set(load_definitions([SHIPPED / "definitions"], SHIPPED).agents) >= {"claude"}


def test_a_projects_definition_replaces_the_shipped_one_of_its_name(tmp_path: Path) -> None:
    """The others stay, and may be referred to from either side."""
    load(tmp_path / "shipped", FILES)
    own = tmp_path / "own" / "agents" / "mine.yml"
    own.parent.mkdir(parents=True)
    own.write_text(AGENT.replace("command: [claude]", "command: [claude, --safe]"))
    found = load_definitions([tmp_path / "shipped", tmp_path / "own"], tmp_path)

    assert found.agents["claude"].model.spec.command == ("claude", "--safe")
    assert str(found.agents["claude"].at("spec", "command")) == "own/agents/mine.yml:11:3"
    assert set(found.toolchains) == {"node"}


def test_a_replaced_root_is_what_shipped_bases_stand_on(tmp_path: Path) -> None:
    """References are looked up after replacing."""
    load(tmp_path / "shipped", FILES)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "tiny.yaml").write_text(ROOT.replace("trixie\n", "forky\n"))
    found = load_definitions([tmp_path / "shipped", tmp_path / "own"], tmp_path)

    assert found.roots[found.bases["plain"].model.spec.root].model.spec.suite == "forky"


def test_files_outside_the_project_are_shown_whole(tmp_path: Path) -> None:
    """A relative path would lead nowhere."""
    elsewhere = tmp_path / "elsewhere"
    found = load(elsewhere, FILES)
    again = load_definitions([elsewhere], tmp_path / "project")

    assert found.agents["claude"].at().file == "agent.yaml"
    assert again.agents["claude"].at().file == str(elsewhere / "agent.yaml")


def test_the_place_of_what_is_not_written_is_that_of_what_is_around_it(tmp_path: Path) -> None:
    """An error about a default still leads somewhere."""
    agent = load(tmp_path, FILES).agents["claude"]

    assert str(agent.at("spec", "smoke", 0, "network")) == "agent.yaml:23:7"
    assert str(agent.at("nothing", "of", "this")) == "agent.yaml:1:1"


def test_a_byte_order_mark_is_taken(tmp_path: Path) -> None:
    """Some editors write one."""
    assert set(load(tmp_path, {**FILES, "agent.yaml": "\ufeff" + AGENT}).agents) == {"claude"}


def test_windows_line_ends_are_taken(tmp_path: Path) -> None:
    """And mean the same."""
    plain = load(tmp_path / "a", FILES).agents["claude"].model
    (tmp_path / "b").mkdir()
    for name, text in FILES.items():
        (tmp_path / "b" / name).write_bytes(text.replace("\n", "\r\n").encode())

    assert load_definitions([tmp_path / "b"], tmp_path).agents["claude"].model == plain


def test_a_date_and_signs_of_yaml_are_text_where_text_is_wanted(tmp_path: Path) -> None:
    """Of scalars only numbers, truth and nothing are more than what is written."""
    text = AGENT.replace("A: b", "A: 2026-01-01\n    B: =\n    C: <<").replace("run: [claude]", "run: [test, a, =, b]")
    spec = load(tmp_path, {**FILES, "agent.yaml": text}).agents["claude"].model.spec

    assert dict(spec.env) == {"A": "2026-01-01", "B": "=", "C": "<<"}
    assert spec.smoke[0].run == ("test", "a", "=", "b")
    assert spec.egress[0].verified == date(2026, 11, 21)


def _values(value: Any) -> Iterator[Any]:
    """Yield everything a loaded value holds."""
    yield value
    if isinstance(value, BaseModel):
        children = [getattr(value, name) for name in type(value).model_fields]
    elif dataclasses.is_dataclass(value):
        children = [getattr(value, item.name) for item in dataclasses.fields(value)]
    elif isinstance(value, Mapping):
        children = [*value.keys(), *value.values()]
    else:
        children = list(value) if isinstance(value, tuple) else []
    for child in children:
        yield from _values(child)


def test_what_is_loaded_is_frozen_to_the_bottom() -> None:
    """Nothing in it is of a type that could be changed."""
    frozen = (str, int, bool, date, tuple, MappingProxyType, BaseModel)
    for value in _values(definitions()):
        assert value is None or isinstance(value, frozen) or dataclasses.is_dataclass(value), type(value)


def test_changing_what_is_loaded_raises() -> None:
    """Fields, maps and the tables of definitions."""
    found = definitions()
    agent = found.agents["claude"]

    with pytest.raises(ValidationError, match="frozen"):
        agent.model.spec.command = ("x",)  # type: ignore[misc]
    with pytest.raises(TypeError):
        agent.model.spec.env["A"] = "b"  # type: ignore[index]
    with pytest.raises(TypeError):
        found.agents["x"] = agent  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        agent.model = agent.model  # type: ignore[misc]


def test_an_unknown_name_brings_the_nearest_ones() -> None:
    """Or all there are, where none comes near."""
    agents = definitions().agents

    with pytest.raises(UsageError, match="no agent named 'cluade'") as near:
        pick(agents, "cluade", "agent")
    with pytest.raises(UsageError) as far:
        pick(agents, "zzz", "agent")

    assert near.value.remedy == "did you mean claude?"
    assert far.value.remedy == "known: claude, picky"
    assert suggest("x", ()) == "none is defined"
    assert pick(agents, "claude", "agent").name == "claude"


def _dumped(value: Any, chance: random.Random, style: str | None, *, flow: bool) -> str:
    """Return `value` as YAML with its keys in some other order, written some other way."""

    def shuffled(item: Any) -> Any:
        if isinstance(item, dict):
            keys = list(item)
            chance.shuffle(keys)
            return {key: shuffled(item[key]) for key in keys}
        return [shuffled(part) for part in item] if isinstance(item, list) else item

    class Dumper(yaml.SafeDumper):
        """Quotes text in one style, and nothing else."""

    Dumper.add_representer(
        str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)
    )
    return str(yaml.dump(shuffled(value), Dumper=Dumper, sort_keys=False, default_flow_style=flow, width=10**6))


def _commented(text: str, chance: random.Random) -> str:
    lines = []
    for line in text.splitlines():
        if chance.random() < 0.3:
            lines.append(" " * chance.randrange(12) + "# a remark: [not, data]")
        lines.append(line)
    return "\n".join([*lines, "", "# the end"])


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), style=st.sampled_from([None, "'", '"']), flow=st.booleans())
def test_comments_order_and_quotes_change_nothing(seed: int, style: str | None, flow: bool) -> None:
    """However a definition is written, the same model comes of it."""
    chance = random.Random(seed)  # noqa: S311  # no secret depends on it
    written = (PROJECT / "definitions/agents/claude.yaml").read_text()
    plain, _ = parse_document(written, "a")
    assert plain is not None
    text = _commented(_dumped(plain.data, chance, style, flow=flow), chance)
    other, errors = parse_document(text, "b")

    assert errors == ()
    assert other is not None
    assert Agent.model_validate(other.data) == Agent.model_validate(plain.data)


_LINES = st.sampled_from([line for text in (AGENT, BASE, ROOT, TOOLCHAIN) for line in text.splitlines()])
_NOISE = st.one_of(st.text(), st.lists(st.one_of(_LINES, st.text(max_size=8)), max_size=20).map("\n".join))


@settings(deadline=None)
@given(text=_NOISE)
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Never anything but errors of our own, each with a place and in one line."""
    folder = tmp_path_factory.mktemp("noise", numbered=True)
    errors = errors_of(folder, agent=text)

    assert all(isinstance(error, DefinitionError) and error.location for error in errors)
    assert all("\n" not in error.message for error in errors)


@settings(deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Even where they are no text."""
    folder = tmp_path_factory.mktemp("noise", numbered=True)
    (folder / "a.yaml").write_bytes(content)
    with pytest.raises(ErrorGroup):
        load_definitions([folder], folder)


def test_a_shipped_combo_that_no_longer_fits_what_replaced_its_base_is_gone(tmp_path: Path) -> None:
    """Who replaces a base need not mend the combos of it; what the project wrote itself it has to."""
    head = "apiVersion: agentcontainers/v1\nkind: {}\nmetadata: {{name: {}}}\nspec: "
    shipped, project = tmp_path / "shipped", tmp_path / "project"
    root = "{{distribution: debian, suite: trixie, image: docker.io/library/{}:trixie-slim, bootstrap: {{}}}}\n"
    texts = {
        shipped / "one.yaml": head.format("Root", "one") + root.format("one"),
        shipped / "two.yaml": head.format("Root", "two") + root.format("two"),
        shipped / "a.yaml": head.format("Base", "a") + "{root: one}\n",
        shipped / "b.yaml": head.format("Base", "b") + "{root: one}\n",
        shipped / "c.yaml": head.format("Base", "c") + "{root: one}\n",
        shipped / "ab.yaml": head.format("Combo", "ab") + "{bases: [a, b]}\n",
        shipped / "bc.yaml": head.format("Combo", "bc") + "{bases: [b, c]}\n",
        project / "a.yaml": head.format("Base", "a") + "{root: two}\n",
    }
    for path, text in texts.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = load_definitions([shipped, project], tmp_path)

    assert sorted(found.bases) == ["a", "b", "bc", "c"]
    assert sorted(found.combos) == ["bc"]
    (project / "own.yaml").write_text(head.format("Combo", "own") + "{bases: [a, b]}\n")
    with pytest.raises(ErrorGroup, match="`root` of own"):
        load_definitions([shipped, project], tmp_path)
