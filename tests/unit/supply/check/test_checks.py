"""What a policy asks for, and what is verified where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest

from pipeline.digest import canonical_json, digest_bytes
from pipeline.errors import VerifyError
from pipeline.supply.check.checks import PROVENANCE, check_parts, source_of
from pipeline.supply.check.claim import Claim, Part, hear
from pipeline.supply.check.policy import VerifySpec
from pipeline.supply.check.result import Check, Outcome, Verification
from pipeline.supply.sign.referrers import signature_of
from pipeline.supply.statement import Statement
from tests.unit.supply.check.looking import SIGNER, SUBJECT, failures, resigned, spec, verified
from tests.unit.supply.evidence_shelf import NOW, REPOSITORY, Shelf, evidence_of, put_image, signed_shelf


def test_an_image_with_everything_is_verified() -> None:
    """Every check was asked for and passed."""
    shelf, index, _ = signed_shelf(SIGNER)

    result = verified(shelf)

    assert result.verified
    assert result.digest == index.digest
    assert {check.outcome for check in result.checks} == {Outcome.PASSED}
    assert sum(check.name == "signature" for check in result.checks) == 3


def test_a_registry_without_the_referrers_call() -> None:
    """The tag that stands in for it is read."""
    shelf, _, _ = signed_shelf(SIGNER)
    shelf.api = False

    assert verified(shelf).verified


def test_what_no_policy_asks_for_is_shown_and_cannot_fail() -> None:
    """Signatures are always asked for."""
    shelf = Shelf()
    index, platforms = put_image(shelf)
    resigned(shelf, index, platforms, *map(signature_of, [index.digest, *(one.digest for one in platforms.values())]))

    result = verified(shelf, VerifySpec())

    assert result.verified
    assert {check.name for check in result.checks if check.outcome is Outcome.NOT_ASKED} == {
        "provenance",
        "bill of materials",
        "vulnerability scan",
    }


def test_evidence_without_a_signature_is_no_release() -> None:
    """With cosign any bundle of the key is a signature; here an image that was only attested to is not signed."""
    shelf = Shelf()
    index, platforms = put_image(shelf)
    resigned(shelf, index, platforms, *(one for part in platforms.values() for one in evidence_of(part.digest)))

    assert failures(shelf) == [("signature", part) for part in ("index", *platforms)]
    assert "it was not released" in verified(shelf).failed[1].found


def test_an_unsigned_image_is_not_verified() -> None:
    """With no policy either."""
    shelf = Shelf()
    put_image(shelf)

    assert failures(shelf, VerifySpec()) == [("signature", part) for part in ("index", "linux/amd64", "linux/arm64")]


def test_an_image_of_one_platform_without_an_index() -> None:
    """It is its own index, and its evidence is about it."""
    shelf = Shelf()
    _, platforms = put_image(shelf)
    only = platforms["linux/amd64"]
    shelf.manifests["latest"] = shelf.manifests[only.digest]
    resigned(shelf, only, {}, *evidence_of(only.digest), signature_of(only.digest))

    assert verified(shelf, spec(platforms=[])).verified


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"provenance": {"builders": ["https://elsewhere.example"]}}, "provenance"),
        ({"provenance": {"buildTypes": ["https://elsewhere.example"]}}, "provenance"),
        ({"provenance": {"repositories": [f"{REPOSITORY}-evil"]}}, "provenance"),
        ({"provenance": {"repositories": ["https://git.example/me"]}}, "provenance"),
        ({"provenance": {"roots": ["https://archive.example/"]}}, "provenance"),
        ({"provenance": {"roots": ["git+https://"]}}, "provenance"),
        ({"vulnerabilities": {"maxAgeDays": 1}}, "vulnerability scan"),
    ],
)
def test_a_policy_that_is_not_met(more: dict[str, Any], name: str) -> None:
    """On both platforms, and nothing else fails."""
    shelf, _, platforms = signed_shelf(SIGNER)

    assert failures(shelf, spec(**more)) == [(name, part) for part in platforms]


def test_a_source_that_was_changed_is_not_its_repository() -> None:
    """What was built is not what the commit has, whatever its name."""
    source = {"uri": f"git+{REPOSITORY}", "digest": {"gitCommit": "ab" * 20}}
    definition = {"resolvedDependencies": [source], "externalParameters": {"source": {"modified": True}}}
    heard = hear(Part("image", SUBJECT), [])
    heard = replace(heard, claims=(Claim(PROVENANCE, {"buildDefinition": definition}, "test"),))
    rules = spec(platforms=[], provenance={"repositories": [REPOSITORY]})

    (check,) = [one for one in check_parts(heard, (), rules, NOW) if one.name == "provenance"]
    assert (check.outcome, check.found) == (Outcome.FAILED, "the source was changed after its commit")


def test_a_platform_that_is_missing() -> None:
    """A policy says which there must be."""
    shelf, _, _ = signed_shelf(SIGNER)
    manifests = json.loads(shelf.manifests["latest"])["manifests"][:1]
    shelf.manifests["latest"] = canonical_json({"schemaVersion": 2, "manifests": manifests})

    assert ("platforms", "index") in failures(shelf)


def test_evidence_that_is_missing_is_missed() -> None:
    """Each of what the policy asks for, on each platform."""
    shelf = Shelf()
    index, platforms = put_image(shelf)
    resigned(shelf, index, platforms, *map(signature_of, [index.digest, *(one.digest for one in platforms.values())]))

    assert {name for name, _ in failures(shelf)} == {"provenance", "bill of materials", "vulnerability scan"}
    assert len(failures(shelf)) == 2 * 4


@pytest.mark.parametrize("time", ["2027-01-01T00:00:00Z", "yesterday", "", "0001-01-01T00:00:00+14:00"])
def test_a_scan_that_does_not_say_when_does_not_count(time: str) -> None:
    """Nor one that says it comes from the future."""
    subject = digest_bytes(b"it")
    scan = Statement("https://cosign.sigstore.dev/attestation/vuln/v1", {"metadata": {"scanFinishedOn": time}}, subject)
    heard = hear(Part("image", subject, (anyio.run(SIGNER.sign, scan),)), [SIGNER.trust])

    checks = check_parts(heard, (), spec(platforms=[]), NOW)

    assert [check.outcome for check in checks if check.name == "vulnerability scan"] == [Outcome.FAILED]


def test_the_youngest_scan_counts() -> None:
    """And one that finished a moment ahead of our clock is of today."""
    subject = digest_bytes(b"it")

    def scan(days: int) -> bytes:
        time = (NOW - timedelta(days=days)).isoformat()
        kind = "https://cosign.sigstore.dev/attestation/vuln/v1"
        return anyio.run(SIGNER.sign, Statement(kind, {"metadata": {"scanFinishedOn": time}}, subject))

    heard = hear(Part("image", subject, (scan(30), scan(2))), [SIGNER.trust])

    (check,) = [one for one in check_parts(heard, (), spec(platforms=[]), NOW) if one.name == "vulnerability scan"]
    assert (check.outcome, check.found) == (Outcome.PASSED, "2 days old")


@pytest.mark.parametrize(
    ("address", "repository"),
    [
        ("git+https://git.example/me/agents@abc", "https://git.example/me/agents"),
        ("git+https://git.example/me/agents.git@abc#sub", "https://git.example/me/agents"),
        ("git+https://user@git.example/me/agents@abc", "https://user@git.example/me/agents"),
        ("git+ssh://git@git.example/me/agents", "ssh://git@git.example/me/agents"),
        ("https://git.example/me/agents", ""),
        ("pkg:npm/left-pad@1", ""),
        ("git+local:project", ""),
    ],
)
def test_the_repository_of_a_source_address(address: str, repository: str) -> None:
    """Without the revision, and nothing that only looks like one."""
    assert source_of(address) == repository


def test_a_failure_says_what_failed() -> None:
    """Three of them, and how many more."""
    checks = tuple(Check("signature", f"part {number}", Outcome.FAILED, "none") for number in range(5))

    with pytest.raises(VerifyError, match=r"signature of part 0: none; .* and 2 more"):
        Verification("it", SUBJECT, {}, checks).raise_for_failures()


def test_a_verification_without_checks_is_none() -> None:
    """Nothing failed, because nothing was looked at."""
    assert not Verification("it", SUBJECT, {}, ()).verified
