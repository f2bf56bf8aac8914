"""Keys: what signs, what verifies, and that no key or password is ever told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from nacl.secret import SecretBox

from pipeline.digest import digest_bytes
from pipeline.errors import AgcError, SignError, UsageError, VerifyError
from pipeline.settings import SignSettings
from pipeline.supply.sign.bundle import BUNDLE_TYPE, read_bundle
from pipeline.supply.sign.choose import chosen, open_signer
from pipeline.supply.sign.keys import KeySigner, KeyTrust, open_key, open_key_trust
from pipeline.supply.statement import PAYLOAD_TYPE, Statement

CANARY = "canary-9f27ac-password"
STATEMENT = Statement("https://example.com/p/v1", {"a": 1}, digest_bytes(b"an image"))

MAKERS: dict[str, Callable[[], ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey]] = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def write_pair(folder: Path, kind: str = "p256", password: str = "") -> tuple[Path, Path]:
    """Write a new pair of keys and return private and public file."""
    key = MAKERS[kind]()
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    private, public = folder / f"{kind}.key", folder / f"{kind}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def cosign_pem(password: str, *, cost: int = 1 << 15, head: str = "SIGSTORE") -> bytes:
    """Return a new key as cosign writes it, with its cheapest cost."""
    import hashlib

    der = MAKERS["p256"]().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, nonce = bytes(32), bytes(24)
    secret = hashlib.scrypt(password.encode(), salt=salt, n=cost, r=8, p=1, maxmem=1 << 28, dklen=32)
    text = SecretBox(secret).encrypt(der, nonce).ciphertext
    encoded = {name: base64.b64encode(value).decode() for name, value in (("s", salt), ("n", nonce), ("t", text))}
    document = {
        "kdf": {"name": "scrypt", "params": {"N": cost, "r": 8, "p": 1}, "salt": encoded["s"]},
        "cipher": {"name": "nacl/secretbox", "nonce": encoded["n"]},
        "ciphertext": encoded["t"],
    }
    body = base64.encodebytes(json.dumps(document).encode()).decode()
    label = f"ENCRYPTED {head} PRIVATE KEY"
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


def signed(signer: KeySigner, statement: Statement = STATEMENT) -> bytes:
    """Return a bundle."""
    return anyio.run(signer.sign, statement)


@pytest.mark.parametrize("kind", ["p256", "ed25519", "rsa"])
def test_what_a_key_signs_its_public_half_verifies(kind: str, tmp_path: Path) -> None:
    """Payload and type come back, and who it was."""
    private, public = write_pair(tmp_path, kind)

    vouched = open_key_trust(public).check(read_bundle(signed(open_key(f"file:{private}", {}))))

    assert vouched is not None
    assert (vouched.payload, vouched.payload_type) == (STATEMENT.encode(), PAYLOAD_TYPE)
    assert vouched.signer == f"key {public.name}"


def test_a_kind_of_key_that_cosign_does_not_verify_is_refused(tmp_path: Path) -> None:
    """Before anything is signed that others cannot check."""
    private, public = write_pair(tmp_path, "p384")

    with pytest.raises(SignError, match="signs nothing here"):
        open_key(f"file:{private}", {})
    with pytest.raises(UsageError, match="P-256"):
        open_key_trust(public)


def test_a_bundle_has_the_form_that_cosign_writes(tmp_path: Path) -> None:
    """The key is named by the hash of its DER, and there is no log entry."""
    private, public = write_pair(tmp_path)
    document = json.loads(signed(open_key(f"file:{private}", {})))

    assert document["mediaType"] == BUNDLE_TYPE
    assert document["verificationMaterial"] == {
        "publicKey": {"hint": open_key_trust(public).hint},
        "tlogEntries": [],
    }
    assert list(document["dsseEnvelope"]["signatures"][0]) == ["sig"]


def test_another_key_says_nothing_of_a_bundle(tmp_path: Path) -> None:
    """It is not wrong, it is somebody else's."""
    (tmp_path / "other").mkdir()
    private, _ = write_pair(tmp_path)
    _, other = write_pair(tmp_path / "other")

    assert open_key_trust(other).check(read_bundle(signed(open_key(f"file:{private}", {})))) is None


@pytest.mark.parametrize("part", ["payload", "payloadType", "sig"])
def test_a_changed_bundle_is_refused(part: str, tmp_path: Path) -> None:
    """Whatever the signature covers, and the signature itself."""
    private, public = write_pair(tmp_path)
    document = json.loads(signed(open_key(f"file:{private}", {})))
    envelope = document["dsseEnvelope"]
    if part == "sig":
        envelope["signatures"][0]["sig"] = base64.b64encode(b"0" * 70).decode()
    else:
        envelope[part] = base64.b64encode(b"{}").decode() if part == "payload" else "text/plain"

    with pytest.raises(VerifyError, match="not one of the key"):
        open_key_trust(public).check(read_bundle(json.dumps(document).encode()))


def test_a_key_with_a_password(tmp_path: Path) -> None:
    """From the environment, or from the first line of a file, which wins."""
    private, _ = write_pair(tmp_path, password=CANARY)
    file = tmp_path / "password"
    file.write_text(f"{CANARY}\n")

    assert signed(open_key(f"file:{private}", {"AGC_SIGN_PASSWORD": CANARY}))
    assert signed(open_key(f"file:{private}", {"AGC_SIGN_PASSWORD": "wrong"}, password_file=file))


def test_a_key_in_a_variable(tmp_path: Path) -> None:
    """CI systems keep secrets there; its name is what is told."""
    private, _ = write_pair(tmp_path)
    signer = open_key("env:RELEASE_KEY", {"RELEASE_KEY": private.read_text()})

    assert signed(signer)
    assert signer.name == "env:RELEASE_KEY"


@pytest.mark.parametrize("head", ["SIGSTORE", "COSIGN"])
def test_a_key_that_cosign_made(head: str, tmp_path: Path) -> None:
    """Both of its headers are known."""
    file = tmp_path / "cosign.key"
    file.write_bytes(cosign_pem(CANARY, head=head))

    assert signed(open_key(f"file:{file}", {"AGC_SIGN_PASSWORD": CANARY}))


def test_a_key_that_cosign_made_with_an_empty_password(tmp_path: Path) -> None:
    """It asks for one, and takes none."""
    file = tmp_path / "cosign.key"
    file.write_bytes(cosign_pem(""))

    assert signed(open_key(f"file:{file}", {}))


def test_a_key_file_that_asks_for_much_computing_is_damaged(tmp_path: Path) -> None:
    """Only the costs that cosign writes are paid."""
    file = tmp_path / "cosign.key"
    file.write_bytes(cosign_pem(CANARY, cost=1 << 10))

    with pytest.raises(SignError, match="is damaged"):
        open_key(f"file:{file}", {"AGC_SIGN_PASSWORD": CANARY})


def unreadable(folder: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Return addresses that do not work, with an environment each; all of them hold the canary."""
    plain, _ = write_pair(folder)
    locked = folder / "locked.key"
    locked.write_bytes(write_pair(folder, "ed25519", CANARY)[0].read_bytes())
    broken = folder / "broken.key"
    broken.write_text(f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n")
    cosign = folder / "cosign.key"
    cosign.write_bytes(cosign_pem("other"))
    halved = folder / "halved.key"
    halved.write_bytes(cosign.read_bytes()[:300])
    return {
        "no file": (f"file:{folder}/absent", {}),
        "a folder": (f"file:{folder}", {}),
        "no variable": ("env:ABSENT", {"OTHER": CANARY}),
        "text": ("env:KEY", {"KEY": CANARY}),
        "broken": (f"file:{broken}", {}),
        "password missing": (f"file:{locked}", {}),
        "password wrong": (f"file:{locked}", {"AGC_SIGN_PASSWORD": f"{CANARY}!"}),
        "password for nothing": (f"file:{plain}", {"AGC_SIGN_PASSWORD": CANARY}),
        "cosign, password missing": (f"file:{cosign}", {}),
        "cosign, password wrong": (f"file:{cosign}", {"AGC_SIGN_PASSWORD": CANARY}),
        "cosign, halved": (f"file:{halved}", {"AGC_SIGN_PASSWORD": CANARY}),
        "unknown scheme": (f"pgp:{CANARY}", {}),
        "pasted": (f"-----BEGIN {CANARY}", {}),
        "pasted into a variable's place": (f"env:{CANARY}", {}),
        "pasted into a file's place": (f"file:-----BEGIN PRIVATE KEY-----\n{CANARY}", {}),
        "kms without a public key": ("awskms:alias/release", {}),
    }


CASES = (
    "no file",
    "a folder",
    "no variable",
    "text",
    "broken",
    "password missing",
    "password wrong",
    "password for nothing",
    "cosign, password missing",
    "cosign, password wrong",
    "cosign, halved",
    "unknown scheme",
    "pasted",
    "pasted into a variable's place",
    "pasted into a file's place",
    "kms without a public key",
)


@pytest.mark.parametrize("case", CASES)
def test_a_key_that_cannot_be_used_is_told_without_telling_it(case: str, tmp_path: Path) -> None:
    """The error names the place and a remedy, and nothing of key or password, nor does what it came from."""
    address, environment = unreadable(tmp_path)[case]

    with pytest.raises(AgcError) as caught:
        open_key(address, environment)

    error = caught.value
    assert isinstance(error, (SignError, UsageError))
    assert error.remedy
    assert CANARY not in f"{error} {error.remedy} {error.__cause__!r}"


def test_a_signer_shows_no_key(tmp_path: Path) -> None:
    """Its representation may end in a log."""
    private, _ = write_pair(tmp_path)

    assert "PrivateKey" not in repr(open_key(f"file:{private}", {}))


def test_the_public_half_of_another_key_is_refused(tmp_path: Path) -> None:
    """Or people would be told to verify with it."""
    private, _ = write_pair(tmp_path)
    _, other = write_pair(tmp_path, "ed25519")

    with pytest.raises(UsageError, match="not the public half"):
        open_key(f"file:{private}", {}, public=other)


def test_a_command_line_wins_over_the_settings(tmp_path: Path) -> None:
    """`--sign` says all of how it is done."""
    settings = SignSettings(key="file:a")

    assert chosen(settings) == settings
    assert chosen(settings, "none") == SignSettings()
    assert chosen(settings, "keyless") == SignSettings(keyless=True)
    assert chosen(settings, "key:env:K").key == "env:K"
    with pytest.raises(UsageError) as caught:
        chosen(settings, f"key-{CANARY}")
    assert CANARY not in str(caught.value)


def test_settings_without_key_and_identity_sign_nothing(tmp_path: Path) -> None:
    """Signing is asked for, never assumed."""
    private, _ = write_pair(tmp_path)

    assert open_signer(SignSettings(), {}) is None
    assert isinstance(open_signer(SignSettings(key=f"file:{private}"), {}), KeySigner)


def test_a_private_key_is_no_public_one(tmp_path: Path) -> None:
    """Nobody is to verify with it, or to send it around."""
    private, _ = write_pair(tmp_path)

    with pytest.raises(UsageError, match="holds no public key"):
        open_key_trust(private)


def test_trust_goes_by_the_signature_where_the_name_is_missing(tmp_path: Path) -> None:
    """The name of a key is a hint, and nothing else."""
    private, public = write_pair(tmp_path)
    document = json.loads(signed(open_key(f"file:{private}", {})))
    document["verificationMaterial"]["publicKey"]["hint"] = ""
    trust: KeyTrust = open_key_trust(public)

    assert trust.check(read_bundle(json.dumps(document).encode())) is not None
