"""Signing and trusting by identity, through sigstore: the only module that imports it, and only in functions.

A certificate that lives for minutes says which CI job, or person, signed; a log entry says when. Which services give
them is the trust configuration: the public ones, or those a file names (protobuf-specs `ClientTrustConfig`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from pipeline.errors import AgcError, ResolveError, SignError, UsageError, VerifyError
from pipeline.supply.sign.api import Vouched
from pipeline.supply.sign.bundle import Bundle
from pipeline.supply.statement import Statement

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import ClientTrustConfig, TrustedRoot
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer as Session
    from sigstore.verify.policy import VerificationPolicy
    from sigstore.verify.verifier import Verifier

TOKEN_VARIABLE = "SIGSTORE_ID_TOKEN"  # noqa: S105 (its name)
_REMEDY = "run in CI with leave to ask for an identity token, or sign with a key: docs/how-to/sign.md"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who may have signed: the identity in a certificate, who vouches for it, and the repository a job ran for.

    An empty `name` or `repository` leaves that open; one of the two must be said.
    """

    issuer: str
    name: str = ""
    repository: str = ""

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.name or self.repository} of {self.issuer}"


@dataclass(frozen=True, slots=True)
class IdentityTrust:
    """An identity whose word counts, as far as the services of a trust root vouch for it."""

    identity: Identity
    verifier: Verifier = field(repr=False)

    def check(self, bundle: Bundle) -> Vouched | None:
        """Return what the identity has signed, None where a key or another identity did; see `Trust`."""
        if bundle.hint:
            return None
        from sigstore.models import Bundle as SigstoreBundle
        from sigstore.verify.policy import UnsafeNoOp

        with _as_verify_error():
            found = SigstoreBundle.from_json(bundle.data)
            # First whether the signature is good, then whose it is: a good one of somebody else is none of our concern.
            with _without_warnings():
                kind, payload = self.verifier.verify_dsse(found, UnsafeNoOp())
        if (kind, payload) != (bundle.envelope.payload_type, bundle.envelope.payload):
            raise VerifyError("a bundle means one thing to one reader and another to the next")
        if not _agrees(_policy(self.identity), found.signing_certificate):
            return None
        return Vouched(payload, kind, str(self.identity))


class IdentitySigner:
    """Signs as whom an identity token names.

    Tokens and certificates live for minutes, and a build may take longer: both are asked for when something is signed,
    and again when they have expired.
    """

    def __init__(self, tokens: Callable[[], IdentityToken], config: ClientTrustConfig) -> None:
        self._tokens = tokens
        self._config = config
        self._session: tuple[IdentityToken, Session] | None = None
        self._trust: IdentityTrust | None = None

    @property
    def trust(self) -> IdentityTrust:
        """Whom the certificate names, which may differ from the token; raises SignError where there is none to be had.

        Asks for the certificate, where none was asked for yet.
        """
        from sigstore.verify.verifier import Verifier

        if self._trust is None:
            with _as_sign_error():
                token, session = self._opened()
                # The only way to it before something is signed: the session keeps it to itself.
                identity = Identity(token.federated_issuer, _subject(session._signing_cert()))  # noqa: SLF001
                self._trust = IdentityTrust(identity, Verifier(trusted_root=self._config.trusted_root))
        return self._trust

    async def sign(self, statement: Statement) -> bytes:
        """Return the bundle of `statement`; raises SignError where a service refuses or cannot be reached."""
        return await anyio.to_thread.run_sync(self._sign, statement.encode())

    def _sign(self, payload: bytes) -> bytes:
        from sigstore._internal.fulcio import ExpiredCertificate  # what sigstore.sign raises, and gives no other name
        from sigstore.dsse import Statement as SigstoreStatement

        with _as_sign_error():
            statement = SigstoreStatement(payload)
            try:
                bundle = self._opened()[1].sign_dsse(statement)
            except ExpiredCertificate:
                self._session = None
                bundle = self._opened()[1].sign_dsse(statement)
            return bundle.to_json().encode()

    def _opened(self) -> tuple[IdentityToken, Session]:
        from sigstore.sign import Signer as Session
        from sigstore.sign import SigningContext

        if self._session is None:
            token = self._tokens()
            self._session = token, Session(token, SigningContext.from_trust_config(self._config))
        return self._session


def open_identity(environment: Mapping[str, str], trust_config: Path | None) -> IdentitySigner:
    """Return the signer for whom this CI job is; raises SignError where nobody says so, now and not after a build.

    The identity token is SIGSTORE_ID_TOKEN, else what the CI system gives the asking: GitHub, GitLab, Google Cloud,
    Buildkite.
    """
    _identity_token(environment)
    with _as_sign_error():
        config = _config(trust_config, offline=False)
    return IdentitySigner(lambda: _identity_token(environment), config)


def _identity_token(environment: Mapping[str, str]) -> IdentityToken:
    from sigstore.errors import Error
    from sigstore.oidc import ExpiredIdentity, IdentityToken, detect_credential

    try:
        token = environment.get(TOKEN_VARIABLE) or detect_credential()
        if not token:
            raise SignError("nobody says who signs: this is no CI job that has an identity", remedy=_REMEDY)
        return IdentityToken(token)
    except (Error, ExpiredIdentity) as error:
        # Their texts quote no token, but they do explain at length; the name of the error is what one can look up.
        raise SignError(f"the identity token cannot be used: {type(error).__name__}", remedy=_REMEDY) from error


def open_identity_trust(identity: Identity, trust_config: Path | None, *, offline: bool) -> IdentityTrust:
    """Return the trust in an identity; raises UsageError, or ResolveError where the public services' keys are not had.

    `trust_config` may be a whole client trust configuration or its trusted root alone. Without it the public services
    are trusted; `offline` then takes what an earlier run has fetched of their keys.
    """
    from sigstore.errors import Error
    from sigstore.verify.verifier import Verifier

    try:
        return IdentityTrust(identity, Verifier(trusted_root=_root(trust_config, offline=offline)))
    except (Error, OSError) as error:
        remedy = "check the network, or give --trust-config FILE" + (", or leave --offline out" if offline else "")
        raise ResolveError(f"Sigstore's keys cannot be had: {type(error).__name__}", remedy=remedy) from error


def _root(path: Path | None, *, offline: bool) -> TrustedRoot:
    from sigstore.models import TrustedRoot

    if path and b"clienttrustconfig" not in _read(path):
        try:
            return TrustedRoot.from_file(str(path))
        except ValueError as error:
            raise UsageError(f"{path} is no trusted root", remedy="correct --trust-config") from error
    return _config(path, offline=offline).trusted_root


def _config(path: Path | None, *, offline: bool) -> ClientTrustConfig:
    from sigstore.models import ClientTrustConfig

    if path is None:
        return ClientTrustConfig.production(offline=offline)
    try:
        return ClientTrustConfig.from_json(_read(path).decode())
    except ValueError as error:
        raise UsageError(f"{path} is no client trust configuration", remedy="correct --trust-config") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", remedy="correct --trust-config") from error


def _policy(identity: Identity) -> VerificationPolicy:
    from sigstore.verify import policy

    parts: list[Any] = [_issuer(identity.issuer)]
    if identity.name:
        parts.append(policy.Identity(identity=identity.name))
    if identity.repository:
        parts.append(policy.OIDCSourceRepositoryURI(identity.repository))
    if len(parts) == 1:
        raise UsageError("an issuer alone is everybody", remedy="name an identity or a repository too")
    return policy.AllOf(parts)


def _issuer(issuer: str) -> VerificationPolicy:
    from sigstore.verify import policy

    # The same said in the first and in the second form of certificates.
    return policy.AnyOf([policy.OIDCIssuerV2(issuer), policy.OIDCIssuer(issuer)])


def _agrees(policy: VerificationPolicy, certificate: Certificate) -> bool:
    from cryptography.x509 import ExtensionNotFound
    from sigstore.errors import VerificationError

    try:
        policy.verify(certificate)
    except (VerificationError, ExtensionNotFound, ValueError):
        return False
    return True


def _subject(certificate: Certificate) -> str:
    """Return the identity in a certificate: an address of a person, a workflow, or another program."""
    from cryptography.x509 import OtherName, RFC822Name, SubjectAlternativeName, UniformResourceIdentifier

    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    plain = [*names.get_values_for_type(UniformResourceIdentifier), *names.get_values_for_type(RFC822Name)]
    others = [one.value.decode(errors="replace") for one in names.get_values_for_type(OtherName)]
    return str([*plain, *others][0])


@contextmanager
def _as_sign_error() -> Iterator[None]:
    try:
        yield
    except AgcError:
        raise
    except Exception as error:
        # Of requests, sigstore or cryptography. Not in a service's own words: its answer may repeat the token.
        raise SignError(f"the signing services failed: {type(error).__name__}", remedy=_REMEDY) from error


@contextmanager
def _as_verify_error() -> Iterator[None]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from sigstore.errors import Error

    try:
        yield
    except (Error, ValueError, KeyError, TypeError, IndexError, UnsupportedAlgorithm, RecursionError) as error:
        words = str(error).strip().splitlines()
        raise VerifyError(
            f"a bundle of an identity is not good: {words[0] if words else type(error).__name__}"
        ) from error


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep sigstore from warning that the identity is not looked at, which comes right after."""
    logger = logging.getLogger("sigstore.verify.policy")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
