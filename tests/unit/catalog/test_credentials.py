"""Credentials come from where Docker keeps them, and show up nowhere else."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.catalog.credentials import IDENTITY, Credentials, find_credentials, variables
from pipeline.errors import OutputError

SECRET = "c4n4ry"  # noqa: S105  # what must never be shown


def find(folder: Path, registry: str, document: Any) -> Credentials | None:
    """Return what is found for `registry` where Docker's file says `document`."""
    (folder / "config.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return anyio.run(find_credentials, registry, {"DOCKER_CONFIG": str(folder)})


def auth(text: str) -> dict[str, str]:
    """Return an entry of `auths`."""
    return {"auth": base64.b64encode(text.encode()).decode()}


def test_an_entry_for_the_registry_is_used(tmp_path: Path) -> None:
    """User name and password are split at the first colon only."""
    found = find(tmp_path, "registry.example:5000", {"auths": {"registry.example:5000": auth(f"me:{SECRET}:x")}})

    assert found == Credentials("me", f"{SECRET}:x")


def test_docker_hub_goes_by_its_old_name(tmp_path: Path) -> None:
    """Docker stores the Hub under its first API's address."""
    found = find(tmp_path, "docker.io", {"auths": {"https://index.docker.io/v1/": auth(f"me:{SECRET}")}})

    assert found == Credentials("me", SECRET)


@pytest.mark.parametrize(
    "document",
    [{}, {"auths": {}}, {"auths": {"other.example": {"auth": ""}}}, []],
    ids=["empty", "none", "other", "list"],
)
def test_no_entry_means_no_credentials(tmp_path: Path, document: Any) -> None:
    """A registry nobody logged in to is asked without a login."""
    assert find(tmp_path, "registry.example", document) is None


def test_no_file_means_no_credentials(tmp_path: Path) -> None:
    """Nobody has to have Docker."""
    assert anyio.run(find_credentials, "registry.example", {"HOME": str(tmp_path)}) is None


@pytest.mark.parametrize(
    "document",
    [f'{{"auths": "{SECRET}', {"auths": {"registry.example": {"auth": f"{SECRET}=="}}}],
    ids=["cut-off-json", "no-base64"],
)
def test_a_broken_file_is_named_and_not_quoted(tmp_path: Path, document: Any) -> None:
    """The message names the file and holds nothing of what was in it."""
    with pytest.raises(OutputError, match=r"config\.json") as raised:
        find(tmp_path, "registry.example", document)

    assert SECRET not in str(raised.value)
    assert raised.value.remedy == "docker login"


def test_a_helper_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """A missing helper is the reader's to install."""
    with pytest.raises(AssertionError, match="docker-credential-absent"):
        # The guard of the unit tests stands in for the missing program: it sees the helper being started.
        find(tmp_path, "registry.example", {"credHelpers": {"registry.example": "absent"}})


def test_a_password_has_no_representation() -> None:
    """What is logged by accident holds the user name only."""
    assert SECRET not in repr(Credentials("me", SECRET))


def test_the_environment_comes_first(tmp_path: Path) -> None:
    """By the name of the registry, in capitals."""
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"reg.example:5000": auth("other:x")}}))
    name, password = variables("reg.example:5000")
    told = {name: "me", password: SECRET, "DOCKER_CONFIG": str(tmp_path)}

    assert (name, password) == ("AGC_REGISTRY_REG_EXAMPLE_5000_USERNAME", "AGC_REGISTRY_REG_EXAMPLE_5000_PASSWORD")
    assert anyio.run(find_credentials, "reg.example:5000", told) == Credentials("me", SECRET)
    assert anyio.run(find_credentials, "other.example", told) is None


def test_half_a_login_in_the_environment_is_an_error(tmp_path: Path) -> None:
    """Rather than to be refused as somebody else."""
    _, password = variables("ghcr.io")

    with pytest.raises(OutputError, match="GHCR_IO_USERNAME") as raised:
        anyio.run(find_credentials, "ghcr.io", {password: SECRET, "HOME": str(tmp_path)})

    assert SECRET not in str(raised.value)


def test_an_identity_token_stands_for_a_password(tmp_path: Path) -> None:
    """As Azure's tools write it."""
    entry = {**auth("00000000:"), "identitytoken": SECRET}

    assert find(tmp_path, "x.azurecr.io", {"auths": {"x.azurecr.io": entry}}) == Credentials(IDENTITY, SECRET)


@pytest.mark.parametrize("document", [{"auths": 5}, {"auths": {"registry.example": "x"}}, {"credHelpers": []}])
def test_a_file_of_another_shape_has_no_login(tmp_path: Path, document: Any) -> None:
    """It may be there for something else."""
    assert find(tmp_path, "registry.example", document) is None
