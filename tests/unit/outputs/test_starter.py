"""A new project: what is written is valid as it stands, and nothing is ever written over."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog.record import Catalog
from pipeline.cli import main
from pipeline.errors import ExitCode
from pipeline.outputs.starter import Wish, agent_file
from pipeline.outputs.subject import Subject
from pipeline.stages.discovery import PackageFacts
from pipeline.stages.project import load_project, shipped_folder

Capture = pytest.CaptureFixture[str]
SUBJECT = Subject(
    shipped_folder() / "templates", "1.2.3", own=False, project=load_project(shipped_folder(), {}), catalog=Catalog()
)
NPM = ["--agent", "tool", "--npm", "@scope/tool", "--binary", "tool=bin/tool.js"]
PYPI = ["--agent", "tool", "--pypi", "some-tool", "--binary", "tool"]


def agent_of(wish: Wish, facts: PackageFacts) -> dict[str, object]:
    """Return the definition of the agent as data."""
    found: dict[str, object] = yaml.safe_load(agent_file(wish, facts, SUBJECT).text)
    return found


@pytest.mark.parametrize("options", [NPM, PYPI], ids=["npm", "pypi"])
def test_a_new_project_is_valid(options: list[str], tmp_path: Path, capsys: Capture) -> None:
    """And says the one command that builds it."""
    folder = tmp_path / "new"

    assert main(["init", str(folder), *options, "--secret", "TOOL_KEY"]) == ExitCode.OK, capsys.readouterr().err
    base = "node-bun" if options is NPM else "python"
    shown = capsys.readouterr().out
    assert f"next: cd {folder} && make, which is agc lock && agc build --locked {base}-tool" in " ".join(shown.split())
    assert main(["-C", str(folder), "validate"]) == ExitCode.OK, capsys.readouterr().err
    assert main(["-C", str(folder), "list-matrix", "--agent", "tool", "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [image["name"] for image in found["images"]] == [f"{base}-tool"]


@pytest.mark.parametrize("licence", ["MIT", "LicenseRef-Own", "no licence at all"])
def test_a_project_is_valid_whatever_its_licence(licence: str, tmp_path: Path, capsys: Capture) -> None:
    """What is not known is let pass by name, and stays private."""
    assert main(["init", str(tmp_path), *NPM, "--licence", licence]) == ExitCode.OK, capsys.readouterr().err
    assert main(["-C", str(tmp_path), "validate"]) == ExitCode.OK, capsys.readouterr().err


def test_an_editor_finds_the_schema_that_a_definition_names(tmp_path: Path, capsys: Capture) -> None:
    """And the definition answers it."""
    assert main(["init", str(tmp_path), *NPM]) == ExitCode.OK
    for path in tmp_path.glob("definitions/**/*.yaml"):
        first = path.read_text().splitlines()[0]
        schema = path.parent / first.removeprefix("# yaml-language-server: $schema=")
        done = CliRunner().invoke(
            check_jsonschema, ["--schemafile", str(schema), "--regex-variant", "nonunicode", str(path)]
        )

        assert done.exit_code == 0, done.output
    assert capsys.readouterr().err == ""


def test_a_new_project_has_what_one_starts_with(tmp_path: Path) -> None:
    """Definitions, settings, a check of pull requests, and what git leaves out."""
    assert main(["init", str(tmp_path), *NPM]) == ExitCode.OK
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}

    assert {
        "definitions/agents/tool.yaml",
        "definitions/matrix.yaml",
        "definitions/policies/default.yaml",
        "agc.toml",
        ".gitignore",
        "README.md",
        "Makefile",
        ".github/workflows/pull-request.yml",
        "registry/schemas/agents.schema.json",
    } <= written
    workflow = (tmp_path / ".github/workflows/pull-request.yml").read_text()
    assert "Copy it" not in workflow
    assert "make setup" not in workflow


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "definitions"])
def test_a_folder_with_anything_in_it_is_refused(name: str, tmp_path: Path, capsys: Capture) -> None:
    """With what is there named, and nothing written."""
    (tmp_path / name).mkdir()

    assert main(["init", str(tmp_path), *NPM]) == ExitCode.USAGE
    assert f"there is {name}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path, capsys: Capture) -> None:
    """It is somebody's."""
    (tmp_path / "new").write_text("mine")

    assert main(["init", str(tmp_path / "new"), *NPM]) == ExitCode.USAGE
    assert (tmp_path / "new").read_text() == "mine"
    assert "not empty" in capsys.readouterr().err


def test_a_repository_with_nothing_in_it_is_a_place_to_begin(tmp_path: Path) -> None:
    """Many begin with git init."""
    (tmp_path / ".git").mkdir()

    assert main(["init", str(tmp_path), *NPM]) == ExitCode.OK


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "no package was named"),
        (["--npm", "a", "--pypi", "b"], "one package"),
        (["--npm", "Bad Name"], "--npm 'Bad Name'"),
        (["--agent", "Tool!", *NPM[2:]], "--agent 'Tool!'"),
        ([*NPM, "--base", "node-bum"], "node-bum"),
        ([*NPM, "--secret", "A B"], "--secret 'A B'"),
        ([*NPM[:4], "--binary", "x=/etc/passwd"], "--binary '/etc/passwd'"),
    ],
)
def test_bad_wishes_are_refused_before_anything_is_written(
    options: list[str], words: str, tmp_path: Path, capsys: Capture
) -> None:
    """With the option that is wrong."""
    assert main(["init", str(tmp_path / "new"), *options]) == ExitCode.USAGE
    assert words in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("given_", "said", "publish"),
    [
        ("", "MIT", "baked"),
        ("", "", "private"),
        ("", "SEE LICENSE IN README", "private"),
        ("MIT", "UNLICENSED", "baked"),
    ],
)
def test_what_nobody_knows_to_be_free_stays_at_home(given_: str, said: str, publish: str) -> None:
    """Publishing it is a decision of a person."""
    found = agent_of(
        Wish("tool", "npm", "tool", "node-bun", licence=given_), PackageFacts("tool", "tool.js", licence=said)
    )
    spec = found["spec"]
    assert isinstance(spec, dict)

    assert spec["licence"]["publish"] == publish


@given(
    description=st.text(st.characters(exclude_categories=["C"])), name=st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
)
def test_words_of_strangers_stay_words(description: str, name: str) -> None:
    """`on`, `1` and `null` are names, and no description ends its line."""
    found = agent_of(Wish(name, "npm", name, "node-bun"), PackageFacts(name, f"{name}.js", description=description))
    metadata = found["metadata"]
    assert isinstance(metadata, dict)

    assert metadata["name"] == name
    assert metadata.get("description", "") == description


class Terminal(io.StringIO):
    """Somebody at a keyboard."""

    def isatty(self) -> bool:
        """Say yes."""
        return True


def test_somebody_at_a_terminal_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """For what was not given; an empty line takes what is proposed."""
    monkeypatch.setattr(sys, "stdin", Terminal("tool\nn\n\n\n"))

    assert main(["init", str(tmp_path)]) == ExitCode.OK, capsys.readouterr().err
    found = yaml.safe_load((tmp_path / "definitions" / "agents" / "tool.yaml").read_text())
    assert found["spec"]["packages"][0]["pypi"] == "tool"
    assert found["spec"]["command"] == ["tool"]


def test_somebody_who_ends_the_questions_has_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """As with Ctrl-C anywhere else."""
    monkeypatch.setattr(sys, "stdin", Terminal(""))

    assert main(["init", str(tmp_path)]) == ExitCode.INTERRUPTED
    assert list(tmp_path.iterdir()) == []
    assert "fault of agc" not in capsys.readouterr().err
