"""Keys in files and variables: PEM as OpenSSL writes it (PKCS #8, SEC 1, SubjectPublicKeyInfo), and as cosign does.

cosign's form is that of secure-systems-lab/go-securesystemslib `encrypted`: scrypt (RFC 7914) for the password, NaCl's
secretbox for the key, both told in JSON inside the PEM. No message here repeats anything of a key or password.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import SignError, UsageError
from pipeline.supply.strict_json import parse_object

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from securesystemslib.signer import SSlibKey

_COSIGN = ("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----", "-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----")
_COSTS = {(1 << power, 8, 1) for power in (15, 16, 17)}  # those it writes; others would make us compute at will
_LIMIT = 1 << 20
_PASSWORD_REMEDY = "set AGC_SIGN_PASSWORD, or sign.password-file"  # noqa: S105 (where one is said, not one)


def read_private_key(address: str, password: bytes | None, environment: Mapping[str, str]) -> PrivateKeyTypes:
    """Return the private key at `file:PATH` or `env:NAME`; raises SignError."""
    scheme, _, rest = address.partition(":")
    pem = _variable(rest, environment) if scheme == "env" else _file(Path(rest).expanduser())
    if pem.lstrip().startswith(tuple(head.encode() for head in _COSIGN)):
        return _load(_cosign_key(pem, password, address), None, address)
    return _load(pem, password, address)


def read_public_key(path: Path) -> SSlibKey:
    """Return the public key in a PEM file; raises UsageError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        return known_key(load_pem_public_key(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", remedy="name the file of a public key") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        remedy = "openssl pkey -in KEY -pubout, or cosign public-key --key KEY"
        raise UsageError(
            f"{path} holds no public key that can be used (ECDSA P-256, Ed25519, RSA)", remedy=remedy
        ) from error


def known_key(key: Any) -> SSlibKey:
    """Return a public key with the one scheme in which cosign verifies it; raises ValueError for other kinds.

    cosign 3.1 hashes with SHA-256 whatever the curve, so it refuses what others sign with P-384 and P-521.
    """
    from securesystemslib.signer import SSlibKey

    found = SSlibKey.from_crypto(key)
    if found.keytype == "rsa":
        return SSlibKey.from_crypto(key, scheme="rsa-pkcs1v15-sha256")
    if found.scheme not in {"ecdsa-sha2-nistp256", "ed25519"}:
        raise ValueError(found.scheme)
    return found


def key_hint(key: SSlibKey) -> str:
    """Return the name of a key in bundles: base64 of the SHA-256 of its DER, as cosign writes it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    public = key.keyval["public"]
    loaded = (
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        if key.keytype == "ed25519"
        else load_pem_public_key(public.encode())
    )
    der = loaded.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def public_pem(key: SSlibKey) -> bytes:
    """Return a public key as the PEM that verifiers read."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if key.keytype != "ed25519":
        return str(key.keyval["public"]).encode()
    loaded = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"]))
    return loaded.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _variable(name: str, environment: Mapping[str, str]) -> bytes:
    if not environment.get(name):
        raise SignError(f"the variable {name} holds no key", remedy=f"put the PEM of a private key into {name}")
    return environment[name].encode()


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LIMIT)
    except OSError as error:
        raise SignError(f"{path}: {error.strerror}", remedy="name the file of a private key in sign.key") from error


def _load(data: bytes, password: bytes | None, address: str) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    load = load_pem_private_key if data.lstrip().startswith(b"-----BEGIN") else load_der_private_key
    # From None: what the library quotes of a key it cannot read is nobody's business.
    try:
        return load(data, password)
    except TypeError:  # one without the other
        words = "is not encrypted, and a password is set" if password else "is encrypted"
        remedy = "take the password away" if password else _PASSWORD_REMEDY
        raise SignError(f"the key {address} {words}", remedy=remedy) from None
    except (ValueError, UnsupportedAlgorithm):
        words = "cannot be read with this password" if password else "is no private key in PEM"
        raise SignError(f"the key {address} {words}", remedy="openssl genpkey, or cosign generate-key-pair") from None


def _cosign_key(pem: bytes, password: bytes | None, address: str) -> bytes:
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    try:
        body = b"".join(line for line in pem.split(b"\n") if line.strip() and not line.startswith(b"-----"))
        document = parse_object(base64.b64decode(body))
        kdf, cipher = document["kdf"], document["cipher"]
        cost = tuple(kdf["params"][name] for name in ("N", "r", "p"))
        _require_known(kdf["name"], cipher["name"], cost)
        salt, nonce, text = (base64.b64decode(one) for one in (kdf["salt"], cipher["nonce"], document["ciphertext"]))
        # cosign takes an empty password as one.
        secret = hashlib.scrypt(password or b"", salt=salt, n=cost[0], r=cost[1], p=cost[2], maxmem=1 << 28, dklen=32)
    except (KeyError, TypeError, ValueError):
        raise SignError(f"the key {address} is damaged", remedy="cosign generate-key-pair") from None
    try:
        return SecretBox(secret).decrypt(text, nonce)
    except (CryptoError, ValueError):
        words = "cannot be read with this password" if password else "is encrypted"
        raise SignError(f"the key {address} {words}", remedy=_PASSWORD_REMEDY) from None


def _require_known(kdf: object, cipher: object, cost: tuple[object, ...]) -> None:
    if kdf != "scrypt" or cipher != "nacl/secretbox" or cost not in _COSTS:
        raise ValueError("an encryption that cosign does not write")
