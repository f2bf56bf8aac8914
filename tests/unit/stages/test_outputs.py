"""Where an image can go, and the words for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engine.buildkit.lowering import Wiring
from pipeline.errors import OutputError, UsageError
from pipeline.platform import AMD64, ARM64
from pipeline.settings import DEBIAN_ARCHIVE, DEBIAN_SECURITY, Settings
from pipeline.stages.outputs import Output, OutputKind, check_output, parse_output, run_command

FORMS = {
    "oci:out": Output(OutputKind.OCI, "out"),
    "oci:/a/b:c": Output(OutputKind.OCI, "/a/b:c"),
    "docker": Output(OutputKind.DOCKER),
    "none": Output(OutputKind.NONE),
    "push:localhost:5000/agents": Output(OutputKind.PUSH, "localhost:5000/agents"),
    "push:ghcr.io/me/": Output(OutputKind.PUSH, "ghcr.io/me"),
}


@pytest.mark.parametrize(("text", "expected"), FORMS.items())
def test_an_output_is_a_kind_and_a_place(text: str, expected: Output) -> None:
    """Where one is needed."""
    assert parse_output(text) == expected


@pytest.mark.parametrize(
    "text", ["", "oci", "oci:", "push:", "push:/", "docker:x", "none:x", "tar:x", "OCI:x", " none"]
)
def test_any_other_output_is_refused_with_the_forms_there_are(text: str) -> None:
    """Before anything is built."""
    with pytest.raises(UsageError) as caught:
        parse_output(text)

    assert caught.value.message == f"unknown output {text!r}"
    assert "oci:DIR" in caught.value.remedy


def test_docker_refuses_several_platforms() -> None:
    """With what holds them."""
    with pytest.raises(UsageError) as caught:
        check_output(Output(OutputKind.DOCKER), (AMD64, ARM64))

    assert "oci:DIR" in caught.value.remedy


@pytest.mark.parametrize("text", ["oci:out", "none", "push:ghcr.io/me"])
def test_layouts_and_registries_hold_any_number_of_platforms(text: str) -> None:
    """They are written as an index."""
    check_output(parse_output(text), (AMD64, ARM64))


def test_docker_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is looked for before the build, not after."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OutputError, match="docker is not installed"):
        check_output(Output(OutputKind.DOCKER), (AMD64,))
    (tmp_path / "docker").write_text("")
    (tmp_path / "docker").chmod(0o755)

    check_output(Output(OutputKind.DOCKER), (AMD64,))


def test_a_layout_is_the_folder_asked_for_or_one_of_our_own(tmp_path: Path) -> None:
    """A path may be relative to where the program was started."""
    assert Output(OutputKind.OCI, "out").layout(tmp_path) == Path.cwd() / "out"
    assert Output(OutputKind.DOCKER).layout(tmp_path) == tmp_path / "images"


COMMANDS = {
    "docker": 'docker run --rm -it -e KEY -v "$PWD":/workspace x',
    "push:ghcr.io/me": 'docker run --rm -it -e KEY -v "$PWD":/workspace ghcr.io/me/x@sha256:1',
    "oci:out": ('agc build x -o docker && docker run --rm -it -e KEY -v "$PWD":/workspace x'),
    "none": "",
}


@pytest.mark.parametrize(("text", "command"), COMMANDS.items())
def test_the_command_that_runs_an_image_names_its_first_secret(text: str, command: str) -> None:
    """By name: the value stays in the shell."""
    assert run_command(parse_output(text), "x", "sha256:1", ("KEY", "OTHER")) == command
    assert " -e " not in run_command(parse_output(text), "x", "sha256:1", ())


MIRRORS = {DEBIAN_ARCHIVE: "https://mirror/debian", "https://registry.npmjs.org/": "https://npm/"}
MIRRORED = {
    DEBIAN_ARCHIVE: "https://mirror/debian",
    f"{DEBIAN_ARCHIVE}/pool/x.deb": "https://mirror/debian/pool/x.deb",
    "https://registry.npmjs.org/npm": "https://npm/npm",
    "https://registry.npmjs.org.evil/npm": "https://registry.npmjs.org.evil/npm",
}


@pytest.mark.parametrize(("url", "expected"), MIRRORED.items())
def test_a_mirror_stands_for_what_is_below_its_prefix(tmp_path: Path, url: str, expected: str) -> None:
    """In what this program fetches, and in what the engine does."""
    assert Settings(cache=tmp_path, mirrors=MIRRORS).mirrored(url) == expected
    assert Wiring(mirrors=tuple(MIRRORS.items())).mirrored(url) == expected


@pytest.mark.parametrize("url", [DEBIAN_SECURITY, f"{DEBIAN_SECURITY}/pool/x.deb"])
def test_a_mirror_stands_for_whole_parts_of_a_path(tmp_path: Path, url: str) -> None:
    """The mirror of one archive is not the mirror of another whose name begins the same."""
    assert Settings(cache=tmp_path, mirrors=MIRRORS).mirrored(url) == url
    assert Wiring(mirrors=tuple(MIRRORS.items())).mirrored(url) == url
