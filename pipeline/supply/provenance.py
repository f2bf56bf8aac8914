"""How an image was made, as a SLSA v1 predicate (slsa.dev/spec/v1.1/provenance), in two variants from one source.

Without a run it says only what follows from definitions and lock, so equal images have equal provenance, and it can
lie in the index whose digest is to be reproduced. With a run it adds who, when and from which commit, and is signed.
The parameters are described in docs/reference/build-type.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from packageurl import PackageURL

from pipeline.compose.image import Composition
from pipeline.compose.layers import EPOCH
from pipeline.digest import Digest, canonical_json, hex_of
from pipeline.resolve.plan import ImagePlan, RootPlan
from pipeline.settings import DEBIAN_ARCHIVE
from pipeline.supply.run import RunFacts, Source, timestamp
from pipeline.supply.sbom.pinned import Pinned, pinned
from pipeline.supply.statement import Statement
from pipeline.verify.smoke import SmokeReport

PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://agentcontainers.dev/build-type/v1"
SMOKE_TYPE = "https://agentcontainers.dev/smoke-report/v1"
VULNERABILITIES_TYPE = "https://cosign.sigstore.dev/attestation/vuln/v1"
UNSTATED_BUILDER = "https://agentcontainers.dev/builders/unstated"
"""The builder of provenance that holds for whoever builds the same image."""


def provenance(
    subject: Digest, compositions: Sequence[Composition], version: str, run: RunFacts | None = None
) -> Statement:
    """Return how the image `subject` was made, by `version` of this program: one platform, or an index of several."""
    plans = [composition.plan for composition in compositions]
    source = run.source if run else None
    predicate: dict[str, Any] = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "image": plans[0].name,
                "platforms": sorted(str(plan.platform) for plan in plans),
                **_source(source),
            },
            "internalParameters": {
                "epoch": EPOCH,
                "graphs": {str(one.plan.platform): one.graph_digest for one in compositions},
                "root": plans[0].root.source,
            },
            "resolvedDependencies": [*_dependencies(plans), *_repository(source)],
        },
        "runDetails": _run(run, version),
    }
    return Statement(PROVENANCE_TYPE, predicate, subject, plans[0].name)


def smoke_statement(subject: Digest, report: SmokeReport) -> Statement:
    """Return which smoke tests the image `subject` passed and at which depth; not how long they took, or where."""
    tests = sorted(report.results, key=lambda result: (result.component, result.name))
    predicate = {
        "image": report.image,
        "platform": str(report.platform),
        "passed": bool(report),
        "tests": [
            {"component": test.component, "name": test.name, "depth": test.depth, "passed": test.passed}
            for test in tests
        ],
    }
    return Statement(SMOKE_TYPE, predicate, subject, report.image)


def vulnerability_statement(subject: Digest, scan: Mapping[str, Any], name: str) -> Statement:
    """Return the result of a scan for vulnerabilities, in the form that cosign calls `vuln`."""
    return Statement(VULNERABILITIES_TYPE, scan, subject, name)


def _source(source: Source | None) -> dict[str, Any]:
    if source is None:
        return {}
    trees = {name: {"digest": {"gitTree": digest}} for name, digest in source.trees.items()}
    return {
        "source": {
            "uri": _git_uri(source),
            "digest": {"gitCommit": source.commit},
            "modified": source.modified,
            **({"trees": trees} if trees else {}),
        }
    }


def _git_uri(source: Source) -> str:
    return f"git+{source.repository}" if source.repository else "git+local:project"


def _repository(source: Source | None) -> Iterator[dict[str, Any]]:
    if source:
        yield {"uri": _git_uri(source), "digest": {"gitCommit": source.commit}}


def _run(run: RunFacts | None, version: str) -> dict[str, Any]:
    if run is None:
        return {"builder": {"id": UNSTATED_BUILDER, "version": {"agentcontainers": version}}}
    engine = {"builderDependencies": [{"uri": run.engine}]} if run.engine else {}
    metadata = {
        **({"invocationId": run.invocation} if run.invocation else {}),
        **({"startedOn": timestamp(run.started)} if run.started else {}),
        **({"finishedOn": timestamp(run.finished)} if run.finished else {}),
    }
    details: dict[str, Any] = {"builder": {"id": run.builder, "version": {"agentcontainers": version}, **engine}}
    return {**details, "metadata": metadata} if metadata else details


def _dependencies(plans: Sequence[ImagePlan]) -> list[dict[str, Any]]:
    """Return everything that images were made from, each once, in one order.

    What installs wheels is no part of the image, and decides its bytes all the same.
    """
    found: dict[bytes, dict[str, Any]] = {}
    for one in (each for plan in plans for each in (plan, plan.builder) if each):
        for entry in (*_root(one.root, one), *(_dependency(pin) for pin in pinned(one))):
            found[canonical_json(entry)] = entry
    return sorted(found.values(), key=lambda entry: (entry["uri"], canonical_json(entry)))


def _root(root: RootPlan, plan: ImagePlan) -> Iterator[dict[str, Any]]:
    digest = {"sha256": hex_of(root.digest)}
    name = f"roots/{root.defined.name}"
    if root.source == "image":
        repository = root.ref.partition("@")[0]
        qualifiers = {"repository_url": repository, "arch": plan.platform.architecture}
        uri = PackageURL("oci", None, repository.rpartition("/")[2], str(root.digest), qualifiers).to_string()
        yield {"uri": uri, "name": name, "digest": digest, "annotations": {"source": root.source}}
        return
    suite = f"{DEBIAN_ARCHIVE}/dists/{root.defined.model.spec.suite}"
    annotations = {"source": root.source, "platform": str(plan.platform)}
    yield {"uri": suite, "name": name, "digest": digest, "annotations": annotations}
    for package, version in root.packages.items():
        yield {"uri": PackageURL("deb", "debian", package, version, {"arch": plan.platform.debian}).to_string()}


def _dependency(pin: Pinned) -> dict[str, Any]:
    return {
        "uri": pin.location if "://" in pin.location else f"oci://{pin.location}",
        "name": f"{pin.name}@{pin.version}",
        "digest": dict(pin.checksums),
    }
