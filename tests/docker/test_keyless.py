"""Signing as a CI job against a Sigstore of our own: cosign and we verify it, and nobody else's word counts."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.cli import main
from pipeline.digest import digest_bytes
from pipeline.errors import ExitCode, SignError
from pipeline.settings import SignSettings
from pipeline.supply.artifact import Artifact
from pipeline.supply.check.checks import PROVENANCE
from pipeline.supply.sign.api import Signer
from pipeline.supply.sign.choose import open_signer
from pipeline.supply.sign.referrers import sign_all
from tests.docker.cosign import Cosign, Repository, obtain_cosign
from tests.docker.sigstore_stack import REPOSITORY, WORKFLOW, Sigstore, private_sigstore
from tests.docker.tuf_root import TRUSTED_ROOT, write_tuf_repository
from tests.engine.support import serving
from tests.registry.server import Registry
from tests.unit.supply.evidence_shelf import NOW, Shelf, evidence_of, put_image

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(1900),
    # Fulcio's certificate authority for tests writes a country of three letters.
    pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning"),
]


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sigstore]:
    """Return the services, started."""
    with private_sigstore(tmp_path_factory.mktemp("sigstore")) as services:
        yield services


@pytest.fixture(scope="module")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    """Return cosign on an empty home."""
    return Cosign(obtain_cosign(), tmp_path_factory.mktemp("cosign"))


def signer_of(sigstore: Sigstore, token: str) -> Signer:
    """Return the signer that a job with a token gets."""
    settings = SignSettings.model_validate({"keyless": True, "trust-config": sigstore.trust_config})
    signer = open_signer(settings, {"SIGSTORE_ID_TOKEN": token})
    assert signer is not None
    return signer


def sign(shelf: Shelf, words: str, signer: Signer) -> dict[str, str]:
    """Put an image on a shelf, sign all of it, and return the digests of its parts."""
    index, platforms = put_image(shelf, words)
    statements = [one for platform in platforms.values() for one in evidence_of(platform.digest)]

    async def work() -> tuple[Artifact, ...]:
        return await sign_all(signer, index, tuple(platforms.values()), statements, NOW)

    shelf.attach(anyio.run(work))
    return {"index": index.digest, **{name: one.digest for name, one in platforms.items()}}


@pytest.fixture(scope="module")
def published(sigstore: Sigstore, registry: Registry) -> tuple[Repository, dict[str, str], Shelf]:
    """Return an image that a job has signed, and the digests of its parts."""
    shelf = Shelf()
    parts = sign(shelf, "keyless", signer_of(sigstore, sigstore.token()))
    repository = Repository(registry, "sign/keyless")
    repository.push(shelf)
    return repository, parts, shelf


Verify = Callable[..., tuple[int, Any]]


@pytest.fixture
def agc(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Verify:
    """Return `agc verify --json`, which says its exit code and its object."""

    def run(*arguments: str | Path) -> tuple[int, Any]:
        code = main(["-C", str(tmp_path), "verify", "--json", *map(str, arguments)])
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        return code, json.loads(written.out.splitlines()[-1])

    return run


def test_cosign_verifies_what_a_job_signed(
    published: tuple[Repository, dict[str, str], Shelf], sigstore: Sigstore, cosign: Cosign
) -> None:
    """The image by its tag and the evidence of a platform, by the identity and without asking anybody else."""
    repository, parts, _ = published
    whom = (
        f"--trusted-root={sigstore.trusted_root}",
        f"--certificate-identity={WORKFLOW}",
        f"--certificate-oidc-issuer={sigstore.issuer}",
        "--use-signed-timestamps",
    )

    done = cosign("verify", *whom, repository.at("latest"))
    assert done.returncode == 0, done.stderr
    done = cosign("verify-attestation", *whom, "--type=slsaprovenance1", repository.at(parts["linux/amd64"]))
    assert done.returncode == 0, done.stderr
    other = [option.replace("publish.yml", "other.yml") for option in whom]
    assert cosign("verify", *other, repository.at("latest")).returncode != 0


def test_cosign_verifies_by_the_root_of_a_tuf_repository(
    published: tuple[Repository, dict[str, str], Shelf], sigstore: Sigstore, tmp_path: Path
) -> None:
    """Somebody who knows only the first root of it learns from there whom to trust."""
    root = write_tuf_repository(tmp_path / "tuf", {TRUSTED_ROOT: sigstore.trusted_root.read_bytes()})
    (tmp_path / "home").mkdir()
    cosign = Cosign(obtain_cosign(), tmp_path / "home")
    whom = (
        f"--certificate-identity={WORKFLOW}",
        f"--certificate-oidc-issuer={sigstore.issuer}",
        "--use-signed-timestamps",
    )
    where = published[0].at("latest")

    assert cosign("verify", *whom, where).returncode != 0  # it knows nobody
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "tuf"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, serving(server):
        done = cosign("initialize", f"--mirror=http://127.0.0.1:{server.server_port}", f"--root={root}")
        assert done.returncode == 0, done.stderr
        done = cosign("verify", *whom, where)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("file", ["trust_config", "trusted_root"])
def test_we_verify_what_a_job_signed(
    file: str, offline: bool, published: tuple[Repository, dict[str, str], Shelf], sigstore: Sigstore, agc: Verify
) -> None:
    """By the identity, by the repository, and by both; the keys may come with or without the services."""
    where = published[0].at("latest")
    root = ("--trust-config", getattr(sigstore, file), *(["--offline"] if offline else []))

    for whom in (
        ["--identity", WORKFLOW],
        ["--repository", REPOSITORY],
        ["--identity", WORKFLOW, "--repository", REPOSITORY],
    ):
        code, found = agc(where, "--issuer", sigstore.issuer, *whom, *root)
        assert (code, found["verified"]) == (0, True), found
    (signature, *_) = [check["found"] for check in found["checks"] if check["check"] == "signature"]
    assert WORKFLOW in signature


@pytest.mark.parametrize(
    "whom",
    [
        ["--identity", WORKFLOW.replace("publish", "other")],
        ["--identity", WORKFLOW.replace("refs/heads/main", "refs/heads/evil")],
        ["--repository", f"{REPOSITORY}-evil"],
        ["--identity", WORKFLOW, "--repository", f"{REPOSITORY}-evil"],
    ],
)
def test_another_identity_is_nobody_we_trust(
    whom: list[str], published: tuple[Repository, dict[str, str], Shelf], sigstore: Sigstore, agc: Verify
) -> None:
    """What it did sign is good, and not ours to count."""
    root = ("--issuer", sigstore.issuer, "--trust-config", sigstore.trusted_root)

    code, found = agc(published[0].at("latest"), *whom, *root)

    assert code == ExitCode.VERIFY
    assert {check["check"] for check in found["checks"] if check["outcome"] == "failed"} == {"signature"}


def test_another_issuer_is_nobody_we_trust(
    published: tuple[Repository, dict[str, str], Shelf], sigstore: Sigstore, agc: Verify
) -> None:
    """Anybody may call himself by a workflow's name elsewhere."""
    issuer = "https://token.actions.githubusercontent.com"
    whom = ("--identity", WORKFLOW, "--issuer", issuer, "--trust-config", sigstore.trusted_root)

    assert agc(published[0].at("latest"), *whom)[0] == ExitCode.VERIFY


@pytest.mark.parametrize("part", ["payload", "sig", "rawBytes", "signedTimestamp", "canonicalizedBody", "rootHash"])
def test_a_changed_bundle_of_a_job_is_refused(
    part: str, sigstore: Sigstore, registry: Registry, cosign: Cosign, agc: Verify
) -> None:
    """Whether the statement, its signature, the certificate, the time or the log's word for it was changed."""
    shelf = Shelf()
    parts = sign(shelf, f"changed {part}", signer_of(sigstore, sigstore.token()))
    (entry,) = [one for one in shelf.referrers_of[parts["linux/amd64"]] if PROVENANCE in one["annotations"].values()]
    manifest = json.loads(shelf.manifests[entry["digest"]])
    content = shelf.blobs[manifest["layers"][0]["digest"]].decode()
    at = content.index('"', content.index(f'"{part}"') + len(part) + 2) + 41
    changed = content[:at] + ("A" if content[at] != "A" else "B") + content[at + 1 :]

    data = changed.encode()
    shelf.blobs[digest_bytes(data)] = data
    manifest["layers"][0] |= {"digest": digest_bytes(data), "size": len(data)}
    text = json.dumps(manifest).encode()
    shelf.manifests[digest_bytes(text)] = text
    entry |= {"digest": digest_bytes(text), "size": len(text)}
    tag = f"sha256-{parts['linux/amd64'][7:]}"
    index = json.loads(shelf.manifests[tag]) | {"manifests": shelf.referrers_of[parts["linux/amd64"]]}
    shelf.manifests[tag] = json.dumps(index).encode()
    repository = Repository(registry, f"sign/changed-{part.lower()}")
    repository.push(shelf)
    whom = ("--identity", WORKFLOW, "--issuer", sigstore.issuer, "--trust-config", sigstore.trusted_root)

    code, found = agc(repository.at("latest"), *whom)

    assert code == ExitCode.VERIFY
    assert [check["check"] for check in found["checks"] if check["outcome"] == "failed"] == ["evidence"]
    options = (f"--trusted-root={sigstore.trusted_root}", f"--certificate-identity={WORKFLOW}")
    ours = (*options, f"--certificate-oidc-issuer={sigstore.issuer}", "--use-signed-timestamps")
    where = repository.at(parts["linux/amd64"])
    # cosign takes the root from the checkpoint that the log signed, and does not read this copy of it.
    content_with = cosign("verify-attestation", *ours, "--type=slsaprovenance1", where).returncode == 0
    assert content_with == (part == "rootHash")


def test_what_a_job_signed_it_does_not_sign_again(
    published: tuple[Repository, dict[str, str], Shelf], sigstore: Sigstore
) -> None:
    """The next job of the same workflow knows it by the certificate; a job of another workflow is somebody else."""
    shelf = published[2]
    index, platforms = put_image(Shelf(), "keyless")
    present = {
        digest: [shelf.blobs[json.loads(shelf.manifests[entry["digest"]])["layers"][0]["digest"]] for entry in listed]
        for digest, listed in shelf.referrers_of.items()
    }
    ours = {one.digest: present[one.digest] for one in (index, *platforms.values())}

    async def again(signer: Signer) -> int:
        return len(await sign_all(signer, index, tuple(platforms.values()), (), NOW, ours))

    assert anyio.run(again, signer_of(sigstore, sigstore.token())) == 0
    assert anyio.run(again, signer_of(sigstore, sigstore.token("other.yml"))) == 3


def test_a_token_for_somebody_else_is_refused_and_not_told(sigstore: Sigstore) -> None:
    """Neither a token with another audience, nor one that the services do not take, is in the message."""
    for token in (sigstore.token(audience="elsewhere"), "canary.token.text"):
        with pytest.raises(SignError) as caught:
            signer_of(sigstore, token)
        assert token not in f"{caught.value} {caught.value.remedy} {caught.value.__cause__!r}"


def test_services_that_are_gone_end_signing_with_an_error(sigstore: Sigstore, tmp_path: Path) -> None:
    """Without the token in it, and with what to do."""
    config = json.loads(sigstore.trust_config.read_text())
    config["signingConfig"]["caUrls"][0]["url"] = "http://127.0.0.1:1"
    gone = tmp_path / "gone.json"
    gone.write_text(json.dumps(config))
    settings = SignSettings.model_validate({"keyless": True, "trust-config": gone})
    token = sigstore.token()
    signer = open_signer(settings, {"SIGSTORE_ID_TOKEN": token})
    assert signer is not None

    with pytest.raises(SignError, match="services failed") as caught:
        sign(Shelf(), "gone", signer)
    assert caught.value.remedy
    assert token not in f"{caught.value} {caught.value.__cause__!r}"
