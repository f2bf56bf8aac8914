"""A private Sigstore on loopback: real Fulcio, real Rekor v2, a real timestamp authority.

Two parts are stand-ins, because the real ones cannot be had from where tests run: the identity provider, which is a CI
system elsewhere, and the certificate log. Both sign for real, with keys made for the run; the log keeps no tree, so its
promise that a certificate is logged is empty.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import RSAAlgorithm

from tests.engine.support import end, free_port
from tests.tools import go_tool

MODULES = {
    "fulcio": "github.com/sigstore/fulcio@v1.8.8",
    "rekor-server-posix": "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix@v2.3.0",
    "timestamp-server": "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server@v2.1.3",
}
ORIGIN = "127.0.0.1"
POISON = bytes.fromhex("3013060a2b06010401d67902040301" + "01ff04020500")  # RFC 6962, 3.1: the whole extension
REPOSITORY = "https://github.com/me/agents"
WORKFLOW = f"{REPOSITORY}/.github/workflows/publish.yml@refs/heads/main"


def obtain(name: str) -> Path:
    """Return one of the servers."""
    return go_tool(name, MODULES[name], asked_for="AGC_TEST_TOOLS")


@dataclass(frozen=True, slots=True)
class Sigstore:
    """The services: their trust configuration, and who gives identity tokens."""

    folder: Path
    issuer: str
    key: rsa.RSAPrivateKey

    @property
    def trust_config(self) -> Path:
        """The services and their keys."""
        return self.folder / "trust-config.json"

    @property
    def trusted_root(self) -> Path:
        """Their keys alone."""
        return self.folder / "trusted-root.json"

    def token(self, workflow: str = "publish.yml", audience: str = "sigstore") -> str:
        """Return the identity token of a job of a workflow, with what GitHub would say of it."""
        now = datetime.now(UTC)
        told = {
            "job_workflow_ref": f"me/agents/.github/workflows/{workflow}@refs/heads/main",
            "workflow_ref": f"me/agents/.github/workflows/{workflow}@refs/heads/main",
            "workflow": "publish",
            "event_name": "push",
            "repository": "me/agents",
            "repository_owner": "me",
            "ref": "refs/heads/main",
            "runner_environment": "github-hosted",
            "repository_visibility": "public",
            **dict.fromkeys(("sha", "job_workflow_sha", "workflow_sha"), "1f" * 20),
            **dict.fromkeys(("repository_id", "repository_owner_id", "run_id", "run_attempt"), "1"),
        }
        times = {"iat": now, "nbf": now, "exp": now + timedelta(minutes=10)}
        claims = {**told, **times, "iss": self.issuer, "aud": audience, "sub": "repo:me/agents:ref:refs/heads/main"}
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": "test"})


class _StandIns(BaseHTTPRequestHandler):
    """Answers as an identity provider, and as a certificate log of RFC 6962."""

    documents: Mapping[str, Any] = {}
    log_key: ec.EllipticCurvePrivateKey

    def do_GET(self) -> None:
        """Answer with one of the provider's documents."""
        self._answer(self.documents.get(self.path))

    def do_POST(self) -> None:
        """Answer `add-pre-chain` with the promise that the certificate will be logged."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        certificate, issuer, *_ = [x509.load_der_x509_certificate(base64.b64decode(one)) for one in body["chain"]]
        stamp = int(time.time() * 1000)
        content = _without_poison(certificate.tbs_certificate_bytes)
        entry = b"\x00\x00" + stamp.to_bytes(8, "big") + b"\x00\x01" + _key_id(issuer.public_key())
        signed = entry + len(content).to_bytes(3, "big") + content + b"\x00\x00"
        signature = self.log_key.sign(signed, ec.ECDSA(hashes.SHA256()))
        wrapped = b"\x04\x03" + len(signature).to_bytes(2, "big") + signature
        self._answer(
            {
                "sct_version": 0,
                "id": base64.b64encode(_key_id(self.log_key.public_key())).decode(),
                "timestamp": stamp,
                "extensions": "",
                "signature": base64.b64encode(wrapped).decode(),
            }
        )

    def _answer(self, document: Any) -> None:
        content = json.dumps(document).encode()
        self.send_response(200 if document else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Say nothing."""


def _without_poison(certificate: bytes) -> bytes:
    """Return the DER of what is to be certified without the extension that keeps a pre-certificate from being used."""
    fields = list(_elements(_content(certificate)))
    extensions = _content(_content(fields[-1]))
    assert POISON in extensions
    return _wrapped(0x30, b"".join(fields[:-1]) + _wrapped(0xA3, _wrapped(0x30, extensions.replace(POISON, b""))))


def _elements(content: bytes) -> Iterator[bytes]:
    while content:
        start, size = _measured(content)
        yield content[: start + size]
        content = content[start + size :]


def _content(element: bytes) -> bytes:
    start, size = _measured(element)
    return element[start : start + size]


def _measured(element: bytes) -> tuple[int, int]:
    """Return where the content of the first element begins, and its length."""
    if element[1] < 0x80:
        return 2, element[1]
    start = 2 + (element[1] & 0x7F)
    return start, int.from_bytes(element[2:start], "big")


def _wrapped(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _der(key: Any) -> bytes:
    content: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return content


def _key_id(key: Any) -> bytes:
    return hashlib.sha256(_der(key)).digest()


def _pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@contextmanager
def _stand_ins(issuer_key: rsa.RSAPrivateKey, log_key: ec.EllipticCurvePrivateKey) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _StandIns)
    address = f"http://127.0.0.1:{server.server_port}"
    public = {**json.loads(RSAAlgorithm.to_jwk(issuer_key.public_key())), "kid": "test", "use": "sig", "alg": "RS256"}
    algorithms = {"id_token_signing_alg_values_supported": ["RS256"]}
    _StandIns.log_key = log_key
    _StandIns.documents = {
        "/.well-known/openid-configuration": {"issuer": address, "jwks_uri": f"{address}/keys", **algorithms},
        "/keys": {"keys": [public]},
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _server(command: list[str | Path], folder: Path, health: str) -> Iterator[None]:
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={"HOME": str(folder), "PATH": "/usr/bin:/bin"}, cwd=folder
        )
        try:
            _wait(process, health, log)
            yield
        finally:
            end(process)


def _wait(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            if httpx.get(health, timeout=2, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"no answer at {health}: {log.read_text()[-2000:]}")


def _rekor_id(key: ed25519.Ed25519PrivateKey) -> bytes:
    """Return the identity of a log: its name and key, as C2SP `signed-note` hashes them."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(f"{ORIGIN}\n".encode() + b"\x01" + raw).digest()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _authority(chain: list[x509.Certificate], start: str) -> dict[str, Any]:
    certificates = [{"rawBytes": _text(one.public_bytes(Encoding.DER))} for one in chain]
    return {
        "subject": {"organization": "test", "commonName": "test"},
        "certChain": {"certificates": certificates},
        "validFor": {"start": start},
    }


def _log(address: str, key: Any, details: str, identity: bytes, start: str) -> dict[str, Any]:
    return {
        "baseUrl": address,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": _text(_der(key)), "keyDetails": details, "validFor": {"start": start}},
        "logId": {"keyId": _text(identity)},
    }


@contextmanager
def private_sigstore(folder: Path) -> Iterator[Sigstore]:
    """Start all of it, and write its trust configuration below `folder`."""
    programs = {name: obtain(name) for name in MODULES}
    issuer_key = rsa.generate_private_key(65537, 2048)
    log_key = ec.generate_private_key(ec.SECP256R1())
    rekor_key = ed25519.Ed25519PrivateKey.generate()
    (folder / "rekor.pem").write_bytes(_pem(rekor_key))
    ports = {
        name: str(free_port()) for name in ("ca", "ca-grpc", "ca-metrics", "log", "log-grpc", "log-metrics", "tsa")
    }
    ca, log, tsa = (f"http://127.0.0.1:{ports[name]}" for name in ("ca", "log", "tsa"))
    with ExitStack() as stack:
        issuer = stack.enter_context(_stand_ins(issuer_key, log_key))
        known = {"IssuerURL": issuer, "ClientID": "sigstore", "Type": "github-workflow"}
        (folder / "fulcio.json").write_text(json.dumps({"OIDCIssuers": {issuer: known}}))
        fulcio: list[str | Path] = [
            *(programs["fulcio"], "serve", "--ca=ephemeralca", f"--ct-log-url={issuer}/log"),
            *(f"--config-path={folder}/fulcio.json", "--host=127.0.0.1", f"--port={ports['ca']}"),
            *("--grpc-host=127.0.0.1", f"--grpc-port={ports['ca-grpc']}", f"--metrics-port={ports['ca-metrics']}"),
            f"--legacy-unix-domain-socket={folder}/fulcio.sock",
        ]
        rekor: list[str | Path] = [
            *(programs["rekor-server-posix"], "serve", f"--http-port={ports['log']}", f"--hostname={ORIGIN}"),
            *(f"--grpc-port={ports['log-grpc']}", f"--http-metrics-port={ports['log-metrics']}"),
            *(f"--storage-dir={folder}/log", f"--signer-filepath={folder}/rekor.pem"),
            *("--checkpoint-interval=500ms", "--batch-max-age=100ms"),
        ]
        clock: list[str | Path] = [
            *(programs["timestamp-server"], "serve", "--host=127.0.0.1", f"--port={ports['tsa']}"),
            *("--timestamp-signer=memory", "--disable-ntp-monitoring"),
        ]
        (folder / "log").mkdir()
        stack.enter_context(_server(fulcio, folder, f"{ca}/healthz"))
        stack.enter_context(_server(rekor, folder, f"{log}/healthz"))
        stack.enter_context(_server(clock, folder, f"{tsa}/ping"))
        start = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        bundle = httpx.get(f"{ca}/api/v2/trustBundle", trust_env=False).json()["chains"][0]["certificates"]
        clock_chain = httpx.get(f"{tsa}/api/v1/timestamp/certchain", trust_env=False).content
        root = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log(log, rekor_key.public_key(), "PKIX_ED25519", _rekor_id(rekor_key), start)],
            "certificateAuthorities": [
                _authority([x509.load_pem_x509_certificate(one.encode()) for one in bundle], start)
            ],
            "ctlogs": [
                _log(issuer, log_key.public_key(), "PKIX_ECDSA_P256_SHA_256", _key_id(log_key.public_key()), start)
            ],
            "timestampAuthorities": [_authority(x509.load_pem_x509_certificates(clock_chain), start)],
        }
        config = {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": root,
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [_service(ca, 1, start)],
                "rekorTlogUrls": [_service(log, 2, start)],
                "tsaUrls": [_service(f"{tsa}/api/v1/timestamp", 1, start)],
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaConfig": {"selector": "ANY"},
            },
        }
        made = Sigstore(folder, issuer, issuer_key)
        made.trusted_root.write_text(json.dumps(root))
        made.trust_config.write_text(json.dumps(config))
        yield made


def _service(address: str, version: int, start: str) -> dict[str, Any]:
    return {"url": address, "majorApiVersion": version, "validFor": {"start": start}, "operator": "test"}
