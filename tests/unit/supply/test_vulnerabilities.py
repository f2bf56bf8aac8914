"""What is attested of vulnerabilities."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from pipeline.digest import Digest
from pipeline.supply.vulnerabilities import openvex_statement, vulnerability_statement
from pipeline.verify.vulnerabilities.component import Component
from pipeline.verify.vulnerabilities.finding import Severity
from pipeline.verify.vulnerabilities.judge import GatePolicy, judge
from tests.unit.verify.vulnerabilities.samples import LODASH, NOW, ZLIB, finding, result, statement

SUBJECT = Digest("sha256:" + "ab" * 32)
COMPONENTS = (Component(LODASH, "lodash", "4.17.20"), Component(ZLIB, "zlib1g", "1"))


def openvex(*said: Any, repository: str = "registry.example:5000/team/node-bun-claude") -> dict[str, Any] | None:
    """Return the statement about a published image, as it is written."""
    found = {item.name: item for item in said}
    made = openvex_statement(found, "node-bun-claude", repository, SUBJECT, COMPONENTS, "team", NOW)
    return json.loads(made.encode()) if made else None


def test_the_scan_is_attested_in_cosigns_form() -> None:
    """With everything the verdict rests on: SBOM, database, policy and statements."""
    verdict = judge(
        "node-bun-claude",
        result(finding(), finding("CVE-2026-2", ZLIB, Severity.LOW, score="3.1")),
        GatePolicy(),
        {"mine": statement()},
        NOW,
    )
    made = vulnerability_statement(verdict, SUBJECT, NOW, NOW + timedelta(seconds=2))
    document = json.loads(made.encode())
    predicate = document["predicate"]

    assert document["predicateType"] == "https://cosign.sigstore.dev/attestation/vuln/v1"
    assert document["subject"] == [{"name": "node-bun-claude", "digest": {"sha256": "ab" * 32}}]
    assert predicate["scanner"]["db"] == {
        "uri": "test",
        "version": "sha256:" + "0" * 64,
        "lastUpdate": "2026-11-21T12:00:00Z",
    }
    assert predicate["metadata"] == {
        "scanStartedOn": "2026-11-21T12:00:00Z",
        "scanFinishedOn": "2026-11-21T12:00:02Z",
    }
    assert predicate["invocation"]["parameters"]["sbom"] == "sha256:" + "1" * 64
    assert list(predicate["invocation"]["parameters"]["statements"]) == ["mine"]
    assert predicate["scanner"]["result"]["passed"] is True
    assert [item["outcome"] for item in predicate["scanner"]["result"]["findings"]] == ["excepted", "noted"]


def test_a_statement_is_published_as_openvex() -> None:
    """The product is the image by digest and repository, the subcomponent the very package."""
    document = openvex(statement())
    assert document is not None
    predicate = document["predicate"]
    (entry,) = predicate["statements"]
    (product,) = entry["products"]

    assert document["predicateType"] == predicate["@context"] == "https://openvex.dev/ns/v0.2.0"
    assert predicate["@id"].startswith("https://openvex.dev/docs/public/vex-")
    assert product["@id"] == (
        f"pkg:oci/node-bun-claude@sha256:{'ab' * 32}?repository_url=registry.example:5000/team/node-bun-claude"
    )
    assert [item["@id"] for item in product["subcomponents"]] == [LODASH]
    assert entry["status"] == "not_affected"
    assert entry["justification"] == "vulnerable_code_not_in_execute_path"
    assert entry["impact_statement"] == "Nothing calls the function that is at fault. (until 2026-12-21)"


def test_what_is_expired_or_about_something_else_is_not_published() -> None:
    """A document without statements is none."""
    old = statement("old", expires=date(2026, 11, 20))
    elsewhere = statement("elsewhere", products=["python-*"])
    absent = statement("absent", packages=["pkg:npm/underscore"])

    assert openvex(old, elsewhere, absent) is None


def test_affected_says_what_to_do() -> None:
    """OpenVEX asks for it."""
    document = openvex(statement(status="affected", justification=None, reason="Wait for the next release of it."))
    assert document is not None

    assert document["predicate"]["statements"][0]["action_statement"].startswith("Wait for")


def test_the_same_statements_are_the_same_bytes() -> None:
    """And others have another id."""
    one, two = statement("one"), statement("two", vulnerability="CVE-2026-2")

    assert openvex(one, two) == openvex(two, one)
    assert openvex(one) != openvex(one, two)
