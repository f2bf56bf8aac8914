"""Speak TLS to a BuildKit at `tcp://`, and say what is wrong where that fails: buildctl only says that it did.

The check is the beginning of the conversation buildctl will have: connect, shake hands, open HTTP/2, read one byte.
With TLS 1.3 a server refuses a client's certificate only after the handshake, so the byte is needed.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import EngineError
from pipeline.settings import EngineSettings

# The client's connection preface and an empty SETTINGS frame (RFC 9113, 3.4).
_OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_TLS_ALERT = b"\x15"
_REFUSED_CERTIFICATE = ("ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_CERTIFICATE", "CERTIFICATE_REQUIRED")
_SETTINGS_REMEDY = "check [engine] tls-ca, tls-cert, tls-key and tls-server-name in agc.toml, or AGC_TLS_*"


@dataclass(frozen=True, slots=True)
class Tls:
    """The files and the name that `tcp://` is spoken to with; empty for plain TCP."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str = ""

    def __bool__(self) -> bool:
        """Tell whether TLS is spoken."""
        return self != Tls()

    def arguments(self) -> tuple[str, ...]:
        """Return buildctl's options."""
        named = (
            ("tlscacert", self.ca),
            ("tlscert", self.cert),
            ("tlskey", self.key),
            ("tlsservername", self.server_name),
        )
        return tuple(f"--{option}={value}" for option, value in named if value)


def tls_of(settings: EngineSettings) -> Tls:
    """Return how the configured host is spoken to; only `tcp://` is spoken to with TLS."""
    if not settings.host.startswith("tcp://"):
        return Tls()
    return Tls(settings.tls_ca, settings.tls_cert, settings.tls_key, settings.tls_server_name)


def check_conversation(connection: socket.socket, host: str, address: str, tls: Tls) -> None:
    """Raise EngineError where no BuildKit conversation comes about on `connection`, which is open."""
    if tls:
        _check_encrypted(connection, host, address, tls)
    else:
        _check_plain(connection, address)


def _check_plain(connection: socket.socket, address: str) -> None:
    connection.sendall(_OPENING)
    answer = connection.recv(1)
    if answer == _TLS_ALERT:
        raise EngineError(
            f"the BuildKit at {address} wants TLS, and none is set",
            remedy="set [engine] tls-ca, and tls-cert and tls-key where it asks for a certificate, or AGC_TLS_*",
        )
    if not answer:
        raise EngineError(f"{address} hung up: it is no BuildKit, or wants TLS", remedy=_SETTINGS_REMEDY)


def _check_encrypted(connection: socket.socket, host: str, address: str, tls: Tls) -> None:
    context = _context(tls)
    try:
        with context.wrap_socket(connection, server_hostname=tls.server_name or host) as encrypted:
            encrypted.sendall(_OPENING)
            answer = encrypted.recv(1)
    except ssl.SSLCertVerificationError as error:
        raise EngineError(
            f"the certificate of the BuildKit at {address} is not trusted: {error.verify_message}",
            remedy=_SETTINGS_REMEDY,
        ) from error
    except ssl.SSLError as error:
        raise _refusal(error, address, tls) from error
    except TimeoutError as error:
        raise EngineError(f"{address} does not answer in TLS", remedy=_SETTINGS_REMEDY) from error
    if not answer:
        raise EngineError(f"the BuildKit at {address} hung up after the TLS handshake", remedy=_SETTINGS_REMEDY)


def _refusal(error: ssl.SSLError, address: str, tls: Tls) -> EngineError:
    reason = error.reason or ""
    if any(word in reason for word in _REFUSED_CERTIFICATE):
        what = f"does not accept the certificate {tls.cert}" if tls.cert else "asks for a certificate, and none is set"
        return EngineError(
            f"the BuildKit at {address} {what}",
            remedy="set [engine] tls-cert and tls-key, or AGC_TLS_CERT and AGC_TLS_KEY, to a pair that its CA signed",
        )
    if reason in {"WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING"}:
        return EngineError(f"{address} does not speak TLS, and tls-* is set", remedy=_SETTINGS_REMEDY)
    return EngineError(f"no TLS with the BuildKit at {address}: {reason or error}", remedy=_SETTINGS_REMEDY)


def _context(tls: Tls) -> ssl.SSLContext:
    """Return what to shake hands with; raises EngineError that names the file at fault."""
    for file in filter(None, (tls.ca, tls.cert, tls.key)):
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            raise EngineError(f"{file}: {error.strerror}", remedy=_SETTINGS_REMEDY) from error
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (ssl.SSLError, ValueError) as error:
        raise EngineError(f"{tls.ca}: no certificates in PEM", remedy=_SETTINGS_REMEDY) from error
    context.set_alpn_protocols(["h2"])
    if tls.cert and tls.key:
        try:
            # The password keeps OpenSSL from asking the terminal for one: an encrypted key is no use to buildctl.
            context.load_cert_chain(tls.cert, tls.key, password="")
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            mismatch = reason == "KEY_VALUES_MISMATCH"
            told = "are no pair: the key is of another certificate" if mismatch else f"cannot be used: {reason}"
            raise EngineError(f"{tls.cert} and {tls.key} {told}", remedy=_SETTINGS_REMEDY) from error
    return context
