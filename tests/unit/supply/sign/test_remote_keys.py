"""Keys that others keep, as far as no service is asked: addresses, kinds, missing libraries, what errors mean."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner, Signature

from pipeline.errors import AgcError, SignError, UsageError
from pipeline.supply.sign.key_errors import told
from pipeline.supply.sign.key_files import known_key, read_public_key
from pipeline.supply.sign.keys import KeySigner, open_key
from pipeline.supply.sign.remote_keys import RemoteKey, check_address
from tests.unit.supply.sign.test_keys import CANARY, MAKERS, write_pair

# Each with the extra that brings its library, and the package it is in.
SERVICES = {
    "awskms:alias/release": ("awskms", "boto3"),
    "azurekms://corp.vault.azure.net/keys/release/0a1b2c": ("azurekms", "azure-keyvault-keys"),
    "gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1": ("gcpkms", "google-cloud-kms"),
    "hsm:2?label=release%20keys": ("hsm", "python-pkcs11"),
    "hv:release/1": ("vault", "hvac"),
}


@pytest.mark.parametrize("address", SERVICES)
def test_a_key_that_others_keep_needs_its_public_half(address: str) -> None:
    """The setting that is missing is named."""
    with pytest.raises(UsageError, match="public half") as caught:
        open_key(address, {})

    assert "sign.public-key" in caught.value.remedy


@pytest.mark.parametrize("address", SERVICES)
def test_a_service_without_its_library_says_what_to_install(address: str, tmp_path: Path) -> None:
    """The libraries are large, so who needs one adds it; a token is not asked for a driver before that."""
    extra, package = SERVICES[address]
    if any(distributions(name=package)):
        pytest.skip(f"{package} is installed")
    _, public = write_pair(tmp_path)

    with pytest.raises(SignError, match="a library that is not installed") as caught:
        open_key(address, {}, public=public)

    assert caught.value.remedy == f"pip install 'agentcontainers[{extra}]'"


@pytest.mark.parametrize(
    "address",
    [
        *SERVICES,
        "hsm:",
        "hsm:2",
        "hsm:?label=a+b",
        "awskms:1234abcd-12ab-34cd-56ef-1234567890ab",
        "awskms:arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd",
    ],
)
def test_the_addresses_of_keys(address: str) -> None:
    """As each service names its keys."""
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        f"hsm:2?pin={CANARY}",
        f"hsm:2?label=release&pin-value={CANARY}",
        f"hsm:{CANARY}",
        "hsm:0a",
        f"awskms:///alias/{CANARY}",
        "awskms:",
        f"hv:{CANARY}",
        f"hv:transit/{CANARY}/1",
        f"hv://vault/{CANARY}",
        f"gcpkms://projects/{CANARY}",
        f"azurekms:{CANARY}",
        f"azurekms://me:{CANARY}@corp.vault.azure.net/keys/k/1",
    ],
)
def test_an_address_of_another_form_is_refused_and_not_repeated(address: str, tmp_path: Path) -> None:
    """Nobody is asked, and the right form is told: cosign's is another, and some write a PIN there."""
    _, public = write_pair(tmp_path)

    with pytest.raises(UsageError, match="names no key") as caught:
        open_key(address, {}, public=public)

    assert CANARY not in f"{caught.value} {caught.value.remedy}"
    assert f"{address.partition(':')[0]}:" in caught.value.remedy


@pytest.mark.parametrize(
    ("address", "kind"),
    [("hsm:2", "rsa"), ("hsm:2", "ed25519"), ("awskms:alias/a", "ed25519"), ("hv:a/1", "rsa")],
)
def test_a_kind_of_key_that_a_service_does_not_sign_with(address: str, kind: str, tmp_path: Path) -> None:
    """It is told by the public half alone."""
    _, public = write_pair(tmp_path, kind)

    with pytest.raises(SignError, match="signs here") as caught:
        open_key(address, {}, public=public)

    assert "ECDSA P-256" in caught.value.remedy


@dataclass(slots=True)
class Token:
    """A token that is confused by two sessions at once, as those are whose sessions share one login."""

    signed: int = 0
    busy: bool = False

    def sign(self, payload: bytes) -> Signature:
        """Sign for a hundredth of a second."""
        if self.busy:
            raise RuntimeError("UserAlreadyLoggedIn")
        self.busy = True
        time.sleep(0.01)
        self.busy = False
        self.signed += 1
        return Signature("id", payload.hex())


def test_a_token_is_asked_once_at_a_time() -> None:
    """Images are published side by side, each in its thread."""
    token = Token()
    key = RemoteKey("hsm:2", token)
    start = threading.Barrier(6)

    def work() -> Signature:
        start.wait()
        return key.sign(b"a")

    with ThreadPoolExecutor(6) as pool:
        made = [done.result() for done in [pool.submit(work) for _ in range(6)]]

    assert [one.signature for one in made] == ["61"] * 6
    assert token.signed == 6


def test_a_signature_that_the_public_half_does_not_verify_is_not_used(tmp_path: Path) -> None:
    """Everybody would find out but the one who published."""
    private = MAKERS["p256"]()
    own = known_key(private.public_key())
    other = read_public_key(write_pair(tmp_path)[1])
    signer = KeySigner(RemoteKey("awskms:alias/a", CryptoSigner(private, own)), other, "awskms:alias/a")

    with pytest.raises(SignError, match="its public half is another one") as caught:
        signer.sign_now(b"data")

    assert caught.value.remedy == "correct sign.public-key"


def error(name: str, *bases: type[Exception], words: str = CANARY) -> Exception:
    """Return an error as a library has it: by its name, with words that hold what was sent."""
    kind: type[Exception] = type(name, bases or (Exception,), {})
    return kind(words)


class Answer(Exception):  # noqa: N818 (botocore's is ClientError)
    """An answer of AWS, which has its code."""

    def __init__(self, code: object) -> None:
        super().__init__(CANARY)
        self.response = {"Error": {"Code": code, "Message": CANARY}}


PKCS11 = type("PKCS11Error", (RuntimeError,), {})
MEANINGS = {
    "wrong PIN": (error("PinIncorrect", PKCS11), "the PIN is wrong"),
    "no driver": (PKCS11(CANARY), "cannot be loaded"),
    "other error of a token": (error("DeviceRemoved", PKCS11), "DeviceRemoved"),
    "no token": (ValueError(f"No PKCS#11 token found for label {CANARY}"), "no such token"),
    "other words": (ValueError(CANARY), "ValueError"),
    "code of AWS": (Answer("AccessDeniedException"), "the credentials do not do"),
    "other code of AWS": (Answer("ThrottlingException"), "ThrottlingException"),
    "no code of AWS": (Answer(f"{CANARY} "), "Answer"),
    "neither": (Answer(None), "Answer"),
    "base of an error": (error("ConnectTimeout", type("ConnectionError", (OSError,), {})), "cannot be reached"),
    "unknown": (error("Surprise"), "Surprise"),
}


@pytest.mark.parametrize("case", MEANINGS)
def test_what_errors_of_services_mean(case: str) -> None:
    """Never in their own words, which may hold what was sent; always with something to do."""
    raised, words = MEANINGS[case]

    cause, remedy = told(raised)

    assert words in cause
    assert remedy
    assert CANARY not in cause + remedy


@dataclass(frozen=True, slots=True)
class Failing:
    """A service that fails."""

    found: Exception

    def sign(self, payload: bytes) -> Signature:  # noqa: ARG002
        """Fail."""
        raise self.found


def test_an_error_of_a_service_has_its_address() -> None:
    """One that is ours already passes as it is."""
    ours = SignError("hsm:2 asks for a PIN", remedy="set AGC_SIGN_PASSWORD")

    with pytest.raises(SignError, match=r"^hsm:2 does not sign: the PIN is wrong$"):
        RemoteKey("hsm:2", Failing(error("PinLenRange"))).sign(b"")
    with pytest.raises(AgcError) as caught:
        RemoteKey("hsm:2", Failing(ours)).sign(b"")
    assert caught.value is ours
