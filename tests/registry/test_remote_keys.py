"""`agc publish` with keys that others keep, as docs/how-to/sign.md has it: cosign verifies it, no secret is told."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.errors import ExitCode
from tests.docker.cosign import Cosign, obtain_cosign
from tests.engine.small import small_project
from tests.engine.support import CHECKOUT, NOWHERE, Agc, write_files
from tests.registry import key_services as services
from tests.registry.server import Registry
from tests.registry.test_cli import watched_arguments
from tests.registry.test_evidence import record
from tests.unit.supply.sign.test_keys import write_pair
from tests.unit.verify.vulnerabilities.samples import write_database

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1900)]

_SECTIONS = re.compile(r"^### ", re.MULTILINE)
_TESTED = re.compile(r"^<!-- run by tests/registry -->\n```(sh|toml)\n(.*?)\n```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Key:
    """A key in a service as a project uses it: its settings, the environment, and what nobody is to be told."""

    settings: str
    environment: Mapping[str, str | None]
    secrets: tuple[str, ...]

    def given(self, **environment: str | None) -> Key:
        """Return it with a changed environment, in which a canary is no longer what it was."""
        changed = tuple(value for value in environment.values() if value)
        return replace(self, environment={**self.environment, **environment}, secrets=(*self.secrets, *changed))


def told(section: str) -> tuple[str, str]:
    """Return the commands and the settings that a section of the page has people copy."""
    page = (CHECKOUT / "docs/how-to/sign.md").read_text(encoding="utf-8")
    (text,) = (part for part in _SECTIONS.split(page) if part.startswith(f"{section}\n"))
    blocks = dict(_TESTED.findall(text))
    assert len(blocks) == len(_TESTED.findall(text)) == 2, "one block of shell, one of settings"
    return blocks["sh"], blocks["toml"]


def copied(section: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run the commands of a section in a folder; return its settings."""
    commands, settings = told(section)
    path = os.pathsep.join([str(obtain_cosign().parent), os.environ["PATH"]])
    kept = {"PATH": path, "HOME": str(folder), **environment}
    done = subprocess.run(
        ["sh", "-euc", commands], cwd=folder, env=kept, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return settings.replace('"release.pub"', f'"{folder}/release.pub"')


@pytest.fixture(scope="module")
def libraries() -> dict[str, str]:
    """Return the environment in which agc has the libraries of all services."""
    return services.libraries()


@pytest.fixture(scope="module")
def token(libraries: dict[str, str]) -> Iterator[Key]:
    """Return a key on a token."""
    with services.folder() as folder:
        environment = services.make_token(folder, "release")
        settings = copied("A token", folder, environment)
        yield Key(settings, {**libraries, **environment}, (environment["AGC_SIGN_PASSWORD"],))


@pytest.fixture(scope="module")
def kms(libraries: dict[str, str]) -> Iterator[Key]:
    """Return a key of a KMS."""
    with services.folder() as folder, services.run_kms(folder) as environment:
        services.make_kms_key(environment, "release", "ECC_NIST_P256")
        settings = copied("AWS KMS", folder, environment)
        yield Key(settings, {**libraries, **environment}, (environment["AWS_SECRET_ACCESS_KEY"],))


@pytest.fixture
def kms_rsa(kms: Key, tmp_path: Path) -> Key:
    """Return an RSA key of the same KMS."""
    environment = {name: value for name, value in kms.environment.items() if value}
    services.make_kms_key(environment, "rsa", "RSA_2048")
    return replace(kms, settings=exported("awskms:alias/rsa", "awskms:///alias/rsa", tmp_path, environment))


def exported(address: str, of_cosign: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Have cosign fetch the public half of a key; return the settings to use it."""
    command = [str(obtain_cosign()), "public-key", f"--key={of_cosign}", f"--outfile={folder}/release.pub"]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": os.environ["PATH"], **environment})
    return f'[sign]\nkey = "{address}"\npublic-key = "{folder}/release.pub"\n'


@pytest.fixture
def key(request: pytest.FixtureRequest) -> Key:
    """Return the key that a test is run with."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Key)
    return found


def make_project(folder: Path, settings: str) -> Path:
    """Write a project of one small image, in which nothing is wrong, that is signed so."""
    small_project(folder)
    write_database(folder / "osv", {"Debian": [record("no-such-package")]})
    write_files(folder, {"agc.toml": f'[gate]\nosv = "osv"\n{settings}'})
    return folder


def public_half(settings: str) -> Path:
    """Return the file that settings name as the public half."""
    return Path(settings.partition('public-key = "')[2].partition('"')[0])


@pytest.mark.parametrize("key", ["token", "kms", "kms_rsa"], indirect=True)
def test_what_a_key_that_others_keep_signs_is_verified_by_others(
    key: Key, agc: Agc, registry: Registry, tmp_path: Path
) -> None:
    """The image and its attestations, by cosign and by us; the secret is in no argument, message or record."""
    project = make_project(tmp_path / "project", key.settings)
    cosign, public = Cosign(obtain_cosign(), tmp_path), public_half(key.settings)

    with watched_arguments() as seen:
        run = agc.given(**key.environment)(
            *("publish", "small", "--to", f"{registry.address}/ns", "--json"), project=project
        )
    assert run.code == 0, run.stderr
    name = f"{registry.address}/ns/small"
    known = json.loads((project / "registry/catalog.json").read_text())["images"]["small"]
    (platform,) = known["platforms"].values()
    verified = agc("verify", f"{name}:latest", "--key", str(public), "--json", project=project)

    assert (verified.code, verified.json["verified"]) == (0, True), verified.stdout
    assert cosign.verifies(f"{name}:latest", public)
    for kind in ("slsaprovenance1", "spdxjson", "cyclonedx", "vuln"):
        assert cosign.attests(f"{name}@{platform['digest']}", public, kind), kind
    texts = [run.stdout, run.stderr, *seen, *(path.read_text() for path in project.rglob("*.json"))]
    assert not [secret for secret in key.secrets for text in texts if secret in text]


CANARY = f"c4n4ry-{secrets.token_hex(8)}"
ELSEWHERE = "http://127.0.0.1:1"


def environment(**changes: str | None) -> Callable[[Key, Path], Key]:
    """Return a change of the environment."""
    return lambda key, _: key.given(**changes)


def address(old: str, new: str) -> Callable[[Key, Path], Key]:
    """Return a change of the address."""
    return lambda key, _: replace(key, settings=key.settings.replace(old, new))


def half(kind: str) -> Callable[[Key, Path], Key]:
    """Return a change of the public half to that of another key."""

    def change(key: Key, folder: Path) -> Key:
        other = write_pair(folder, kind)[1]
        return replace(key, settings=key.settings.replace(str(public_half(key.settings)), str(other)))

    return change


WRONG = {
    "token, no PIN": ("token", environment(AGC_SIGN_PASSWORD=None), "asks for a PIN", "AGC_SIGN_PASSWORD"),
    "token, wrong PIN": ("token", environment(AGC_SIGN_PASSWORD=CANARY), "the PIN is wrong", "AGC_SIGN_PASSWORD"),
    "token, no library": ("token", environment(PYKCS11LIB=None), "which library speaks to the token", "PYKCS11LIB"),
    "token, library gone": ("token", environment(PYKCS11LIB="/no/lib.so"), "cannot be loaded", "PYKCS11LIB"),
    "token, not there": ("token", address("label=release", "label=other"), "no such token", "--list-token-slots"),
    "token, no such key": ("token", address("hsm:2", "hsm:9"), "no EC key of this number", "--list-objects"),
    "token, another's half": ("token", half("p256"), "public half is another", "sign.public-key"),
    "token, of another kind": ("token", half("rsa"), "no key of kind RSA signs", "ECDSA P-256"),
    "kms, stopped": ("kms", environment(AWS_ENDPOINT_URL_KMS=ELSEWHERE), "cannot be reached", "HTTPS_PROXY"),
    "kms, no region": ("kms", environment(AWS_DEFAULT_REGION=None), "no region is set", "AWS_DEFAULT_REGION"),
    "kms, no credentials": ("kms", environment(AWS_ACCESS_KEY_ID=None), "no credentials", "AWS_PROFILE"),
    "kms, no such key": ("kms", address("alias/release", "alias/other"), "no such key", "sign.key"),
    "kms, another's half": ("kms", half("p256"), "public half is another", "sign.public-key"),
    "kms, of another kind": ("kms", half("rsa"), "awskms:alias/release does not sign", "sign.public-key"),
    "kms, of no kind it has": ("kms", half("ed25519"), "no key of kind Ed25519 signs", "ECDSA P-256 or RSA"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_key_that_does_not_sign_is_told_before_anything_is_built(
    case: str, request: pytest.FixtureRequest, agc: Agc, registry: Registry, tmp_path: Path
) -> None:
    """With its exit code, what is wrong and what to do, and without the secret, though no engine answers."""
    service, change, words, remedy = WRONG[case]
    key = change(request.getfixturevalue(service), tmp_path)
    project = make_project(tmp_path / "project", key.settings)
    call = ("publish", "small", "--to", f"{registry.address}/ns")
    known = {**key.environment, "BUILDKIT_HOST": NOWHERE, "HOME": str(tmp_path)}

    with watched_arguments() as seen:
        run = agc.given(**known)(*call, project=project)

    said = " ".join(run.stderr.split())
    assert run.code == ExitCode.SIGN, said
    assert words in said
    assert remedy in said
    assert "Traceback" not in said
    assert not [secret for secret in (CANARY, *key.secrets) for text in (run.stdout, said, *seen) if secret in text]
    assert registry.uploads() == []
