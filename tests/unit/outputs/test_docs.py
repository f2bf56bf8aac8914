"""Pages about a project: what they tell, that nothing in a definition breaks them, and that order changes nothing."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeVar
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog.record import Catalog
from pipeline.cli.describe import describe_commands
from pipeline.models.schema import json_schemas
from pipeline.outputs.commands import CommandText, ParameterText
from pipeline.outputs.docs import docs_files
from pipeline.outputs.docs.command_line import command_page
from pipeline.outputs.docs.markdown import code, table, text
from pipeline.outputs.docs.stacks import stack_page
from pipeline.outputs.makers import MAKERS, make
from pipeline.outputs.subject import Subject
from pipeline.stages.project import load_project, shipped_folder
from tests.shelves import catalog_of

Value = TypeVar("Value")
PROJECT = load_project(shipped_folder(), {})
OWN = Subject(shipped_folder() / "templates", "1.2.3", own=True, project=PROJECT, catalog=Catalog())
PAGES = {file.path: file.text for file in docs_files(OWN)}
SVG = "{http://www.w3.org/2000/svg}"


def backwards(found: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return a mapping in the opposite order."""
    return MappingProxyType(dict(reversed(list(found.items()))))


def test_every_component_has_a_page() -> None:
    """But for a base that only tests use."""
    names = {path for path in PAGES if path.startswith("docs/catalog/")}

    assert {f"docs/catalog/agents/{name}.md" for name in PROJECT.definitions.agents} < names
    assert {f"docs/catalog/toolpacks/{name}.md" for name in PROJECT.definitions.toolpacks} < names
    assert "docs/catalog/bases/node-py.md" in names
    assert "docs/catalog/bases/model-mock.md" not in names


def test_the_page_of_an_agent_tells_what_its_definition_says() -> None:
    """Version from the lock, secrets by name, hosts with the day they were seen, licence class, depths of its tests."""
    page = PAGES["docs/catalog/agents/openclaw.md"]

    assert f"| Version | `{PROJECT.locks.agents['openclaw'].version}` |" in page
    assert "| `OPENCLAW_GATEWAY_TOKEN` | yes |" in page
    assert "| `api.anthropic.com:443` | model API, where models of Anthropic are used | 2026-11-21 |" in page
    assert "| Publishing | baked" in page
    assert "| openclaw-changes-a-file | work |" in page
    assert "`node >=24.16 <25 \\|\\| >=26.1`" in page
    assert "| `dotnet` | openclaw requires `libatomic1`" in page


def test_the_command_names_each_volume_and_needed_secret_once() -> None:
    """And opens ports on this machine alone."""
    page = PAGES["docs/catalog/agents/openclaw.md"]

    assert "-e OPENCLAW_GATEWAY_TOKEN \\" in page
    assert "-v openclaw-state:/home/dev/.openclaw" in page
    assert "-v openclaw-config:/home/dev/.config/openclaw" in page
    assert "-p 127.0.0.1:18789:18789" in page


def test_files_that_others_make_are_linked() -> None:
    """Where they are about the agent, or about an image with it."""
    files = ("deploy/compose/solo/compose.yaml", "deploy/devcontainers/node-bun-claude/devcontainer.json")
    pages = {file.path: file.text for file in docs_files(replace(OWN, files=files))}
    line = "- [`deploy/devcontainers/node-bun-claude`](../../../deploy/devcontainers/node-bun-claude)"

    assert line in pages["docs/catalog/agents/claude.md"]
    assert line not in pages["docs/catalog/agents/codex.md"]
    assert "deploy/compose/solo" not in pages["docs/catalog/agents/claude.md"]


def test_pages_hear_of_what_all_other_generators_make() -> None:
    """Even where pages alone are asked for, so that both ways write the same."""
    both = make(OWN, ())

    assert make(OWN, ("docs",))["docs"] == both["docs"]
    assert set(make(OWN, ("docs",))) == {"docs"}
    assert set(both) == {*MAKERS, "docs"}


def test_the_image_page_agrees_with_the_matrix() -> None:
    """Every image is in the table, every other pair has its reason."""
    page = PAGES["docs/catalog/images.md"]

    for item in PROJECT.combinations:
        assert f"| `{item.name}` |" in page
        assert not item.reason or item.reason.split("`")[0] in page
    assert "by name" in page


def test_the_order_of_files_changes_nothing() -> None:
    """Nor does that of anything in the definitions."""
    definitions = PROJECT.definitions
    turned = replace(
        definitions,
        agents=backwards(definitions.agents),
        bases=backwards(definitions.bases),
        toolchains=backwards(definitions.toolchains),
        toolpacks=backwards(definitions.toolpacks),
    )
    found = {file.path: file.text for file in docs_files(replace(OWN, project=replace(PROJECT, definitions=turned)))}

    assert found == PAGES


def test_a_project_of_users_has_no_pages_about_agc() -> None:
    """Those are on the site of agc itself."""
    paths = {file.path for file in docs_files(replace(OWN, own=False))}

    assert {path.split("/")[1] for path in paths} == {"catalog"}


def test_what_was_published_changes_no_page() -> None:
    """Or every release would make the committed pages out of date."""
    assert docs_files(replace(OWN, catalog=catalog_of(3, date(2026, 11, 21)))) == docs_files(OWN)


@pytest.mark.parametrize("name", json_schemas())
def test_every_key_of_a_schema_is_on_its_page(name: str) -> None:
    """With its type."""
    page = PAGES[f"docs/reference/schemas/{name.removesuffix('.schema.json')}.md"]
    keys = set(re.findall(r"^\| `(\w+)` \| \S", page, re.MULTILINE))

    assert {"apiVersion", "kind", "metadata", "spec"} < keys
    assert "anything" not in page


def test_links_within_a_schema_page_lead_to_its_sections() -> None:
    """Each type that is named has one."""
    page = PAGES["docs/reference/schemas/agents.md"]
    sections = {title.lower() for title in re.findall(r"^## (\w+)$", page, re.MULTILINE)}

    assert set(re.findall(r"\]\(#(\w+)\)", page)) <= sections


def test_the_command_line_tells_of_itself() -> None:
    """Every command, and those below one; what all commands share stands once, at the top."""
    page = command_page("", describe_commands()).text

    assert "## agc build" in page
    assert "### agc engine prune" in page
    assert "| `-C, --project DIR` |" in page
    assert page.count("`--json`") == 1
    assert "[default: oci:out]" in page.replace("\\", "")


def test_a_command_page_is_made_of_what_it_is_given() -> None:
    """Text of help cannot become a link or HTML."""
    command = CommandText("agc x", "agc x [OPTIONS]", "Do <it> [now].", options=(ParameterText("--a|b", "Use `<x>`."),))

    page = command_page("", (command,)).text

    assert "Do \\<it\\> \\[now\\]." in page
    assert "| `--a\\|b` | Use `<x>`. |" in page


@given(st.text())
def test_no_text_breaks_a_table(words: str) -> None:
    """A row has its cells, whatever they hold."""
    for cell in (text(words), code(words or "x")):
        lines = list(table(("A", "B"), [(cell, "end")]))

        assert len(lines) == 4
        assert len(re.findall(r"(?<!\\)\|", lines[2].replace("\\\\", ""))) == 3


@pytest.mark.parametrize("name", ["chain", "layers"])
def test_pictures_are_whole_and_say_what_they_show(name: str) -> None:
    """To whoever cannot see them too."""
    found = ET.fromstring(PAGES[f"docs/explanation/{name}.svg"])  # noqa: S314  # our own

    assert found.findtext(f"{SVG}title")
    assert found.findtext(f"{SVG}desc")


def test_the_picture_counts_layers_as_the_matrix_has_them() -> None:
    """An agent on four bases is one layer."""
    picture = PAGES["docs/explanation/layers.svg"]

    assert picture.count("agents/claude<") == 1
    assert "toolchains/node<" in picture


STACK = """\
apiVersion: agentcontainers/v1
kind: Stack
metadata: {name: solo, description: One agent.}
spec:
  services:
    gate:
      image: headroom
    claude:
      image: node-bun-openclaw
      via: gate
      dependsOn: [mock]
      profile: extra
      workspace: true
      readOnly: false
      ports: [{name: gateway, host: 8080}]
      env: {NOTE: x}
    mock:
      image: node-bun
      profile: extra
"""


def test_a_stack_has_a_page_with_its_services(tmp_path: Path) -> None:
    """How they meet, what each reaches and keeps, its secrets, licences and limits."""
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "solo.yaml").write_text(STACK)
    stack = next(one for one in load_project(tmp_path, {}).stacks() if one.name == "solo")

    page = "\n".join(stack_page(stack, replace(OWN, files=("deploy/compose/solo/compose.yaml",))))

    assert "# solo" in page
    notes = "reaches models only through `gate`; waits for `mock`; only with the profile `extra`; has the workspace"
    (row,) = [line for line in page.splitlines() if line.startswith("| `claude` | [`node-bun-openclaw`]")]
    assert row.endswith(f"| {notes}; may write to its root file system |")
    assert f"| `{PROJECT.locks.agents['openclaw'].version}` |" in row
    assert "| `127.0.0.1:8080` | `claude` | gateway |" in page
    assert "| `claude` | `NOTE` | `x` |" in page
    assert "| `solo_claude-state` | `claude` | `/home/dev/.openclaw` |" in page
    assert "| `api.anthropic.com:443` | `gate` |" in page
    assert "| `api.anthropic.com:443` | `claude` |" not in page
    assert "| `OPENCLAW_GATEWAY_TOKEN` | yes |" in page
    assert "| `claude` | 2g | 512 |" in page
    assert "| `claude` | `openclaw` | MIT | baked |" in page


def test_a_stack_says_how_it_is_started_in_each_form_there_are_files_for() -> None:
    """With every image it needs, and what it waits for made first."""
    page = {file.path: file.text for file in make(OWN, ("docs",))["docs"]}["docs/catalog/stacks/dual-agent.md"]

    assert "agc build egress-proxy node-bun-claude node-bun-openclaw -o docker\nagc up dual-agent\n" in page
    assert "compose.yaml exec claude /run/agc/enter claude\n" in page
    editor = "deploy/devcontainers/stacks/dual-agent/devcontainer.json"
    assert f"devcontainer up --workspace-folder . --config {editor}" in page
    assert "kubectl apply -k deploy/kubernetes/dual-agent/base" in page
    assert "helm install dual-agent deploy/helm/dual-agent" in page
    assert "[`deploy/compose/dual-agent`](../../../deploy/compose/dual-agent)" in page
    assert "### On Kubernetes" not in PAGES["docs/catalog/stacks/dual-agent.md"]


def test_an_agent_says_how_it_is_run_in_each_form_there_are_files_for() -> None:
    """In an editor, and in sandboxes: OpenShell where an image is ready for it."""
    pages = {file.path: file.text for file in make(OWN, ("docs",))["docs"]}
    claude, gemini = (pages[f"docs/catalog/agents/{name}.md"] for name in ("claude", "gemini"))

    for page, name in ((claude, "claude"), (gemini, "gemini")):
        assert f"cp -r deploy/devcontainers/node-bun-{name} MY-PROJECT/.devcontainer" in page
        assert f"--file deploy/sandbox/{name}/{name}.yaml" in page
    assert "--from REGISTRY/NAMESPACE/node-bun-openshell-claude --policy deploy/openshell/claude/policy.yaml" in claude
    assert "openshell sandbox create" not in gemini
    assert "-v claude-late:/home/dev/.cache/agc-late" in claude
    assert "agc-late" not in gemini


def test_a_base_says_how_it_is_run_where_it_is_an_image() -> None:
    """With its own workspace."""
    page = PAGES["docs/catalog/bases/node-bun-openshell.md"]

    assert 'docker run --rm -it -v "$PWD":/sandbox node-bun-openshell' in page
    assert "agc sbom node-bun-openshell" in page


def test_what_lies_within_another_folder_is_not_linked_by_itself() -> None:
    """A file that a stack gives to an agent is the stack's."""
    given = "deploy/compose/solo/config/openclaw/home/x.json"
    files = (given, "deploy/devcontainers/stacks/openclaw/devcontainer.json")
    page = {file.path: file.text for file in docs_files(replace(OWN, files=files))}["docs/catalog/agents/openclaw.md"]

    assert "deploy/compose/solo" not in page
    assert "deploy/devcontainers/stacks/openclaw" in page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002  # its parent's
        self.found.append(tag)


@pytest.mark.parametrize("path", [path for path in PAGES if path.endswith(".md")])
def test_no_page_has_html(path: str) -> None:
    """Outside code, angle brackets are text."""
    reader = _Tags()
    reader.feed(re.sub(r"```.*?```|`[^`]*`|\\<", "", PAGES[path], flags=re.DOTALL))

    assert reader.found == []


def test_the_folder_of_templates_decides_nothing_of_pages() -> None:
    """They are made by code alone."""
    assert docs_files(replace(OWN, templates=Path("/nowhere"))) == docs_files(OWN)


def test_generated_pages_lead_to_nothing_that_only_this_checkout_has() -> None:
    """In a project of a user there are no pages about agc, and none of its tests."""
    user = replace(OWN, own=False)
    made = {file.path: file.text for files in make(user, ()).values() for file in files}
    pages = {path: words for path, words in made.items() if path.endswith(".md")}
    folders = {parent.as_posix() for path in made for parent in PurePosixPath(path).parents}
    for path, words in pages.items():
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", re.sub(r"`[^`]*`", "", words)):
            there = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            assert there in made or there in folders or there.startswith("definitions/"), f"{path}: {target}"
