"""What we sign others verify, what others sign we verify, and what was tampered with nobody does: a real registry."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipeline.cli import main
from pipeline.digest import Digest
from pipeline.engine.layout import Descriptor
from pipeline.errors import ExitCode
from pipeline.supply.artifact import Artifact
from pipeline.supply.check.checks import PROVENANCE
from pipeline.supply.sign.keys import KeySigner, open_key
from pipeline.supply.sign.legacy import legacy_tags
from pipeline.supply.sign.referrers import SIGN_PREDICATE, bundle_artifact, sign_all
from pipeline.supply.statement import Statement
from tests.docker.cosign import PASSWORD, Cosign, Repository, obtain_cosign
from tests.registry.server import Registry
from tests.unit.supply.evidence_shelf import NOW, Shelf, evidence_of, put_image
from tests.unit.supply.sign.test_keys import write_pair

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1900)]

AMD64 = "linux/amd64"
TYPES = ("slsaprovenance1", "spdxjson", "cyclonedx", "vuln")
_NUMBERS = count()


@pytest.fixture(scope="module")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    """Return cosign on an empty home."""
    return Cosign(obtain_cosign(), tmp_path_factory.mktemp("cosign"))


@dataclass(frozen=True, slots=True)
class Keys:
    """A key with its files."""

    signer: KeySigner
    public: Path


@pytest.fixture(scope="module")
def keys(cosign: Cosign) -> Keys:
    """Return a pair that cosign made, with a password."""
    done = cosign("generate-key-pair")
    assert done.returncode == 0, done.stderr
    signer = open_key(f"file:{cosign.home / 'cosign.key'}", {"AGC_SIGN_PASSWORD": PASSWORD})
    return Keys(signer, cosign.home / "cosign.pub")


@dataclass(slots=True)
class Published:
    """An image in the registry, of bytes that no other test has."""

    repository: Repository
    shelf: Shelf
    index: Descriptor
    platforms: dict[str, Descriptor]

    @property
    def statements(self) -> list[Statement]:
        """Everything there is to say of its platforms."""
        return [one for platform in self.platforms.values() for one in evidence_of(platform.digest)]

    @property
    def by_tag(self) -> str:
        """The reference people use."""
        return self.repository.at("latest")

    @property
    def amd64(self) -> str:
        """A reference to one platform."""
        return self.repository.at(self.platforms[AMD64].digest)

    def sign(self, signer: KeySigner) -> None:
        """Sign all of it, in memory."""

        async def work() -> tuple[Artifact, ...]:
            return await sign_all(signer, self.index, tuple(self.platforms.values()), self.statements, NOW)

        self.shelf.attach(anyio.run(work))

    def push(self) -> None:
        """Put all of it into the registry."""
        self.repository.push(self.shelf)

    def referrer(self, subject: Descriptor, kind: str) -> dict[str, Any]:
        """Return the entry of the referrer of a predicate type."""
        found = [one for one in self.shelf.referrers_of[subject.digest] if kind in one["annotations"].values()]
        return found[0]

    def bundle(self, subject: Descriptor, kind: str) -> tuple[Digest, bytes]:
        """Return digest and bytes of a bundle."""
        manifest = json.loads(self.shelf.manifests[self.referrer(subject, kind)["digest"]])
        digest = Digest(manifest["layers"][0]["digest"])
        return digest, self.shelf.blobs[digest]

    def replace(self, subject: Descriptor, kind: str, bundle: bytes | None) -> None:
        """Put another bundle in the place of one, or none."""
        self.shelf.referrers_of[subject.digest].remove(self.referrer(subject, kind))
        kept = self.shelf.referrers_of[subject.digest]
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": kept}
        self.shelf.manifests[f"sha256-{subject.digest[7:]}"] = json.dumps(index).encode()
        if bundle is not None:
            self.shelf.attach([bundle_artifact(bundle, Statement(kind, {}, subject.digest), subject, NOW)])


@pytest.fixture
def image(registry: Registry) -> Published:
    """Return an unsigned image that is not yet in the registry."""
    number = next(_NUMBERS)
    shelf = Shelf()
    index, platforms = put_image(shelf, f"image {number}")
    return Published(Repository(registry, f"sign/image{number}"), shelf, index, platforms)


@pytest.fixture
def signed(image: Published, keys: Keys) -> Published:
    """Return an image with everything, not yet in the registry."""
    image.sign(keys.signer)
    return image


@pytest.fixture
def policy(tmp_path: Path, keys: Keys) -> Path:
    """Return a policy that asks for everything the images have."""
    file = tmp_path / "policy.yaml"
    file.write_text(f"""\
apiVersion: agentcontainers/v1
kind: VerifyPolicy
metadata: {{name: all}}
spec:
  signers: [{{key: {keys.public}}}]
  platforms: [linux/amd64, linux/arm64]
  provenance:
    repositories: [https://git.example/me/agents]
  sboms: [spdx, cyclonedx]
  vulnerabilities: {{maxAgeDays: 3650}}
""")
    return file


@pytest.fixture
def agc(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., tuple[int, Any]]:
    """Return `agc verify --json`, which says its exit code and its object."""

    def run(*arguments: str | Path) -> tuple[int, Any]:
        code = main(["-C", str(tmp_path), "verify", "--json", *map(str, arguments)])
        written = capsys.readouterr()
        assert "Traceback" not in written.err
        return code, json.loads(written.out.splitlines()[-1])

    return run


def test_cosign_verifies_what_we_sign(signed: Published, keys: Keys, cosign: Cosign) -> None:
    """The index by its tag and each platform by its digest, by a key that cosign made, without a network."""
    signed.push()

    for reference in (signed.by_tag, *(signed.repository.at(one.digest) for one in signed.platforms.values())):
        done = cosign("verify", f"--key={keys.public}", "--insecure-ignore-tlog=true", reference)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", TYPES)
def test_cosign_verifies_our_attestations(kind: str, signed: Published, keys: Keys, cosign: Cosign) -> None:
    """Each by its type, on each platform; a type that is not there is missed."""
    signed.push()

    for platform in signed.platforms.values():
        assert cosign.attests(signed.repository.at(platform.digest), keys.public, kind)
        assert not cosign.attests(signed.repository.at(platform.digest), keys.public, "openvex")


@pytest.mark.parametrize("bundles", [True, False], ids=["bundles too", "tags alone"])
@pytest.mark.parametrize("new", [True, False], ids=["asked for bundles", "asked for tags"])
def test_cosign_verifies_our_older_tags(new: bool, bundles: bool, image: Published, keys: Keys, cosign: Cosign) -> None:
    """Signature and attestations, where both forms are there and where only tags are."""
    if bundles:
        image.sign(keys.signer)
    image.push()
    subjects = [image.index, *image.platforms.values()]
    name = f"{image.repository.registry.address}/{image.repository.name}"
    tagged = anyio.run(legacy_tags, keys.signer, name, subjects, image.statements)
    image.repository.push_tagged((one.tag, one.artifact) for one in tagged)
    option = f"--new-bundle-format={str(new).lower()}"

    assert cosign.verifies(image.by_tag, keys.public, option)
    assert cosign.verifies(image.amd64, keys.public, option)
    for kind in TYPES:
        assert cosign.attests(image.amd64, keys.public, kind, option), kind


@pytest.mark.parametrize("kind", ["p256", "ed25519", "rsa"])
def test_cosign_verifies_keys_of_every_kind(kind: str, image: Published, cosign: Cosign, tmp_path: Path) -> None:
    """As OpenSSL makes them; the scheme is the one that cosign takes of such a key."""
    private, public = write_pair(tmp_path, kind)
    image.sign(open_key(f"file:{private}", {}))
    image.push()

    assert cosign.verifies(image.by_tag, public)
    assert cosign.attests(image.amd64, public, "slsaprovenance1")


def test_what_cosign_signs_we_verify(
    image: Published, keys: Keys, cosign: Cosign, agc: Callable[..., tuple[int, Any]]
) -> None:
    """Its signature and its attestation, in its own bundles."""
    image.push()
    quiet = ("--yes", f"--key={cosign.home / 'cosign.key'}", "--tlog-upload=false", "--use-signing-config=false")
    for reference in (image.index.digest, *(one.digest for one in image.platforms.values())):
        done = cosign("sign", *quiet, image.repository.at(reference))
        assert done.returncode == 0, done.stderr
    predicate = cosign.home / "predicate.json"
    predicate.write_text(json.dumps({"runDetails": {"builder": {"id": "https://cosign.example"}}}))
    done = cosign("attest", *quiet, "--type=slsaprovenance1", f"--predicate={predicate}", image.amd64)
    assert done.returncode == 0, done.stderr

    code, found = agc(image.by_tag, "--key", keys.public)

    assert (code, found["verified"]) == (0, True), found
    assert "built by https://cosign.example" in [check["found"] for check in found["checks"]]


def test_we_verify_what_we_sign(signed: Published, policy: Path, agc: Callable[..., tuple[int, Any]]) -> None:
    """With everything asked for, and the digest that was verified is told."""
    signed.push()

    code, found = agc(signed.by_tag, "--policy", policy)

    assert code == 0, found
    assert (found["verified"], found["digest"]) == (True, signed.index.digest)
    assert {check["outcome"] for check in found["checks"]} == {"passed"}


def test_an_image_that_was_only_attested_to(
    image: Published, keys: Keys, cosign: Cosign, agc: Callable[..., tuple[int, Any]]
) -> None:
    """It was never released. cosign takes it (FACTS: any bundle of the key will do), and we do not."""
    image.sign(keys.signer)
    for subject in (image.index, *image.platforms.values()):
        image.replace(subject, SIGN_PREDICATE, None)
    image.push()

    assert cosign.verifies(image.amd64, keys.public)
    assert agc(image.by_tag, "--key", keys.public)[0] == ExitCode.VERIFY


Tamper = Callable[[Published, Keys], None]


def layer(signed: Published, keys: Keys) -> None:
    """Change a byte in a layer."""
    signed.push()
    signed.repository.spoil(json.loads(signed.shelf.manifests[signed.platforms[AMD64].digest])["layers"][0]["digest"])


def config(signed: Published, keys: Keys) -> None:
    """Change a byte in a config."""
    signed.push()
    signed.repository.spoil(json.loads(signed.shelf.manifests[signed.platforms[AMD64].digest])["config"]["digest"])


def manifest(signed: Published, keys: Keys) -> None:
    """Change a byte in a platform's manifest."""
    signed.push()
    signed.repository.spoil(signed.platforms[AMD64].digest)


def index(signed: Published, keys: Keys) -> None:
    """Move the tag to an index with one platform less."""
    signed.push()
    document = json.loads(signed.shelf.manifests[signed.index.digest])
    del document["manifests"][1]
    signed.repository.put_manifest("latest", json.dumps(document).encode())


def attestation(signed: Published, keys: Keys) -> None:
    """Change a byte of the bundle of an attestation."""
    signed.push()
    signed.repository.spoil(signed.bundle(signed.platforms[AMD64], PROVENANCE)[0])


def referrer(signed: Published, keys: Keys) -> None:
    """Change a byte of the manifest of an attestation."""
    signed.push()
    signed.repository.spoil(Digest(signed.referrer(signed.platforms[AMD64], PROVENANCE)["digest"]))


def changed(signed: Published, subject: Descriptor, kind: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Put a changed bundle in the place of one, and all digests right again."""
    document = json.loads(signed.bundle(subject, kind)[1])
    change(document["dsseEnvelope"])
    signed.replace(subject, kind, json.dumps(document).encode())
    signed.push()


def payload(signed: Published, keys: Keys) -> None:
    """Say that somebody else built it."""

    def change(envelope: dict[str, Any]) -> None:
        text = base64.b64decode(envelope["payload"]).replace(b"git.example", b"git.evil.me")
        envelope["payload"] = base64.b64encode(text).decode()

    changed(signed, signed.platforms[AMD64], PROVENANCE, change)


def swapped(signed: Published, keys: Keys) -> None:
    """Have the provenance of one platform speak of the other."""
    one, other = (platform.digest[7:].encode() for platform in signed.platforms.values())

    def change(envelope: dict[str, Any]) -> None:
        text = base64.b64decode(envelope["payload"]).replace(one, other)
        envelope["payload"] = base64.b64encode(text).decode()

    changed(signed, signed.platforms[AMD64], PROVENANCE, change)


def turned(envelope: dict[str, Any]) -> None:
    """Turn a bit of a signature."""
    raw = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    raw[-1] ^= 1
    envelope["signatures"][0]["sig"] = base64.b64encode(bytes(raw)).decode()


def signature_of_provenance(signed: Published, keys: Keys) -> None:
    """Turn a bit in the signature of an attestation."""
    changed(signed, signed.platforms[AMD64], PROVENANCE, turned)


def signature_of_index(signed: Published, keys: Keys) -> None:
    """Turn a bit in the signature of the image."""
    changed(signed, signed.index, SIGN_PREDICATE, turned)


def replayed_signature(signed: Published, keys: Keys) -> None:
    """Put the signature of another image in the place of the image's."""
    other = Shelf()
    theirs, platforms = put_image(other, "another image")

    async def work() -> tuple[Artifact, ...]:
        return await sign_all(keys.signer, theirs, tuple(platforms.values()), (), NOW)

    bundle = anyio.run(work)[-1].layers[0].data
    signed.replace(signed.index, SIGN_PREDICATE, bundle)
    signed.push()


def replayed_provenance(signed: Published, keys: Keys) -> None:
    """Put the provenance of the other platform in the place of one."""
    bundle = signed.bundle(signed.platforms["linux/arm64"], PROVENANCE)[1]
    signed.replace(signed.platforms[AMD64], PROVENANCE, bundle)
    signed.push()


def deleted(signed: Published, keys: Keys) -> None:
    """Take the signature of the image away."""
    signed.replace(signed.index, SIGN_PREDICATE, None)
    signed.push()


def deleted_provenance(signed: Published, keys: Keys) -> None:
    """Take an attestation away."""
    signed.replace(signed.platforms[AMD64], PROVENANCE, None)
    signed.push()


def other_key(signed: Published, keys: Keys) -> None:
    """Have another key sign everything."""
    private, _ = write_pair(keys.public.parent, "ed25519")
    signed.shelf.referrers_of.clear()
    signed.sign(open_key(f"file:{private}", {}))
    signed.push()


@pytest.mark.parametrize(
    ("tamper", "cosign_sees"),
    [
        (layer, ""),  # cosign reads no layer: who pulls the image does
        (config, ""),  # nor a config
        (manifest, ""),  # nor a manifest, where it is asked by digest
        (index, "verify"),
        (attestation, "attestation"),
        (referrer, "attestation"),
        (payload, "attestation"),
        (swapped, "attestation"),
        (signature_of_provenance, "attestation"),
        (signature_of_index, "verify"),
        (replayed_signature, "verify"),
        (replayed_provenance, "attestation"),
        (deleted, "verify"),
        (deleted_provenance, "attestation"),
        (other_key, "verify"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_was_tampered_with_nobody_verifies(
    tamper: Tamper,
    cosign_sees: str,
    signed: Published,
    keys: Keys,
    policy: Path,
    cosign: Cosign,
    agc: Callable[..., tuple[int, Any]],
) -> None:
    """Neither cosign, as far as it looks, nor we, who look at everything."""
    tamper(signed, keys)

    code, found = agc(signed.by_tag, "--policy", policy)
    content = {
        "verify": cosign.verifies(signed.by_tag, keys.public),
        "verify platform": cosign.verifies(signed.amd64, keys.public),
        "attestation": cosign.attests(signed.amd64, keys.public, "slsaprovenance1"),
    }

    assert code == ExitCode.VERIFY
    assert not found.get("verified")
    assert bool(cosign_sees) != all(content.values())
    assert not content.get(cosign_sees)


def test_without_a_policy_tampered_evidence_is_noticed_too(
    signed: Published, keys: Keys, agc: Callable[..., tuple[int, Any]]
) -> None:
    """A bundle that names the key and was not signed by it is no stranger's."""
    payload(signed, keys)

    code, found = agc(signed.by_tag, "--key", keys.public)

    assert code == ExitCode.VERIFY
    assert [check["check"] for check in found["checks"] if check["outcome"] == "failed"] == ["evidence"]


def test_what_is_not_there(image: Published, keys: Keys, agc: Callable[..., tuple[int, Any]]) -> None:
    """A tag that names nothing is not verified; a registry that is not there cannot be asked."""
    image.push()

    assert agc(image.repository.at("v9"), "--key", keys.public)[0] == ExitCode.VERIFY
    assert agc("localhost:1/a/b", "--key", keys.public)[0] == ExitCode.RESOLVE
    assert agc(image.by_tag)[0] == ExitCode.USAGE


def test_the_password_is_told_to_nobody(signed: Published, keys: Keys, policy: Path) -> None:
    """Nothing that is pushed holds it, nor a line of the private key."""
    signed.push()
    secrets = [PASSWORD, *(keys.public.parent / "cosign.key").read_text().split("\n")[1:4]]
    pushed = b"".join([*signed.shelf.blobs.values(), *signed.shelf.manifests.values()]).decode(errors="replace")

    assert [secret for secret in secrets if secret in pushed or secret in repr(keys.signer)] == []
