"""Signing and trusting by key, through securesystemslib: keys in files and variables, and those that others keep.

Nothing is asked of a transparency log, so it works without a network. A signature by a key says who
made it, and not when.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from pipeline.errors import AgcError, SignError, UsageError, VerifyError
from pipeline.supply.sign.api import Vouched
from pipeline.supply.sign.bundle import Bundle, Envelope, key_bundle
from pipeline.supply.sign.key_files import key_hint, known_key, read_private_key, read_public_key
from pipeline.supply.sign.remote_keys import SCHEMES, Backend, check_address, open_remote_key
from pipeline.supply.statement import PAYLOAD_TYPE, Statement

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

_LOCAL = ("file", "env")
# No statement, so what is signed to see whether a key signs is no good to anybody.
_TRIAL = b"agc asks whether this key signs"
# Whatever else stands there may be a key that somebody pasted, which no message is to repeat.
_ADDRESS = re.compile(r"file:[^\n]{1,4096}|env:[A-Za-z_][A-Za-z0-9_]*|(?!file:|env:)[a-z]{2,10}:[^\s]{0,1024}")


@dataclass(frozen=True, slots=True)
class KeyTrust:
    """Whoever has the private half of a key; `name` is what people call it."""

    key: SSlibKey
    name: str

    @property
    def hint(self) -> str:
        """The name of the key in bundles."""
        return key_hint(self.key)

    def check(self, bundle: Bundle) -> Vouched | None:
        """Return what the key has signed, None where another key or an identity did; see `Trust`."""
        from securesystemslib.exceptions import UnverifiedSignatureError
        from securesystemslib.signer import Signature

        envelope = bundle.envelope
        try:
            self.key.verify_signature(Signature(self.key.keyid, envelope.signature.hex()), envelope.signed)
        except UnverifiedSignatureError as error:
            if bundle.hint == self.hint:
                raise VerifyError(f"the signature is not one of the key {self.name}") from error
            return None
        return Vouched(envelope.payload, envelope.payload_type, f"key {self.name}")


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs with a key that somebody keeps: this machine, a KMS, a token."""

    backend: Backend = field(repr=False)
    key: SSlibKey
    name: str

    @property
    def trust(self) -> KeyTrust:
        """Whoever has the key."""
        return KeyTrust(self.key, self.name)

    async def sign(self, statement: Statement) -> bytes:
        """Return the bundle of `statement`; raises SignError."""
        payload = statement.encode()
        signature = await self.sign_bytes(Envelope(payload, PAYLOAD_TYPE, b"").signed)
        return key_bundle(Envelope(payload, PAYLOAD_TYPE, signature), key_hint(self.key))

    async def sign_bytes(self, data: bytes) -> bytes:
        """Return the signature over `data`, which a KMS may take a while for; raises SignError."""
        return await anyio.to_thread.run_sync(self.sign_now, data)

    def sign_now(self, data: bytes) -> bytes:
        """Return the signature over `data`, which `key` verifies; raises SignError."""
        from securesystemslib.exceptions import UnverifiedSignatureError

        try:
            made = self.backend.sign(data)
            self.key.verify_signature(made, data)
        except AgcError:
            raise
        except UnverifiedSignatureError as error:
            raise SignError(
                f"{self.name} signs, and its public half is another one", remedy="correct sign.public-key"
            ) from error
        except Exception as error:  # (whatever the library finds, it is not to leave a traceback)
            raise SignError(f"{self.name} does not sign: {type(error).__name__}", remedy="check the key") from error
        return bytes.fromhex(made.signature)


def open_key(
    address: str, environment: Mapping[str, str], *, public: Path | None = None, password_file: Path | None = None
) -> KeySigner:
    """Return the signer for the key at `address`; raises SignError or UsageError.

    `file:PATH` and `env:NAME` hold a private key in PEM; `public` is the public half, which others cannot be without.
    The password is the first line of `password_file`, else AGC_SIGN_PASSWORD. A key that others keep signs once
    here, so that a wrong PIN, or the public half of another key, is told before anything is built.
    """
    from securesystemslib.signer import CryptoSigner

    if not _ADDRESS.fullmatch(address) or "PRIVATE KEY" in address:
        raise UsageError(
            "sign.key does not name a key", remedy="write where it is, as in file:release.key or env:RELEASE_KEY"
        )
    scheme = address.partition(":")[0]
    if scheme not in _LOCAL:
        return _remote(address, environment, public, password_file)
    password = find_password(environment, password_file)
    private = read_private_key(address, password.encode() if password else None, environment)
    try:
        key = known_key(private.public_key())
        backend = CryptoSigner(private, key)
    except (AttributeError, ValueError) as error:
        raise SignError(
            f"the key {address} is of a kind that signs nothing here", remedy="use ECDSA P-256, Ed25519 or RSA"
        ) from error
    if public and key_hint(read_public_key(public)) != key_hint(key):
        raise UsageError(f"{public} is not the public half of {address}", remedy="correct sign.public-key")
    return KeySigner(backend, key, address)


def find_password(environment: Mapping[str, str], file: Path | None) -> str:
    """Return the password that keys are encrypted with, or nothing; raises SignError."""
    if file is None:
        return environment.get("AGC_SIGN_PASSWORD", "")
    try:
        return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise SignError(f"{file} cannot be read", remedy="correct sign.password-file") from error


def open_key_trust(path: Path) -> KeyTrust:
    """Return the trust in a public key in PEM; raises UsageError."""
    return KeyTrust(read_public_key(path), path.name)


def _remote(address: str, environment: Mapping[str, str], public: Path | None, password_file: Path | None) -> KeySigner:
    scheme = address.partition(":")[0]
    if scheme not in SCHEMES:
        known = ", ".join(sorted({*_LOCAL, *SCHEMES}))
        raise UsageError(f"sign.key: {scheme}: is no kind of key", remedy=f"begin it with one of {known}")
    check_address(address)
    if public is None:
        raise UsageError(f"{address} needs its public half beside it", remedy="write sign.public-key = FILE.pem")
    key = read_public_key(public)
    backend = open_remote_key(address, key, environment, lambda: find_password(environment, password_file))
    signer = KeySigner(backend, key, address)
    signer.sign_now(_TRIAL)
    return signer
