"""The Dagger module: what it registers, and what its functions do that need no engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("dagger", reason="dagger-io is not installed")

import dagger
import gql
import graphql
from dagger._exceptions import QueryErrorValue
from dagger.mod import default_module

from pipeline.cli.app import COMMANDS
from pipeline.dagger_module import Agc, AgcFailedError
from pipeline.dagger_module.place import Sources, opened
from tests.unit.engine.dagger_api import Recorded, recording

FUNCTIONS_OF_THEIR_OWN = {"build-all": "build", "lock-check": "lock", "catalog": "plan"}
"""Functions that a command has as an option, that it does for several, or that give the file it reads."""


FLAGS_OF_DAGGER_CALL = {
    *(
        "allow-llm",
        "auto-apply",
        "debug",
        "eager-runtime",
        "help",
        "interactive",
        "interactive-command",
        "json",
        "lock",
    ),
    *("mod", "no-exit", "no-mod", "output", "progress", "quiet", "silent", "verbose", "web", "x-release"),
}
"""As `dagger call --help` of 0.21.8 shows them."""


@dataclass
class Given:
    """A secret with its value, or none where it is said to be."""

    value: str | None

    async def plaintext(self) -> str:
        """Return it as Dagger's does."""
        await anyio.lowlevel.checkpoint()
        if self.value is None:
            raise dagger.QueryError([QueryErrorValue("secret env var not found: NOPE")], gql.gql("{ version }"))
        return self.value


def registered() -> list[str]:
    """Return the names of the functions, as `dagger call` takes them."""
    names = Agc.__dagger_object_type__.functions  # type: ignore[attr-defined]
    return [name.replace("_", "-") for name in names if name]


def described() -> Iterator[str]:
    """Yield what the module registers: every function with its arguments, their types, defaults and words."""
    kind = Agc.__dagger_object_type__  # type: ignore[attr-defined]
    kind.get_constructor(default_module()._converter)
    for name, found in sorted(kind.functions.items()):
        marks = " (check)" if found.check else ""
        yield f"{name or 'constructor'}{marks} -> {_plain(found.return_type)}"
        yield f"  {(found.doc or '').strip()}"
        for argument in found.parameters.values():
            default = "" if argument.default_value is None else f" = {argument.default_value}"
            optional = "?" if argument.is_nullable else ""
            yield f"  {argument.name}{optional}: {_plain(argument.resolved_type)}{default}"
            yield f"      {argument.doc}"
        yield ""


def _plain(kind: object) -> str:
    return getattr(kind, "__name__", "") if isinstance(kind, type) and "[" not in str(kind) else str(kind)


def test_the_module_registers_what_was_looked_at(golden: Callable[[str, str], None]) -> None:
    """Names, arguments, types and documentation, all of which people see in `dagger call --help`."""
    golden("dagger/module.txt", "\n".join(described()))


def test_every_function_is_a_command_of_agc() -> None:
    """With the same name, so that what one knows of the one is true of the other."""
    assert {FUNCTIONS_OF_THEIR_OWN.get(name, name) for name in registered()} <= set(COMMANDS)


def test_no_argument_has_the_name_of_a_flag_of_dagger_call() -> None:
    """With one that has, `dagger call` refuses the function: flag already exists."""
    functions = Agc.__dagger_object_type__.functions.values()  # type: ignore[attr-defined]
    names = {argument.name.replace("_", "-") for found in functions for argument in found.parameters.values()}

    assert not names & FLAGS_OF_DAGGER_CALL


def test_every_argument_is_documented() -> None:
    """Nobody has to look into the source to call one."""
    functions = Agc.__dagger_object_type__.functions.values()  # type: ignore[attr-defined]

    assert all(argument.doc for found in functions for argument in found.parameters.values())
    assert all(found.doc for found in functions)


def test_what_is_registered_is_valid_by_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The definitions of all types go to the engine in one query."""
    session = Recorded()
    client = recording(session)
    module = default_module()
    monkeypatch.setattr("dagger.mod._module.dag", client)
    monkeypatch.setattr("dagger.mod._converter.dag", client)
    monkeypatch.setattr(module, "_main_name", "Agc")
    monkeypatch.setattr(module, "_main", module.get_object("Agc"))

    anyio.run(module._typedefs)

    whole = session.queries[-1]
    assert graphql.parse(whole)
    assert "withObject" in whole


def test_an_unknown_image_is_told_with_its_near_matches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `agc` tells it: Dagger shows the text of the exception and nothing else."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(AgcFailedError, match="no image named 'node-bun-cloude'") as caught:
        anyio.run(Agc().explain, "node-bun-cloude")

    assert "did you mean node-bun-claude" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_no_catalog_is_told_with_where_one_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of its own has one once it has pushed."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(AgcFailedError, match=r"catalog\.json is not there") as caught:
        anyio.run(Agc().catalog)

    assert "--project" in str(caught.value)


def test_logins_are_there_for_one_function_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file only we read, gone with the function, and so is the variable that names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", "before")
    seen: list[tuple[str, int]] = []

    def look() -> None:
        file = Path(os.environ["DOCKER_CONFIG"], "config.json")
        seen.append((file.read_text(), file.stat().st_mode & 0o777))

    async def use() -> None:
        async with opened(Sources(registry_config=Given('{"auths": {}}')), needs_project=False):  # type: ignore[arg-type]
            look()

    anyio.run(use)

    assert seen == [('{"auths": {}}', 0o600)]
    assert (os.environ["DOCKER_CONFIG"], list(tmp_path.iterdir())) == ("before", [])


def test_a_secret_that_is_not_there_is_told_by_its_argument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the ways to name one; the project is not even read."""
    monkeypatch.chdir(tmp_path)

    async def use() -> None:
        async with opened(Sources(registry_config=Given(None))):  # type: ignore[arg-type]
            pytest.fail("it was opened")

    with pytest.raises(AgcFailedError, match="--registry-config") as caught:
        anyio.run(use)

    assert "env:VARIABLE" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_function_returns_what_its_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text, or JSON where that is asked for."""
    monkeypatch.chdir(tmp_path)

    module: Any = Agc()

    async def ask() -> tuple[str, str]:
        return await module.validate(), await module.list_matrix(agent="claude", as_json=True)

    text, data = anyio.run(ask)

    assert text.startswith("valid: ")
    assert data.startswith('{"images": [{"name": "')
