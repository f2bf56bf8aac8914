"""What the reference pages say is what the program does, and the rules of the house are kept."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel

from pipeline.catalog.record import Catalog, ContentRecord, ImageRecord, LayerRecord, PlatformRecord
from pipeline.cli import main
from pipeline.errors import ExitCode
from pipeline.models.document import parse_document
from pipeline.models.kinds import FOLDERS, KINDS
from pipeline.settings import Settings, load_settings

HOUSE = Path(__file__).parents[2]
LONGEST_MODULE = 400

pytestmark = pytest.mark.skipif(
    not (HOUSE / "pyproject.toml").is_file(), reason="the rules of the house are about a checkout"
)


def rows(page: str, section: str = "") -> Iterator[list[str]]:
    """Return the cells of the first table of a reference page, or of the one below the heading `section`."""
    text = (HOUSE / "docs" / "reference" / page).read_text(encoding="utf-8")
    lines = iter(text.partition(f"\n## {section}\n")[2].splitlines() if section else text.splitlines())
    table = list(_first_table(lines))[2:]
    return ([cell.strip() for cell in line.strip("|").split("|")] for line in table)


def _first_table(lines: Iterable[str]) -> Iterator[str]:
    started = False
    for line in lines:
        if line.startswith("|"):
            started = True
            yield line
        elif started:
            return


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Return every key of agc.toml, sections and key with a dot between."""
    for field in model.model_fields.values():
        name = f"{prefix}{field.alias}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{name}.")
        else:
            yield name


class Recorder(Mapping[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def modules() -> list[Path]:
    """Return the modules that people wrote."""
    return [path for path in sorted((HOUSE / "pipeline").rglob("*.py")) if not path.stem.endswith("_pb2")]


def pins() -> dict[str, Requirement]:
    """Return what requirements/dev.txt installs, by name."""
    text = (HOUSE / "requirements" / "dev.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    parsed = (Requirement(line.partition(" --hash")[0]) for line in text.splitlines() if line.strip())
    return {canonicalize_name(pin.name): pin for pin in parsed}


def asked_for() -> list[str]:
    """Return every requirement of pyproject.toml."""
    document: dict[str, Any] = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))
    groups = document["dependency-groups"]["dev"]
    return [*document["build-system"]["requires"], *document["project"]["dependencies"], *groups]


def test_the_exit_codes_page_lists_every_code_in_order() -> None:
    """A script written by the page meets the codes that the program ends with."""
    documented = [(int(number), name.strip("`")) for number, name, *_ in rows("exit-codes.md")]

    assert documented == [(code.value, code.name) for code in ExitCode]


def test_the_configuration_page_lists_every_key() -> None:
    """What may stand in agc.toml is on the page, and nothing else is."""
    documented = [key.strip("`") for key, *_ in rows("configuration.md", "agc.toml")]

    assert documented == list(keys(Settings))


def test_the_configuration_page_lists_every_variable(tmp_path: Path) -> None:
    """What the settings look up in the environment is on the page, and nothing else is."""
    environment = Recorder()
    load_settings(tmp_path, environment)

    documented = {name for cell, *_ in rows("configuration.md", "Environment") for name in re.findall("`(.+?)`", cell)}

    assert documented == environment.asked


def test_the_example_of_the_configuration_page_is_accepted(tmp_path: Path) -> None:
    """Somebody who copies it has a file that works."""
    page = (HOUSE / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "agc.toml").write_text(example, encoding="utf-8")

    settings = load_settings(tmp_path, {})

    assert settings.root_source == "bootstrap"
    assert settings.engine.host == "tcp://buildkit.corp.example:1234"


def test_the_definitions_page_lists_every_kind() -> None:
    """With the folder that the shipped definitions of it are in."""
    documented = {cells[0].strip("[").partition("]")[0]: cells[1].strip("`/") for cells in rows("definitions.md")}

    assert documented == {**FOLDERS, "Matrix": "matrix.yaml"}


@pytest.mark.parametrize("kind", ["Combo", "Matrix"])
def test_the_examples_of_the_definitions_page_have_the_right_form(kind: str) -> None:
    """Somebody who copies one has a definition that is accepted."""
    page = (HOUSE / "docs" / "reference" / "definitions.md").read_text(encoding="utf-8")
    examples = [text.partition("```")[0] for text in page.split("```yaml\n")[1:]]
    (example,) = [text for text in examples if f"kind: {kind}\n" in text]
    document, errors = parse_document(example, "definitions.md")

    assert document is not None
    assert errors == ()
    assert KINDS[kind].model_validate(document.data)


@pytest.mark.parametrize("model", [Catalog, ImageRecord, PlatformRecord, LayerRecord, ContentRecord])
def test_the_catalog_page_lists_every_field(model: type[BaseModel]) -> None:
    """In the order in which the models have them."""
    documented = [name.strip("`") for name, *_ in rows("catalog.md", model.__name__)]

    assert documented == [field.alias for field in model.model_fields.values()]


def test_every_decision_is_in_the_list() -> None:
    """A decision that is not listed is not found."""
    folder = HOUSE / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}-.+?\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))

    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


@pytest.mark.parametrize(
    "page",
    [
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        *(str(path.relative_to(HOUSE)) for path in HOUSE.glob("docs/**/*.md")),
    ],
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    """A page that was moved takes its links along."""
    path = HOUSE / page
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))

    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_no_module_is_too_long() -> None:
    """A module that needs scrolling and scrolling holds more than one noun."""
    lengths = {str(path.relative_to(HOUSE)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}

    assert {name: length for name, length in lengths.items() if length >= LONGEST_MODULE} == {}


def test_every_public_module_says_what_it_is_for() -> None:
    """The docstring of a module is where a reader begins."""
    public = [path for path in modules() if not path.stem.startswith("_") or path.stem == "__init__"]
    silent = [path for path in public if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]

    assert [str(path.relative_to(HOUSE)) for path in silent] == []


def test_requirements_name_no_place_to_get_them_from() -> None:
    """Which index is asked is a matter of the machine, and a hash is all the trust there is."""
    text = (HOUSE / "requirements" / "dev.txt").read_text(encoding="utf-8")

    assert "//" not in text
    assert "@" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE)


def test_every_requirement_is_pinned_with_a_hash() -> None:
    """Nothing is installed that is not the very file that was locked."""
    entries = (HOUSE / "requirements" / "dev.txt").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()

    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("requirement", asked_for())
def test_what_the_project_asks_for_is_pinned(requirement: str) -> None:
    """Whoever adds a dependency pins it in the same commit: make requirements."""
    wanted = Requirement(requirement)
    pin = pins().get(canonicalize_name(wanted.name))

    assert pin is not None, f"{wanted.name} is not in requirements/dev.txt: make requirements"
    assert wanted.specifier.contains(str(pin.specifier).removeprefix("=="))


def test_generated_files_are_as_they_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever changes a template generates anew in the same commit: agc generate."""
    assert main(["-C", str(HOUSE), "generate", "--check"]) == ExitCode.OK, capsys.readouterr().out
