"""What is said of an image: the same bytes for the index whoever builds it, who and when only in what is signed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.compose.image import compose
from pipeline.digest import Digest, digest_bytes, hex_of
from pipeline.engine.layout import Descriptor
from pipeline.platform import AMD64, PLATFORMS
from pipeline.supply.artifact import EMPTY, Artifact
from pipeline.supply.attestations import attestation, index_entry
from pipeline.supply.evidence import Evidence, evidence, index_provenance
from pipeline.supply.provenance import (
    BUILD_TYPE,
    PROVENANCE_TYPE,
    SMOKE_TYPE,
    UNSTATED_BUILDER,
    provenance,
    smoke_statement,
    vulnerability_statement,
)
from pipeline.supply.run import RunFacts, Source
from pipeline.supply.statement import Statement
from pipeline.verify.smoke import SmokeReport, SmokeResult
from tests.unit.compose.samples import archive, composed, deb_pin, definitions, locks, plan, root_digest
from tests.unit.supply.sbom.samples import write_sample

CANARY = "c4n4ry-s3cr3t"
SUBJECT = Descriptor("application/vnd.oci.image.manifest.v1+json", digest_bytes(b"manifest"), 123)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
RUN = RunFacts(
    builder="https://ci.example/job",
    invocation="https://ci.example/job/5",
    started=datetime(2026, 11, 21, 17, 0, 1, 500, UTC),
    finished=datetime(2026, 11, 21, 17, 2, 0, 0, UTC),
    source=Source(COMMIT, "https://git.example/me/images", {"definitions": "a" * 40}),
    engine="pkg:golang/github.com/moby/buildkit@v0.32.1",
)
RESULTS = (
    SmokeResult("agents/claude", "claude-answers", passed=True, seconds=1.5, output=(CANARY,)),
    SmokeResult("agents/claude", "claude-works", passed=True, depth="work", cached=True),
    SmokeResult("bases/node-bun", "runs-as-dev", passed=False),
)
REPORT = SmokeReport("node-bun-claude", AMD64, RESULTS)


def all_evidence(tmp_path: Path, run: RunFacts = RUN) -> tuple[Evidence, Digest]:
    """Return all that is said of the image of the small project, and its manifest."""
    made, digest = write_sample(tmp_path / "layout")
    manifests = {"linux/amd64": digest}
    place = tmp_path / "layout"
    return evidence(place, manifests, (made,), (REPORT,), run, cache=tmp_path / "cache", version="1.0"), digest


def predicate(statement: Statement) -> Any:
    """Return the predicate as a reader gets it."""
    return json.loads(statement.encode())["predicate"]


def test_the_index_says_what_follows_from_the_inputs(tmp_path: Path) -> None:
    """A bill of materials and provenance; both again the same from another run, so the index has the same digest."""
    mine, digest = all_evidence(tmp_path)
    other, _ = all_evidence(tmp_path / "other", RunFacts())
    (held,) = mine.attestations

    assert [dict(layer.annotations) for layer in held.layers] == [
        {"in-toto.io/predicate-type": PROVENANCE_TYPE},
        {"in-toto.io/predicate-type": "https://spdx.dev/Document"},
    ]
    assert index_entry(held) == index_entry(other.attestations[0])
    assert held.subject is not None
    assert held.subject.digest == digest


def test_what_is_signed_says_who_and_when(tmp_path: Path) -> None:
    """Both formats, full provenance, and the smoke tests; all of it about the platform's manifest."""
    mine, digest = all_evidence(tmp_path)

    assert [statement.predicate_type for statement in mine.statements] == [
        "https://spdx.dev/Document",
        "https://cyclonedx.org/bom",
        PROVENANCE_TYPE,
        SMOKE_TYPE,
    ]
    assert {statement.subject for statement in mine.statements} == {digest}
    assert predicate(mine.statements[2])["runDetails"] == {
        "builder": {
            "id": "https://ci.example/job",
            "version": {"agentcontainers": "1.0"},
            "builderDependencies": [{"uri": RUN.engine}],
        },
        "metadata": {
            "invocationId": "https://ci.example/job/5",
            "startedOn": "2026-11-21T17:00:01Z",
            "finishedOn": "2026-11-21T17:02:00Z",
        },
    }


def test_no_secret_of_the_environment_comes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in what lies in the index nor in what is signed nor in what is kept."""
    for name in ("ANTHROPIC_API_KEY", "GITHUB_TOKEN", "HTTPS_PROXY", "PATH_TO_NOTHING"):
        monkeypatch.setenv(name, CANARY)
    found, _ = all_evidence(tmp_path)
    written = [layer.data for held in found.attestations for layer in held.layers]
    written += [statement.encode() for statement in found.statements]
    written += [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]

    assert len(written) > 6
    assert [data for data in written if CANARY.encode() in data] == []


def test_untested_images_have_no_report(tmp_path: Path) -> None:
    """Nothing is said of tests that were not run."""
    made, digest = write_sample(tmp_path)
    empty = SmokeReport("node-bun-claude", AMD64)
    found = evidence(tmp_path, {"linux/amd64": digest}, (made,), (empty,), RUN, cache=tmp_path / "c", version="1.0")

    assert SMOKE_TYPE not in {statement.predicate_type for statement in found.statements}


def test_the_index_can_be_spoken_of_too() -> None:
    """It is what a tag names, so it is what verifiers ask about."""
    index = digest_bytes(b"index")
    said = index_provenance(index, (composed(),), RUN, "1.0")

    assert (said.subject, said.predicate_type) == (index, PROVENANCE_TYPE)


def test_provenance_names_every_input_with_its_digest() -> None:
    """Root, Debian packages, archives; and where each was fetched."""
    definition = predicate(provenance(SUBJECT.digest, (composed(),), "1.0"))["buildDefinition"]
    digests = {entry["uri"]: entry.get("digest", {}) for entry in definition["resolvedDependencies"]}
    claude = archive("@anthropic-ai/claude-code-linux-x64", "2.1.330")

    assert definition["buildType"] == BUILD_TYPE
    assert digests["http://deb.debian.org/debian/dists/trixie"] == {"sha256": hex_of(root_digest("bootstrap", AMD64))}
    assert digests[f"https://registry.npmjs.org/{claude.path}"]["sha256"] == hex_of(claude.sha256)
    git = deb_pin("git", archive="security")
    assert digests[f"http://deb.debian.org/debian-security/{git.path}"] == {"sha256": hex_of(git.sha256)}
    assert definition["internalParameters"]["graphs"] == {"linux/amd64": composed().graph_digest}


def test_a_registry_root_is_named_by_digest() -> None:
    """As a package URL, for no address below a registry means anything to others."""
    known = definitions()
    made = compose(plan(pins=locks(known, ("image",)), found=known))
    definition = predicate(provenance(SUBJECT.digest, (made,), "1.0"))["buildDefinition"]
    (root,) = (entry for entry in definition["resolvedDependencies"] if entry.get("name", "").startswith("roots/"))

    assert root["uri"].startswith("pkg:oci/debian@sha256")
    assert root["digest"] == {"sha256": hex_of(root_digest("image", AMD64))}


def test_provenance_without_a_run_says_nothing_of_one() -> None:
    """No commit, no time, no builder: what it says is true of everybody who builds it."""
    said = predicate(provenance(SUBJECT.digest, (composed(),), "1.0"))

    assert said["runDetails"] == {"builder": {"id": UNSTATED_BUILDER, "version": {"agentcontainers": "1.0"}}}
    assert "source" not in said["buildDefinition"]["externalParameters"]


def test_provenance_names_commit_and_trees() -> None:
    """Git's own digests, and whether the files were those of the commit."""
    dirty = replace(RUN, source=replace(RUN.source, modified=True)) if RUN.source else RUN
    definition = predicate(provenance(SUBJECT.digest, (composed(),), "1.0", dirty))["buildDefinition"]

    assert definition["externalParameters"]["source"] == {
        "uri": "git+https://git.example/me/images",
        "digest": {"gitCommit": COMMIT},
        "modified": True,
        "trees": {"definitions": {"digest": {"gitTree": "a" * 40}}},
    }


def test_the_order_of_platforms_does_not_show() -> None:
    """Provenance of an index is the same however its platforms were built."""
    both = [composed(platform=platform) for platform in PLATFORMS]
    one, two = (provenance(SUBJECT.digest, made, "1.0", RUN).encode() for made in (both, both[::-1]))

    assert one == two


@given(st.permutations(RESULTS))
def test_a_report_says_what_passed_and_not_how_long_it_took(order: list[SmokeResult]) -> None:
    """In one order, without times and without what the programs printed."""
    said = smoke_statement(SUBJECT.digest, replace(REPORT, results=tuple(order)))

    assert predicate(said) == {
        "image": "node-bun-claude",
        "platform": "linux/amd64",
        "passed": False,
        "tests": [
            {"component": "agents/claude", "name": "claude-answers", "depth": "answer", "passed": True},
            {"component": "agents/claude", "name": "claude-works", "depth": "work", "passed": True},
            {"component": "bases/node-bun", "name": "runs-as-dev", "depth": "answer", "passed": False},
        ],
    }


def test_a_scan_has_the_type_that_cosign_calls_vuln() -> None:
    """Its verifiers know it by that name."""
    said = vulnerability_statement(SUBJECT.digest, {"scanner": {}}, "image")

    assert said.predicate_type == "https://cosign.sigstore.dev/attestation/vuln/v1"


def statements(count: int) -> list[Statement]:
    """Return statements about the subject."""
    return [Statement(f"https://example.com/{number % 2}", {"a": number}, SUBJECT.digest) for number in range(count)]


def attested(count: int = 2) -> Artifact:
    """Return an attestation of the subject."""
    return attestation(SUBJECT, statements(count))


def test_an_attestation_manifest_has_the_form_of_buildkit() -> None:
    """Artifact type, empty config, subject, one layer per statement with its predicate's type."""
    manifest = json.loads(attested(1).manifest)

    assert manifest == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.docker.attestation.manifest.v1+json",
        "config": EMPTY.descriptor.as_json(),
        "layers": [
            {
                "mediaType": "application/vnd.in-toto+json",
                "digest": digest_bytes(statements(1)[0].encode()),
                "size": len(statements(1)[0].encode()),
                "annotations": {"in-toto.io/predicate-type": "https://example.com/0"},
            }
        ],
        "subject": SUBJECT.as_json(),
    }


def test_the_entry_in_the_index_is_no_platform() -> None:
    """And names what it speaks of, so that readers of the index find it."""
    held = attested()

    assert index_entry(held) == {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest_bytes(held.manifest),
        "size": len(held.manifest),
        "annotations": {
            "vnd.docker.reference.digest": SUBJECT.digest,
            "vnd.docker.reference.type": "attestation-manifest",
        },
        "platform": {"architecture": "unknown", "os": "unknown"},
    }


@given(st.permutations(statements(4)))
def test_the_order_of_statements_does_not_show(order: list[Statement]) -> None:
    """The manifest has one digest."""
    assert attestation(SUBJECT, order).manifest == attested(4).manifest


def test_a_statement_about_something_else_is_refused() -> None:
    """It would be read as one about this image."""
    stranger = Statement("https://example.com/x", {}, digest_bytes(b"other"))

    with pytest.raises(ValueError, match="is not about"):
        attestation(SUBJECT, [*statements(1), stranger])
    with pytest.raises(ValueError, match="without a statement"):
        attestation(SUBJECT, [])
