"""Both formats: valid for their own libraries, the same bytes twice, and nothing of the day they were made."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from pipeline.digest import digest_bytes
from pipeline.platform import AMD64
from pipeline.supply.sbom.cyclonedx import cyclonedx
from pipeline.supply.sbom.facts import Found
from pipeline.supply.sbom.inventory import Component, Distribution, Inventory, Package
from pipeline.supply.sbom.licences import expression
from pipeline.supply.sbom.spdx import spdx

HEX = digest_bytes(b"x").removeprefix("sha256:")
WORDS = st.text("abcdefghijklmnopqrstuvwxyzAZ09.-_", min_size=1, max_size=12)
WILD = st.text(min_size=1, max_size=8).map(
    lambda text: Found(kind="npm", name=text, version="1").name  # what is left of anything an image may hold
)
PACKAGES = st.builds(
    Package,
    kind=st.sampled_from(["deb", "npm", "pypi", "golang", "cargo", "generic"]),
    name=st.one_of(WORDS, st.builds("@{}/{}".format, WORDS, WORDS), WILD.filter(lambda name: name.strip("/"))),
    version=st.one_of(st.just(""), WORDS, WILD),
    architecture=st.sampled_from(["amd64", "all"]),
    component=st.sampled_from(["roots/tiny", "agents/claude"]),
    licence=st.one_of(st.sampled_from(["", "MIT", "GPL-2.0-only AND MIT"]), st.text(max_size=20)).map(expression),
    source=st.sampled_from(["", "src", "src=1.0"]),
    checksums=st.sampled_from([(), (("sha256", HEX),), (("sha256", HEX), ("sha512", HEX * 2)), (("h1", "a+b="),)]),
    location=st.sampled_from(["", "https://registry.npmjs.org/a/-/a-1.tgz", "mcr.microsoft.com/x@sha256:1"]),
    paths=st.lists(WORDS, max_size=2).map(tuple),
)
INVENTORIES = st.builds(
    Inventory,
    image=st.just("node-bun-claude"),
    platform=st.just(AMD64),
    manifest=st.just(digest_bytes(b"manifest")),
    distribution=st.just(Distribution("debian", "13")),
    components=st.just(
        (
            Component("agents/claude", "2.1.330", "LicenseRef-Own", "https://x.example/y", (digest_bytes(b"blob"),)),
            Component("roots/tiny", "trixie"),
        )
    ),
    packages=st.lists(PACKAGES, max_size=4, unique_by=lambda one: (one.kind, one.name, one.version, one.component)).map(
        tuple
    ),
)
FORMATS: dict[str, Callable[[Inventory, str], bytes]] = {"spdx": spdx, "cyclonedx": cyclonedx}
slow = settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])


@slow
@given(INVENTORIES)
def test_spdx_is_valid(held: Inventory) -> None:
    """For the validator of the library, whatever packages call themselves and their licences."""
    parsed = JsonLikeDictParser().parse(json.loads(spdx(held, "1.0")))

    assert [message.validation_message for message in validate_full_spdx_document(parsed)] == []


VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


@slow
@given(INVENTORIES)
def test_cyclonedx_is_valid(held: Inventory) -> None:
    """For the strict validator of the library."""
    assert VALIDATOR.validate_str(cyclonedx(held, "1.0").decode()) is None


@pytest.mark.parametrize("form", FORMATS)
@slow
@given(held=INVENTORIES, seed=st.integers())
def test_the_order_of_packages_does_not_show(form: str, held: Inventory, seed: int) -> None:
    """Nor does it matter when a document is made, or how often."""
    shuffled = list(held.packages)
    random.Random(seed).shuffle(shuffled)  # noqa: S311  # an order, not a secret
    other = replace(held, packages=tuple(shuffled), components=held.components[::-1])

    assert FORMATS[form](other, "1.0") == FORMATS[form](held, "1.0")


def sample() -> Inventory:
    """Return an inventory with one package."""
    package = Package("npm", "@a/b", "1.0.0", component="agents/claude", licence="MIT", checksums=(("sha256", HEX),))
    return Inventory(
        "image",
        AMD64,
        digest_bytes(b"manifest"),
        Distribution("debian", "13"),
        (Component("agents/claude", "1"),),
        (package,),
    )


@pytest.mark.parametrize("form", FORMATS)
def test_the_date_is_that_of_every_file(form: str) -> None:
    """A format asks for one, and two documents must not differ by it."""
    text = FORMATS[form](sample(), "1.0").decode()

    assert "2026-01-01T00:00:00" in text


@pytest.mark.parametrize("form", FORMATS)
def test_the_number_follows_from_what_is_described(form: str) -> None:
    """Another image, another number; another version of this program, another number."""
    write = FORMATS[form]
    other = replace(sample(), manifest=digest_bytes(b"other"))

    numbers = {_number(write(held, version)) for held in (sample(), other) for version in ("1.0", "1.1")}

    assert len(numbers) == 4


def _number(document: bytes) -> str:
    parsed = json.loads(document)
    return str(parsed.get("documentNamespace") or parsed.get("serialNumber"))


def test_spdx_relates_image_component_and_package() -> None:
    """So a reader can ask which part of the image brings a package."""
    document = json.loads(spdx(sample(), "1.0"))
    related = {
        (one["spdxElementId"], one["relationshipType"], one["relatedSpdxElement"]) for one in document["relationships"]
    }
    package = next(one["SPDXID"] for one in document["packages"] if one["name"] == "@a/b")

    assert ("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image") in related
    assert ("SPDXRef-Image", "CONTAINS", "SPDXRef-Component-agents-claude") in related
    assert ("SPDXRef-Component-agents-claude", "CONTAINS", package) in related


def test_cyclonedx_names_the_distribution() -> None:
    """Scanners take from it which advisories count."""
    components = json.loads(cyclonedx(sample(), "1.0"))["components"]

    assert {"bom-ref": "Distribution", "name": "debian", "type": "operating-system", "version": "13"} in components


def test_spdx_names_the_distribution() -> None:
    """As a part of the image, of the purpose that the format has for it."""
    document = json.loads(spdx(sample(), "1.0"))
    (system,) = (one for one in document["packages"] if one.get("primaryPackagePurpose") == "OPERATING_SYSTEM")
    related = {(one["spdxElementId"], one["relatedSpdxElement"]) for one in document["relationships"]}

    assert (system["SPDXID"], system["name"], system["versionInfo"]) == ("SPDXRef-OperatingSystem", "debian", "13")
    assert ("SPDXRef-Image", "SPDXRef-OperatingSystem") in related


@pytest.mark.parametrize(
    ("source", "told"),
    [("openssl=3.5.1-1", "openssl 3.5.1-1"), ("openssl", "openssl 3.5.1-1+b1"), ("", "x 3.5.1-1+b1")],
)
def test_both_formats_tell_what_a_debian_package_was_made_from(source: str, told: str) -> None:
    """Beside its package URL, where Trivy looks; its own name needs no telling in CycloneDX."""
    package = Package("deb", "x", "3.5.1-1+b1", "amd64", component="agents/claude", source=source)
    held = replace(sample(), packages=(package,))
    (in_spdx,) = (one for one in json.loads(spdx(held, "1.0"))["packages"] if one["name"] == "x")
    (in_cyclonedx,) = (one for one in json.loads(cyclonedx(held, "1.0"))["components"] if one["name"] == "x")
    properties = {one["name"]: one["value"] for one in in_cyclonedx["properties"]}

    assert in_spdx["sourceInfo"] == f"built package from: {told}"
    said = " ".join(properties.get(f"aquasecurity:trivy:Src{part}", "") for part in ("Name", "Version"))
    assert said == (told if source else " ")
