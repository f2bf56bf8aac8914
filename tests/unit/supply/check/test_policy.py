"""Policies: what they may say, what is answered to what they may not, and that the one in the docs is good."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ErrorGroup
from pipeline.supply.check.policy import read_policy

HEAD = "apiVersion: agentcontainers/v1\nkind: VerifyPolicy\nmetadata: {name: p}\nspec:\n"


def written(folder: Path, spec: str, head: str = HEAD) -> Path:
    """Write a policy."""
    file = folder / "policy.yaml"
    file.write_text(head + spec)
    return file


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """So a policy lies beside its keys, wherever somebody calls from."""
    spec = read_policy(written(tmp_path, "  signers: [{key: keys/a.pub}, {key: /b.pub}]\n  trustConfig: root.json\n"))

    assert [signer.key for signer in spec.signers] == [f"{tmp_path}/keys/a.pub", "/b.pub"]
    assert spec.trust_config == f"{tmp_path}/root.json"


@pytest.mark.parametrize(
    ("spec", "line", "words"),
    [
        ("  signer: []\n", 5, "unknown key `spec.signer`"),
        ("  signers: [{}]\n", 5, "say `key`, or `issuer`"),
        ("  signers: [{issuer: https://i}]\n", 5, "say `key`, or `issuer`"),
        ("  signers: [{identity: me}]\n", 5, "say `key`, or `issuer`"),
        ("  signers: [{key: a, issuer: https://i, identity: me}]\n", 5, "write two signers"),
        ("  sboms: [spdx, syft]\n", 5, "spec.sboms.1"),
        ("  vulnerabilities:\n    maxAgeDays: 0\n", 6, "maxAgeDays"),
        ("  platforms: [linux/vax]\n", 5, "spec.platforms.0"),
        ("  sboms: [spdx]\n  sboms: []\n", 6, "duplicate key"),
        ("  []\n", 4, "must be a mapping"),
    ],
)
def test_what_is_wrong_has_a_place(spec: str, line: int, words: str, tmp_path: Path) -> None:
    """Nobody is to believe in a policy that asks for less than it seems to."""
    with pytest.raises(ErrorGroup) as caught:
        read_policy(written(tmp_path, spec))

    (error,) = caught.value.errors
    assert words in error.message
    assert error.location is not None
    assert error.location.line == line


def test_a_definition_of_a_project_is_no_policy(tmp_path: Path) -> None:
    """The kind says what it is."""
    with pytest.raises(ErrorGroup) as caught:
        read_policy(written(tmp_path, "  {}\n", HEAD.replace("VerifyPolicy", "Agent")))

    assert "unknown kind 'Agent'" in str(caught.value)


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(ErrorGroup, match="No such file"):
        read_policy(tmp_path / "none.yaml")


def test_the_policy_of_the_docs_is_one(tmp_path: Path) -> None:
    """Somebody who copies it has one that works."""
    page = Path(__file__).parents[4] / "docs" / "how-to" / "verify.md"
    if not page.is_file():
        pytest.skip("the docs are part of a checkout")
    example = page.read_text().partition("```yaml\n")[2].partition("```")[0]

    spec = read_policy(written(tmp_path, example, ""))

    assert len(spec.signers) == 2
    assert spec.vulnerabilities is not None
    assert spec.provenance is not None
