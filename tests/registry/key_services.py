"""Who keeps keys for others, on loopback: a token of SoftHSM, and moto as a KMS."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.support import end, free_port, wait_for
from tests.tools import python_packages

# What securesystemslib[awskms,hsm] adds to what the project has anyway.
_AWS = (
    *("boto3==1.44.5", "botocore==1.44.5", "jmespath==1.1.0", "s3transfer==0.19.3"),
    *("python-dateutil==2.9.0.post0", "six==1.17.0"),
)
LIBRARIES = (*_AWS, "asn1crypto==1.5.1", "python-pkcs11==0.10.1")
MOTO = (
    *(*_AWS, "moto==5.2.5", "responses==0.26.3", "xmltodict==1.0.4"),
    *("flask==3.1.3", "flask-cors==6.0.5", "blinker==1.9.0", "itsdangerous==2.2.0", "werkzeug==3.1.9"),
)
SOFTHSM = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/lib64/libsofthsm2.so")
REGION = "eu-central-1"


def libraries() -> dict[str, str]:
    """Return the environment in which agc has the libraries of all services."""
    return {"PYTHONPATH": str(python_packages("key-services", LIBRARIES))}


def softhsm() -> str:
    """Return the library of SoftHSM."""
    for program, package in (("softhsm2-util", "softhsm2"), ("pkcs11-tool", "opensc"), ("openssl", "openssl")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} ({package}) is not installed")
    found = [path for path in SOFTHSM if Path(path).exists()]
    if not found:
        pytest.skip("the library of SoftHSM is not where distributions put it")
    return found[0]


def make_token(folder: Path, label: str) -> dict[str, str]:
    """Make an empty token of SoftHSM in a folder; return the environment of who uses it, with its PIN."""
    library, pin = softhsm(), f"{secrets.randbelow(10**12):012}"
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    environment = {"SOFTHSM2_CONF": f"{folder}/softhsm2.conf", "PYKCS11LIB": library, "AGC_SIGN_PASSWORD": pin}
    command = ["softhsm2-util", "--init-token", "--free", f"--label={label}", f"--pin={pin}", "--so-pin=99887766"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})
    return environment


@contextmanager
def run_kms(folder: Path) -> Iterator[dict[str, str]]:
    """Start a KMS; yield the environment of who uses it."""
    environment = {
        "AWS_ENDPOINT_URL_KMS": f"http://127.0.0.1:{free_port()}",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "AKIAC4N4RYC4N4RYC4N4",
        "AWS_SECRET_ACCESS_KEY": f"c4n4ry-{uuid.uuid4()}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1,localhost",
    }
    port = environment["AWS_ENDPOINT_URL_KMS"].rpartition(":")[2]
    program = Path(__file__).with_name("kms_server.py")
    variables = {**os.environ, "PYTHONPATH": str(python_packages("moto", MOTO))}
    with (folder / "kms.log").open("w") as log:
        command = [sys.executable, str(program), "-H", "127.0.0.1", "-p", port]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=variables)
        try:
            wait_for("moto", lambda: answers(environment["AWS_ENDPOINT_URL_KMS"], server))
            yield environment
        finally:
            end(server)


def make_kms_key(environment: Mapping[str, str], name: str, kind: str) -> None:
    """Make a key in the KMS under an alias, as `aws kms create-key` and `create-alias` do."""

    def ask(action: str, **arguments: str) -> Any:
        headers = {
            "X-Amz-Target": f"TrentService.{action}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 Credential=AKID/20260101/{REGION}/kms/aws4_request",
        }
        url = environment["AWS_ENDPOINT_URL_KMS"]
        answer = httpx.post(url, json=arguments, headers=headers, trust_env=False).raise_for_status()
        return answer.json() if answer.content else None

    key = ask("CreateKey", KeyUsage="SIGN_VERIFY", KeySpec=kind)["KeyMetadata"]["KeyId"]
    ask("CreateAlias", AliasName=f"alias/{name}", TargetKeyId=key)


def answers(url: str, server: subprocess.Popen[bytes]) -> bool:
    """Tell whether a server is there; fails where it has ended."""
    assert server.poll() is None, "the server has ended"
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder with a short name, as sockets and tokens need it."""
    with tempfile.TemporaryDirectory(prefix="agc-k-") as name:
        yield Path(name)
