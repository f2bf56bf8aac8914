"""All that is said of a built image, for its index and for signing: what publishing calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.compose.image import Composition
from pipeline.digest import Digest
from pipeline.engine.layout import read_manifest
from pipeline.supply.artifact import Artifact
from pipeline.supply.attestations import attestation
from pipeline.supply.provenance import provenance, smoke_statement
from pipeline.supply.run import RunFacts
from pipeline.supply.sbom.cyclonedx import PREDICATE_TYPE as CYCLONEDX_TYPE
from pipeline.supply.sbom.cyclonedx import cyclonedx
from pipeline.supply.sbom.image import image_sbom
from pipeline.supply.sbom.spdx import PREDICATE_TYPE as SPDX_TYPE
from pipeline.supply.sbom.spdx import spdx
from pipeline.supply.statement import Statement
from pipeline.verify.smoke import SmokeReport

# license_expression keeps what it parses in shared tries: side by side, licences come out wrong, or not at all.
_ALONE = threading.Lock()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What belongs into the index, which the same image has again, and what is signed and refers to a manifest."""

    attestations: tuple[Artifact, ...]
    statements: tuple[Statement, ...]


def evidence(
    layout: Path,
    manifests: Mapping[str, Digest],
    compositions: Sequence[Composition],
    reports: Sequence[SmokeReport],
    run: RunFacts,
    *,
    cache: Path,
    version: str,
) -> Evidence:
    """Return what is known of an image that lies in `layout`, platform by platform.

    `manifests` are its digests by platform, `reports` the smoke tests that were run, `cache` is where what was read of
    layers is kept, `version` is this program's. Raises IntegrityError where the layout lacks a blob or has a damaged
    one. It reads whole layers, so it belongs into a thread.
    """
    attestations: list[Artifact] = []
    statements: list[Statement] = []
    with _ALONE:
        for composition in sorted(compositions, key=lambda one: str(one.plan.platform)):
            name, platform = composition.plan.name, composition.plan.platform
            subject = read_manifest(layout, manifests[str(platform)]).descriptor
            held = image_sbom(layout, subject.digest, composition, cache)
            bill = Statement(SPDX_TYPE, json.loads(spdx(held, version)), subject.digest, name)
            other = Statement(CYCLONEDX_TYPE, json.loads(cyclonedx(held, version)), subject.digest, name)
            attestations.append(attestation(subject, (bill, provenance(subject.digest, (composition,), version))))
            statements.extend((bill, other, provenance(subject.digest, (composition,), version, run)))
            tested = [report for report in reports if (report.image, report.platform) == (name, platform)]
            statements.extend(smoke_statement(subject.digest, report) for report in tested if report.results)
    return Evidence(tuple(attestations), tuple(statements))


def index_provenance(index: Digest, compositions: Sequence[Composition], run: RunFacts, version: str) -> Statement:
    """Return how the index over all platforms was made: what a tag names, and what verifiers ask about first."""
    return provenance(index, compositions, version, run)
