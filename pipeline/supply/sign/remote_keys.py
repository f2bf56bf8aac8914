"""Keys that others keep: a cloud's KMS, Vault, a PKCS #11 token. securesystemslib speaks to them.

Rules kept here:

- an address is looked at before anybody is asked, and one that is wrong is not repeated: it may hold a PIN;
- no message has the words of a service or its library, which may repeat what was sent: only names of errors;
- a token is asked once at a time, because all sessions of a process share one login, and never with an empty PIN,
  because it counts wrong ones and locks itself.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import AgcError, SignError, UsageError
from pipeline.supply.sign.key_errors import told

if TYPE_CHECKING:
    from securesystemslib.signer import Signature, SSlibKey


class Backend(Protocol):
    """What has a private key, or knows who has."""

    def sign(self, payload: bytes) -> Signature:
        """Return the signature over `payload`."""
        ...


@dataclass(frozen=True, slots=True)
class _Service:
    """How keys of a service are named, what its library is an extra of, and the kinds of keys it signs with."""

    form: str
    example: str
    extra: str
    kinds: tuple[str, ...]


# The kinds are those that securesystemslib knows of each; Vault's RSA is left out because it asks for PSS, which cosign
# does not verify.
_SERVICES = {
    "awskms": _Service(r"\w[\w:/-]*", "awskms:alias/NAME", "awskms", ("ecdsa", "rsa")),
    "azurekms": _Service(
        r"//[\w.-]+(:\d+)?/keys/[\w-]+/\w+", "azurekms://VAULT.vault.azure.net/keys/KEY/VERSION", "azurekms", ("ecdsa",)
    ),
    "gcpkms": _Service(
        r"projects/[^/?#]+/locations/[^/?#]+/keyRings/[^/?#]+/cryptoKeys/[^/?#]+/cryptoKeyVersions/\d+",
        "gcpkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/1",
        "gcpkms",
        ("ecdsa", "rsa"),
    ),
    "hsm": _Service(r"\d{0,9}(\?label=[^&#?]+)?", "hsm:ID or hsm:ID?label=TOKEN, ID in decimal", "hsm", ("ecdsa",)),
    "hv": _Service(r"[\w.-]+/\d+", "hv:KEY/VERSION", "vault", ("ecdsa", "ed25519")),
}
SCHEMES = tuple(_SERVICES)
_NAMES = {"ecdsa": "ECDSA P-256", "ed25519": "Ed25519", "rsa": "RSA"}


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """A key that somebody else keeps; one signature at a time."""

    address: str
    backend: Backend = field(repr=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def sign(self, payload: bytes) -> Signature:
        """Return the signature over `payload`; raises SignError."""
        with self._turn, _as_sign_error(self.address):
            return self.backend.sign(payload)


def check_address(address: str) -> None:
    """Raise UsageError where `address`, whose scheme is known, is not of the form that its service has."""
    scheme, _, rest = address.partition(":")
    service = _SERVICES[scheme]
    if not re.fullmatch(service.form, rest):
        raise UsageError(f"sign.key: what follows {scheme}: names no key", remedy=f"write {service.example}")


def open_remote_key(
    address: str, key: SSlibKey, environment: Mapping[str, str], password: Callable[[], str]
) -> RemoteKey:
    """Return the key at `address`, of which `key` is the public half; raises SignError.

    `password` gives the PIN of a token. Services find address and credentials in the environment as their own programs
    do.
    """
    from securesystemslib.exceptions import UnsupportedLibraryError
    from securesystemslib.signer import Signer

    scheme = address.partition(":")[0]
    service = _SERVICES[scheme]
    if key.keytype not in service.kinds:
        remedy = f"use a key of kind {' or '.join(_NAMES[kind] for kind in service.kinds)}"
        raise SignError(f"with {scheme}: no key of kind {_NAMES[key.keytype]} signs here", remedy=remedy)

    def pin(_: str) -> str:
        if found := password():
            return found
        raise SignError(f"{address} asks for a PIN", remedy="set AGC_SIGN_PASSWORD, or sign.password-file")

    _quieten()
    with _as_sign_error(address):
        try:
            backend: Any = Signer.from_priv_key_uri(address, key, pin)
        except UnsupportedLibraryError as error:
            remedy = f"pip install 'agentcontainers[{service.extra}]'"
            raise SignError(f"{address} needs a library that is not installed", remedy=remedy) from error
    if scheme == "hsm" and not environment.get("PYKCS11LIB"):
        remedy = "set PYKCS11LIB to the file that the token came with, as in /usr/lib/softhsm/libsofthsm2.so"
        raise SignError(f"{address}: nobody says which library speaks to the token", remedy=remedy)
    return RemoteKey(address, backend)


@contextmanager
def _as_sign_error(address: str) -> Iterator[None]:
    try:
        yield
    except AgcError:
        raise
    except Exception as error:  # (each service has its own errors, and none of them is to leave a traceback)
        cause, remedy = told(error)
        raise SignError(f"{address} does not sign: {cause}", remedy=remedy) from error


def _quieten() -> None:
    """Keep securesystemslib, which has a handler of its own, from printing what a service answers."""
    import logging

    logging.getLogger("securesystemslib").setLevel(logging.CRITICAL)
