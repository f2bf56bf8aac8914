"""What errors of services that keep keys mean, by their names alone: their libraries need not be there to tell.

Names are those of python-pkcs11's exceptions, of botocore's and the codes of AWS KMS, of hvac's, and of requests'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_CODE = re.compile(r"[A-Za-z]{1,64}")
_PIN = "correct AGC_SIGN_PASSWORD or sign.password-file; tokens lock themselves after a few wrong PINs"
_LABEL = "see what pkcs11-tool --module $PYKCS11LIB --list-token-slots says, and write hsm:ID?label=TOKEN"
_NUMBER = "see what pkcs11-tool --module $PYKCS11LIB --list-objects says; its ID 0a is hsm:10"
_ADDRESS = "check the address of the service, the network and HTTPS_PROXY"
_LEAVE = "see that the credentials are good and allow to sign with the key"
_KEY = "correct sign.key"
_UNKNOWN = "see that this machine may use the key: docs/how-to/sign.md"

_MEANINGS: Mapping[str, tuple[str, str]] = {
    "PinIncorrect": ("the PIN is wrong", _PIN),
    "PinInvalid": ("the PIN is wrong", _PIN),
    "PinLenRange": ("the PIN is wrong", _PIN),
    "PinLocked": ("the token is locked, after too many wrong PINs", "unlock it with the PIN of its security officer"),
    "PKCS11Error": ("the library that PYKCS11LIB names cannot be loaded", "correct PYKCS11LIB"),
    "NoRegionError": ("no region is set", "set AWS_DEFAULT_REGION"),
    "NoCredentialsError": (
        "there are no credentials",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    ),
    "NotFoundException": ("there is no such key", _KEY),
    "AccessDeniedException": ("the credentials do not do", _LEAVE),
    "UnrecognizedClientException": ("the credentials do not do", _LEAVE),
    "InvalidSignatureException": ("the credentials do not do", _LEAVE),
    "ExpiredTokenException": ("the credentials have expired", _LEAVE),
    "DisabledException": ("the key is disabled", "enable it"),
    "InvalidKeyUsageException": ("the key is of another kind than sign.public-key", "correct sign.public-key"),
    "ValidationException": (
        "the service refuses what it is asked",
        "see that sign.public-key is of the kind of the key",
    ),
    "InvalidPath": ("there is no such key in Vault's engine transit/", _KEY),
    "InvalidRequest": ("there is no such key in Vault's engine transit/, or not in this version", _KEY),
    "Forbidden": ("the token does not do", "see that VAULT_TOKEN is good, and may update transit/sign/KEY"),
    "Unauthorized": ("the token does not do", "see that VAULT_TOKEN is good, and may update transit/sign/KEY"),
    "VaultDown": ("Vault is sealed or not ready", "unseal it"),
    "SSLError": ("the certificate of the service is not trusted", "name its CA in VAULT_CACERT or AWS_CA_BUNDLE"),
    "EndpointConnectionError": ("the service cannot be reached", _ADDRESS),
    "ConnectionError": ("the service cannot be reached", _ADDRESS),
    "HTTPClientError": ("the service cannot be reached", _ADDRESS),
    "Timeout": ("the service does not answer", _ADDRESS),
}
# securesystemslib tells these apart by words alone.
_BEGINNINGS: Mapping[str, tuple[str, str]] = {
    "No PKCS#11 token": ("there is no such token", _LABEL),
    "Multiple PKCS#11 tokens": ("there are several such tokens", _LABEL),
    "could not find ECDSA": ("the token has no EC key of this number", _NUMBER),
    "found multiple ECDSA": ("the token has several EC keys of this number", _NUMBER),
}


def told(error: Exception) -> tuple[str, str]:
    """Return what an error means and what to do then; the name of one that is not known."""
    names = _names(error)
    for name in names:
        if name in _MEANINGS:
            return _MEANINGS[name]
    words = str(error) if isinstance(error, ValueError) else ""
    known = (meaning for beginning, meaning in _BEGINNINGS.items() if words.startswith(beginning))
    return next(known, (names[0], _UNKNOWN))


def _names(error: Exception) -> list[str]:
    """Return the code of an answer of AWS, then the error's own names; PKCS11Error is also the base of better ones."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, Mapping) else None
    own, *bases = (one.__name__ for one in type(error).__mro__)
    codes = [code] if isinstance(code, str) and _CODE.fullmatch(code) else []
    return [*codes, own, *(name for name in bases if name != "PKCS11Error")]
