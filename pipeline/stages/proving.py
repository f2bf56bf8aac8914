"""What proves an image: what is in it, how it was made and tested, what the gate says, and who signs all that.

Everything is made once for an image, whatever registries it goes to; signing alone is done for each, because what a
registry has already is not signed again. Nothing is signed before the gate has let it pass.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import anyio

from pipeline.catalog.record import EvidenceRecord
from pipeline.digest import Digest
from pipeline.settings import SignSettings
from pipeline.stages.made import Made
from pipeline.stages.project import Project
from pipeline.stages.workbench import Workbench
from pipeline.supply.artifact import Artifact
from pipeline.supply.run import RunFacts
from pipeline.supply.statement import Statement

if TYPE_CHECKING:
    from pipeline.supply.sign.api import Signer

_PROGRAM = "agentcontainers"


@dataclass(frozen=True, slots=True)
class Prover:
    """How the images of a run are proven: by whom they are signed, if by anybody, and what is said of the run.

    `waiver` is the written reason for which the gate looks at nothing.
    """

    project: Project
    sign: SignSettings
    run: RunFacts
    signer: Signer | None = None
    waiver: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of one image. `attestations` stand in its index, `statements` are signed and refer to it."""

    made: Made
    attestations: tuple[Artifact, ...] = ()
    statements: tuple[Statement, ...] = ()
    run: RunFacts = field(default_factory=RunFacts)

    @property
    def records(self) -> tuple[EvidenceRecord, ...]:
        """What stands in its index, as the catalog tells it."""
        from pipeline.supply.attestations import PREDICATE_ANNOTATION

        return tuple(
            EvidenceRecord(
                predicate_type=layer.annotations[PREDICATE_ANNOTATION],
                subject=artifact.subject.digest,
                digest=artifact.descriptor.digest,
            )
            for artifact in self.attestations
            for layer in artifact.layers
            if artifact.subject
        )


def open_prover(project: Project, sign: SignSettings, run: RunFacts, waiver: str = "") -> Prover:
    """Return what proves the images of a run; raises SignError where nothing can be signed with what was asked for."""
    from pipeline.supply.sign.choose import open_signer

    return Prover(project, sign, replace(run, started=datetime.now(UTC)), open_signer(sign, os.environ), waiver)


async def prove(made: Made, prover: Prover, bench: Workbench) -> Proof:
    """Return what proves an image that was built and tested.

    Raises GateError, DatabaseError or ScannerError where the gate does not let it pass and is to keep it back,
    UsageError for a waiver that is no reason.
    """
    from pipeline.supply.evidence import evidence  # no build needs any of it
    from pipeline.supply.sbom.cyclonedx import PREDICATE_TYPE

    run = replace(prover.run, finished=datetime.now(UTC))
    with bench.reporter.stage(f"describe {made.name}"):
        found = await anyio.to_thread.run_sync(
            lambda: evidence(
                *(made.layout, made.result.manifests, made.compositions, made.smoke, run),
                cache=bench.settings.cache,
                version=version(_PROGRAM),
            )
        )
    bills = {one.subject: one for one in found.statements if one.predicate_type == PREDICATE_TYPE}
    scans = await _gate(made, bills, prover, bench)
    return Proof(made, found.attestations, (*found.statements, *scans), run)


async def _gate(
    made: Made, bills: Mapping[Digest, Statement], prover: Prover, bench: Workbench
) -> tuple[Statement, ...]:
    """Hold an image against the gate, and return what its scans of each platform came to as statements."""
    from pipeline.stages.gating import Subject, gate
    from pipeline.supply.vulnerabilities import vulnerability_statement
    from pipeline.verify.policy import check_image

    for composition in made.compositions:
        check_image(composition)
    digests = {platform: digest for platform, digest in made.result.manifests.items() if digest in bills}
    started = datetime.now(UTC)
    with TemporaryDirectory(prefix="agc-gate-") as folder, bench.reporter.stage(f"scan {made.name}"):
        subjects = []
        for number, (platform, digest) in enumerate(sorted(digests.items())):
            path = Path(folder) / f"{number}.cdx.json"
            path.write_bytes(_document(bills[digest]))
            subjects.append(Subject(made.name, platform, path))
        report = await gate(prover.project, subjects, started, os.environ, waiver=prover.waiver)
    if prover.project.settings.gate.mode == "enforce":
        report.enforce()
    for failure in report.failures:
        bench.reporter.notify(f"warning: {failure}")
    finished = datetime.now(UTC)
    return tuple(
        vulnerability_statement(one.verdict, digests[one.subject.platform], started, finished)
        for one in report.gated
        if one.verdict
    )


def about_repository(proof: Proof, repository: str, prover: Prover) -> tuple[Statement, ...]:
    """Return what is said of an image in one repository alone: which vulnerabilities do not matter to it, and why."""
    from pipeline.supply.sbom.cyclonedx import PREDICATE_TYPE
    from pipeline.supply.vulnerabilities import openvex_statement
    from pipeline.verify.vulnerabilities.component import parse_components

    vex = prover.project.definitions.vex
    if not vex:
        return ()
    name, now = proof.made.name, prover.run.started or datetime.now(UTC)
    found = (
        openvex_statement(
            *(vex, name, repository, bill.subject, parse_components(_document(bill), name), prover.run.builder, now)
        )
        for bill in proof.statements
        if bill.predicate_type == PREDICATE_TYPE
    )
    return tuple(statement for statement in found if statement)


def _document(bill: Statement) -> bytes:
    return json.dumps(bill.predicate).encode()
