"""What Trivy and Grype say, in our words. The texts are cut from what Trivy 0.74.0 and Grype 0.110.0 answer."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from pipeline.verify.vulnerabilities import grype, trivy
from pipeline.verify.vulnerabilities.component import parse_components
from pipeline.verify.vulnerabilities.finding import Finding, Severity, tidied
from pipeline.verify.vulnerabilities.trivy_listing import listing_of
from tests.unit.verify.vulnerabilities.samples import LODASH, ZLIB, cyclonedx

TRIVY: dict[str, Any] = {
    "SchemaVersion": 2,
    "ArtifactName": "sbom.json",
    "ArtifactType": "cyclonedx",
    "Results": [
        {
            "Target": "sbom.json (debian 13)",
            "Class": "os-pkgs",
            "Type": "debian",
            "Packages": [{"ID": "zlib1g@1", "Name": "zlib1g", "Identifier": {"PURL": ZLIB, "BOMRef": "0"}}],
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2026-1001",
                    "VendorIDs": ["DSA-6001-1"],
                    "PkgName": "zlib1g",
                    "PkgIdentifier": {"PURL": "pkg:deb/debian/zlib1g@1", "UID": "1", "BOMRef": "0"},
                    "InstalledVersion": "1:1.3.dfsg+really1.3.1-1",
                    "FixedVersion": "1:1.3.dfsg+really1.3.1-1+deb13u1",
                    "Status": "fixed",
                    "Severity": "HIGH",
                    "CVSS": {"nvd": {"V2Score": 10, "V3Score": 7.5}, "redhat": {"V3Score": 6.1}},
                }
            ],
        },
        {"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg"},
        {
            "Target": "Node.js",
            "Class": "lang-pkgs",
            "Type": "node-pkg",
            "Packages": [{"ID": "lodash@4.17.20", "Identifier": {"PURL": LODASH, "BOMRef": "1"}}],
            "Vulnerabilities": [
                {
                    "VulnerabilityID": "CVE-2020-8203",
                    "PkgName": "lodash",
                    "PkgIdentifier": {"PURL": LODASH, "BOMRef": "1"},
                    "InstalledVersion": "4.17.20",
                    "FixedVersion": "4.17.21, 5.0.0",
                    "Severity": "UNKNOWN",
                }
            ],
        },
    ],
}
GRYPE: dict[str, Any] = {
    "matches": [
        {
            "vulnerability": {
                "id": "GHSA-p6mc-m468-83gw",
                "dataSource": "somewhere",
                "severity": "High",
                "cvss": [{"version": "3.1", "vector": "…", "metrics": {"baseScore": 7.4}}],
                "fix": {"versions": ["4.17.21"], "state": "fixed"},
            },
            "relatedVulnerabilities": [{"id": "CVE-2020-8203", "cvss": [{"metrics": {"baseScore": 7.5}}]}],
            "matchDetails": [],
            "artifact": {
                "name": "lodash",
                "version": "4.17.20",
                "purl": LODASH,
                "locations": [{"path": "/opt/b"}, {"path": "/opt/a"}],
            },
        },
        {
            "vulnerability": {
                "id": "CVE-2026-1001",
                "severity": "Negligible",
                "fix": {"versions": [], "state": "wont-fix"},
            },
            "relatedVulnerabilities": [],
            "artifact": {"name": "zlib1g", "version": "1:1.3.dfsg+really1.3.1-1", "purl": ZLIB},
        },
    ],
    "descriptor": {"name": "grype", "version": "0.110.0"},
}


LISTING = listing_of(parse_components(cyclonedx(ZLIB, LODASH), "a"))


def test_trivys_findings_in_our_words() -> None:
    """The newest CVSS there is counts, of whichever source is highest."""
    report = trivy.TrivyReport.model_validate_json(json.dumps(TRIVY))

    assert tidied(trivy.findings_of(report, LISTING)) == (
        Finding("CVE-2020-8203", LODASH, "4.17.20", fixed=("4.17.21", "5.0.0")),
        Finding(
            "CVE-2026-1001",
            ZLIB,
            "1:1.3.dfsg+really1.3.1-1",
            Severity.HIGH,
            "7.5",
            ("DSA-6001-1",),
            ("1:1.3.dfsg+really1.3.1-1+deb13u1",),
        ),
    )


def test_grypes_findings_in_our_words() -> None:
    """A GHSA is also known by its CVE."""
    report = grype.GrypeReport.model_validate_json(json.dumps(GRYPE))

    assert tidied(grype.findings_of(report)) == (
        Finding("CVE-2026-1001", ZLIB, "1:1.3.dfsg+really1.3.1-1", Severity.LOW),
        Finding(
            "GHSA-p6mc-m468-83gw",
            LODASH,
            "4.17.20",
            Severity.HIGH,
            "7.5",
            ("CVE-2020-8203",),
            ("4.17.21",),
            ("/opt/a", "/opt/b"),
        ),
    )


def test_a_report_without_findings_has_none() -> None:
    """Trivy leaves the lists out, or writes null."""
    for text in ('{"SchemaVersion": 2}', '{"SchemaVersion": 2, "Results": null}'):
        assert tuple(trivy.findings_of(trivy.TrivyReport.model_validate_json(text), LISTING)) == ()


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (trivy.TrivyReport, "{}"),
        (trivy.TrivyReport, '{"SchemaVersion": 3}'),
        (trivy.TrivyReport, '{"SchemaVersion": 2, "Results": {}}'),
        (trivy.TrivyReport, '{"SchemaVersion": 2, "Results": [{"Vulnerabilities": [{}]}]}'),
        (grype.GrypeReport, "{}"),
        (grype.GrypeReport, '{"matches": null, "descriptor": {"version": "1"}}'),
        (grype.GrypeReport, '{"matches": [], "descriptor": {}}'),
        (grype.GrypeReport, "[" * 10_000),
    ],
)
def test_an_answer_of_another_form_is_not_taken_for_no_findings(model: type[BaseModel], text: str) -> None:
    """An empty report and an unreadable one are two things."""
    with pytest.raises(ValidationError):
        model.model_validate_json(text)


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({})
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_no_shape_of_an_answer_ends_the_program(data: st.DataObject) -> None:
    """Any part of it may be anything: it is read, or refused by pydantic, which `Program.ask` turns into words."""
    of_trivy = functools.partial(trivy.findings_of, listing=LISTING)
    model, document, read = data.draw(
        st.sampled_from([(trivy.TrivyReport, TRIVY, of_trivy), (grype.GrypeReport, GRYPE, grype.findings_of)])
    )
    changed = json.loads(json.dumps(document))
    *path, last = data.draw(st.sampled_from(_places(document)[1:]))
    inner = changed
    for key in path:
        inner = inner[key]
    inner[last] = data.draw(VALUES)
    try:
        report = model.model_validate_json(json.dumps(changed))
    except ValidationError:
        return
    for found in tidied(read(report)):
        assert json.dumps(found.as_json(), allow_nan=False)
