"""What is said in public of an image's vulnerabilities: the scan as cosign's `vuln` predicate, the rest as OpenVEX.

- cosign, COSIGN_VULN_ATTESTATION_SPEC.md: `https://cosign.sigstore.dev/attestation/vuln/v1`;
- OpenVEX 0.2.0, OPENVEX-SPEC.md: `https://openvex.dev/ns/v0.2.0`. A product is the image by its digest *and* its
  repository, a subcomponent a package by its exact URL: that is what scanners match (grype, trivy).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from packageurl import PackageURL

from pipeline.digest import Digest, digest_json, hex_of
from pipeline.models.defined import Defined
from pipeline.models.kinds import Vex
from pipeline.supply.statement import Statement
from pipeline.verify.vulnerabilities.component import Component
from pipeline.verify.vulnerabilities.finding import written
from pipeline.verify.vulnerabilities.judge import Verdict, matches

VULN_TYPE = "https://cosign.sigstore.dev/attestation/vuln/v1"
OPENVEX_TYPE = "https://openvex.dev/ns/v0.2.0"
_SCANNERS = {"trivy": "pkg:github/aquasecurity/trivy", "grype": "pkg:github/anchore/grype"}


def vulnerability_statement(verdict: Verdict, subject: Digest, started: datetime, finished: datetime) -> Statement:
    """Return the scan of an image and what was made of it as a statement of cosign's kind."""
    result = verdict.result
    scanner = _SCANNERS.get(result.scanner, "pkg:pypi/agentcontainers")
    predicate: dict[str, Any] = {
        "invocation": {
            "parameters": {
                "policy": verdict.policy.as_json(),
                "sbom": result.sbom,
                "statements": {
                    name: _digest(statement)
                    for name, statement in sorted(
                        {item.statement.name: item.statement for item in verdict.judged if item.statement}.items()
                    )
                },
            },
            "uri": "",
            "event_id": "",
            "builder.id": "",
        },
        "scanner": {
            "uri": f"{scanner}@{result.version}",
            "version": result.version,
            "db": {
                "uri": result.database.name,
                "version": result.database.digest,
                "lastUpdate": written(result.database.built),
            },
            "result": {
                "passed": verdict.passed,
                "components": result.components,
                "uncovered": list(result.uncovered),
                "findings": [item.as_json() for item in verdict.judged],
            },
        },
        "metadata": {"scanStartedOn": written(started), "scanFinishedOn": written(finished)},
    }
    return Statement(VULN_TYPE, predicate, subject, verdict.image)


def openvex_statement(
    statements: Mapping[str, Defined[Vex]],
    image: str,
    repository: str,
    subject: Digest,
    components: Iterable[Component],
    author: str,
    now: datetime,
) -> Statement | None:
    """Return the OpenVEX document of one image as a statement; None where nothing is said of what it holds.

    `repository` is where it is published (`registry.example/team/node-bun-claude`), `author` who says so. Expired
    statements are left out. The document's id follows from its content.
    """
    listed = sorted({component.purl for component in components})
    entries = [
        entry
        for _, statement in sorted(statements.items())
        if any(fnmatchcase(image, pattern) for pattern in statement.model.spec.products)
        and now.date() <= statement.model.spec.expires
        and (entry := _entry(statement, _product(repository, subject), listed, now))
    ]
    if not entries:
        return None
    document: dict[str, Any] = {
        "@context": OPENVEX_TYPE,
        "author": author,
        "timestamp": written(now),
        "version": 1,
        "tooling": "agentcontainers",
        "statements": entries,
    }
    identity = f"https://openvex.dev/docs/public/vex-{hex_of(digest_json(document))}"
    return Statement(OPENVEX_TYPE, {**document, "@id": identity}, subject, image)


def _product(repository: str, digest: Digest) -> dict[str, Any]:
    name = repository.rpartition("/")[2]
    purl = PackageURL("oci", None, name, digest, {"repository_url": repository}).to_string()
    return {"@id": purl, "identifiers": {"purl": purl}, "hashes": {"sha-256": hex_of(digest)}}


def _entry(
    statement: Defined[Vex], product: Mapping[str, Any], listed: Iterable[str], now: datetime
) -> dict[str, Any] | None:
    spec = statement.model.spec
    held = [purl for purl in listed if any(matches(pattern, purl) for pattern in spec.packages)]
    if not held:
        return None
    subcomponents = [{"@id": purl, "identifiers": {"purl": purl}} for purl in held]
    entry: dict[str, Any] = {
        "vulnerability": {"name": spec.vulnerability},
        "products": [{**product, "subcomponents": subcomponents}],
        "status": spec.status,
        "timestamp": written(now),
    }
    reason = f"{spec.reason} (until {spec.expires})"
    match spec.status:
        case "not_affected":
            return {**entry, "justification": spec.justification, "impact_statement": reason}
        case "affected":
            return {**entry, "action_statement": reason, "action_statement_timestamp": written(now)}
        case _:
            return {**entry, "status_notes": reason}


def _digest(statement: Defined[Vex]) -> Digest:
    return digest_json(statement.model.model_dump(mode="json", by_alias=True))
