"""How a `tcp://` host is spoken to: buildctl's options, and what is wrong with files before anything is sent."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from pipeline.engine.buildkit.client import BuildKit
from pipeline.engine.buildkit.tls import Tls, _refusal, check_conversation, tls_of
from pipeline.errors import EngineError
from pipeline.settings import EngineSettings

FILES = {"tls-ca": "/ca.pem", "tls-cert": "/c.pem", "tls-key": "/c.key", "tls-server-name": "builder"}
ADDRESS = "tcp://host.example:1234"


def test_the_options_are_those_of_buildctl() -> None:
    """What is not set is not said."""
    tls = tls_of(EngineSettings.model_validate({"host": ADDRESS, **FILES}))

    assert BuildKit(ADDRESS, Path("/buildctl"), tls=tls).command("du") == [
        *("/buildctl", f"--addr={ADDRESS}", "--tlscacert=/ca.pem", "--tlscert=/c.pem", "--tlskey=/c.key"),
        *("--tlsservername=builder", "du"),
    ]
    assert BuildKit(ADDRESS, Path("/buildctl")).command("du") == ["/buildctl", f"--addr={ADDRESS}", "du"]


@pytest.mark.parametrize(
    "host", ["", "unix:///run/b.sock", "docker-container://b", "podman-container://b", "kube-pod://b", "ssh://b"]
)
def test_other_hosts_are_spoken_to_without_it(host: str) -> None:
    """They have their own ways to be safe, and buildctl would refuse."""
    assert not tls_of(EngineSettings.model_validate({"host": host, **FILES}))


@pytest.mark.parametrize(
    ("reason", "tls", "message"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", Tls(ca=Path("/ca")), "asks for a certificate, and none is set"),
        ("TLSV1_ALERT_UNKNOWN_CA", Tls(cert=Path("/c")), "does not accept the certificate /c"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", Tls(cert=Path("/c")), "does not accept the certificate /c"),
        ("WRONG_VERSION_NUMBER", Tls(ca=Path("/ca")), "does not speak TLS"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", Tls(ca=Path("/ca")), "TLSV1_ALERT_PROTOCOL_VERSION"),
    ],
)
def test_what_openssl_says_becomes_words(reason: str, tls: Tls, message: str) -> None:
    """Only what is not known is passed on as it is."""
    error = ssl.SSLError(1, reason)
    error.reason = reason

    assert message in _refusal(error, ADDRESS, tls).message


@pytest.mark.parametrize(
    ("answer", "message"), [(b"\x15\x03\x01", "wants TLS, and none is set"), (b"", "is no BuildKit, or wants TLS")]
)
def test_a_server_that_wants_tls_is_known_by_its_answer(answer: bytes, message: str) -> None:
    """An alert, or a closed connection, comes in place of HTTP/2."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(answer)
        there.shutdown(socket.SHUT_WR)

        with pytest.raises(EngineError, match=message):
            check_conversation(here, "host.example", ADDRESS, Tls())


def test_a_server_that_answers_in_http2_is_taken(tmp_path: Path) -> None:
    """Its first frame is enough."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(bytes(9))

        check_conversation(here, "host.example", ADDRESS, Tls())


@pytest.mark.parametrize(
    ("name", "content", "message"), [("gone.pem", None, "No such file"), ("empty.pem", b"", "no certificates in PEM")]
)
def test_a_file_at_fault_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    """With what is wrong with it."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    here, there = socket.socketpair()
    with here, there, pytest.raises(EngineError, match=f"{name}: {message}"):
        check_conversation(here, "host.example", ADDRESS, Tls(ca=path))
