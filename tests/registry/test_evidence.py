"""What `agc publish` leaves beside an image: bills, provenance, tests, scan and signatures, and who can check them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.supply.provenance import SMOKE_TYPE
from tests.docker.cosign import PASSWORD, Cosign, obtain_cosign
from tests.engine.small import small_project
from tests.engine.support import Agc, Run, write_files
from tests.registry.server import Registry
from tests.registry.test_cli import watched_arguments
from tests.unit.verify.vulnerabilities.samples import HIGH, write_database

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

KINDS = ("slsaprovenance1", "spdxjson", "cyclonedx", "vuln", SMOKE_TYPE)
VEX = """\
apiVersion: agentcontainers/v1
kind: Vex
metadata:
  name: no-such-flaw
spec:
  vulnerability: CVE-2026-9001
  packages: [pkg:deb/debian/tini]
  products: [small]
  status: not_affected
  justification: vulnerable_code_not_present
  reason: The record was made up for a test and tini has no such flaw.
  expires: 2199-01-01
"""


def record(package: str) -> dict[str, Any]:
    """Return a vulnerability of high severity in every version of a Debian package, known since today."""
    return {
        "schema_version": "1.7.0",
        "id": "DEBIAN-CVE-2026-9001",
        "modified": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "upstream": ["CVE-2026-9001"],
        "severity": [{"type": "CVSS_V3", "score": HIGH}],
        "affected": [
            {
                "package": {"ecosystem": "Debian:13", "name": package},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
            }
        ],
    }


@pytest.fixture(scope="module")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    """Return cosign on a home with a pair of keys, the private one under a password."""
    made = Cosign(obtain_cosign(), tmp_path_factory.mktemp("cosign"))
    done = made("generate-key-pair")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def project(tmp_path: Path, cosign: Cosign) -> Path:
    """Return a project of one small image with a database in which nothing is wrong with it, and a key."""
    folder = small_project(tmp_path / "project")
    write_database(folder / "osv", {"Debian": [record("no-such-package")]})
    settings = f'[gate]\nosv = "osv"\n[sign]\nkey = "file:{cosign.home}/cosign.key"\n'
    write_files(folder, {"agc.toml": f'{settings}public-key = "{cosign.home}/cosign.pub"\n'})
    return folder


def publish(agc: Agc, project: Path, registry: Registry, *options: str) -> Run:
    """Publish the image into a namespace of the registry."""
    signing = agc.given(AGC_SIGN_PASSWORD=PASSWORD)
    return signing("publish", "small", "--to", f"{registry.address}/ns", "--json", *options, project=project)


def test_others_can_check_what_was_published(agc: Agc, project: Path, registry: Registry, cosign: Cosign) -> None:
    """`agc verify` and cosign, by tag and by digest; every kind of evidence; and the password is nowhere."""
    with watched_arguments() as seen:
        run = publish(agc, project, registry)
    assert run.code == 0, run.stderr
    (image,) = run.json["images"]
    reference = f"{registry.address}/ns/small@{image['digest']}"
    catalog = json.loads((project / "registry/catalog.json").read_text())["images"]["small"]
    (platform,) = catalog["platforms"].values()
    public = cosign.home / "cosign.pub"

    for name in (f"{registry.address}/ns/small:latest", reference):
        assert cosign.verifies(name, public)
        verified = agc("verify", name, "--key", str(public), "--json", project=project)
        assert verified.code == 0, verified.stderr
        assert verified.json["verified"] is True
    for kind in KINDS:
        assert cosign.attests(f"{registry.address}/ns/small@{platform['digest']}", public, kind), kind
    assert {one["predicateType"] for one in catalog["evidence"] if one.get("signed")} >= {
        "https://slsa.dev/provenance/v1",
        "https://spdx.dev/Document",
        "https://cyclonedx.org/bom",
        "https://cosign.sigstore.dev/attestation/vuln/v1",
        "https://sigstore.dev/cosign/sign/v1",
    }
    assert platform["smoke"] == ["answer"]
    assert catalog["verify"][0] == f"agc verify {reference} --key cosign.pub"
    texts = [run.stdout, run.stderr, json.dumps(catalog), *seen]
    assert not [text for text in texts if PASSWORD in text]


def test_a_second_publish_says_nothing_twice(agc: Agc, project: Path, registry: Registry) -> None:
    """No blob is sent, no referrer added, and the record stays as it is."""
    first = publish(agc, project, registry)
    assert first.code == 0, first.stderr
    tags, text = registry.tags("ns/small"), (project / "registry/catalog.json").read_bytes()
    again = publish(agc, project, registry)

    assert again.code == 0, again.stderr
    assert again.json["images"][0]["published"][0]["blobs"]["bytes"] == 0
    assert registry.tags("ns/small") == tags
    assert (project / "registry/catalog.json").read_bytes() == text


def test_a_vulnerable_image_is_not_published(agc: Agc, project: Path, registry: Registry) -> None:
    """No tag, no signature; a statement that it does not matter, with an end, lets it pass, and is published too."""
    write_database(project / "osv", {"Debian": [record("tini")]})
    run = publish(agc, project, registry)

    assert (run.code, run.error["code"]) == (14, "gate"), run.stderr
    assert "CVE-2026-9001" in run.error["message"]
    assert registry.tags("ns/small") == {}
    write_files(project, {"definitions/vex/no-such-flaw.yaml": VEX})
    let = publish(agc, project, registry)
    assert let.code == 0, let.stderr
    catalog = json.loads((project / "registry/catalog.json").read_text())["images"]["small"]
    assert "https://openvex.dev/ns/v0.2.0" in {one["predicateType"] for one in catalog["evidence"]}


def test_without_a_database_nothing_is_published_but_with_a_reason(agc: Agc, project: Path, registry: Registry) -> None:
    """The reason is in the record; a word is none."""
    text = (project / "agc.toml").read_text()
    (project / "agc.toml").write_text(text.replace('osv = "osv"', 'osv = "nowhere"'))
    run = publish(agc, project, registry)
    assert (run.code, run.error["code"]) == (15, "database"), run.stderr
    assert registry.tags("ns/small") == {}
    assert publish(agc, project, registry, "--no-gate", "hurry").code == 2

    let = publish(agc, project, registry, "--no-gate", "the mirror of the database is down today")
    assert let.code == 0, let.stderr
    catalog = json.loads((project / "registry/catalog.json").read_text())["images"]["small"]
    assert catalog["waiver"] == "the mirror of the database is down today"


def test_what_is_not_signed_says_so_and_verifies_for_nobody(agc: Agc, project: Path, registry: Registry) -> None:
    """It has its bills in the index all the same."""
    run = publish(agc, project, registry, "--sign", "none")
    assert run.code == 0, run.stderr
    assert "nothing is signed" in run.stderr
    key = (project / "agc.toml").read_text().partition('public-key = "')[2].partition('"')[0]
    refused = agc("verify", f"{registry.address}/ns/small:latest", "--key", key, "--json", project=project)

    assert (refused.code, refused.json["verified"]) == (13, False)
    catalog = json.loads((project / "registry/catalog.json").read_text())["images"]["small"]
    assert {one["predicateType"] for one in catalog["evidence"]} == {
        "https://slsa.dev/provenance/v1",
        "https://spdx.dev/Document",
    }
