"""Statements on vulnerabilities, as they are written."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.unit.models.test_bad_input import FILES, errors_of
from tests.unit.models.test_load import load

VEX = """\
apiVersion: agentcontainers/v1
kind: Vex
metadata:
  name: lodash-zip
spec:
  vulnerability: CVE-2020-8203
  products: ["node-bun-*"]
  packages: ["pkg:npm/lodash"]
  status: not_affected
  justification: vulnerable_code_not_in_execute_path
  reason: Nothing calls zipObjectDeep with what a user wrote.
  expires: 2027-02-01
"""


def test_a_statement_is_read(tmp_path: Path) -> None:
    """With the day on which it ends."""
    (statement,) = load(tmp_path, {**FILES, "vex.yaml": VEX}).vex.values()

    assert statement.name == "lodash-zip"
    assert statement.model.spec.expires == date(2027, 2, 1)
    assert statement.model.spec.products == ("node-bun-*",)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  expires: 2027-02-01\n", "", "vex.yaml:5:1: `spec.expires` is missing"),
        ("2027-02-01", "soon", "vex.yaml:12:3: `spec.expires`"),
        ("CVE-2020-8203", "lodash", "vex.yaml:6:3: `spec.vulnerability`: 'lodash' does not have the right form"),
        ("pkg:npm/lodash", "lodash", "vex.yaml:8:14: `spec.packages.0`: is no package URL"),
        ('["pkg:npm/lodash"]', "[]", "vex.yaml:8:3: `spec.packages` must not be empty"),
        ("node-bun-*", "Node Bun", "vex.yaml:7:14: `spec.products.0`: 'Node Bun' does not have the right form"),
        ("not_affected", "ignored", "vex.yaml:9:3: `spec.status`"),
        (
            "  justification: vulnerable_code_not_in_execute_path\n",
            "",
            "vex.yaml:5:1: `spec`: `status: not_affected` and `justification` go together",
        ),
        ("not_affected", "fixed", "vex.yaml:5:1: `spec`: `status: not_affected` and `justification` go together"),
        ("vulnerable_code_not_in_execute_path", "trust_me", "vex.yaml:10:3: `spec.justification`"),
        ("Nothing calls zipObjectDeep with what a user wrote.", "fine", "vex.yaml:11:3: `spec.reason`: must say why"),
        ("  reason", "  reasons", "vex.yaml:11:3: unknown key `spec.reasons`"),
    ],
)
def test_a_wrong_statement_is_told_with_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """Each by line and column."""
    assert old in VEX
    texts = [str(error) for error in errors_of(tmp_path, vex=VEX.replace(old, new))]

    assert any(text.startswith(expected) for text in texts), texts
