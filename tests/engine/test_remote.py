"""A BuildKit on another machine, spoken to over TCP with certificates on both sides."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engine.remote import Certificates, make_certificates, remote_daemon
from tests.engine.small import small_project
from tests.engine.support import CHECKOUT, Agc

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Remote:
    """A daemon that wants certificates, `agc` that has them, and others that nobody it trusts has signed."""

    agc: Agc
    address: str
    certificates: Certificates
    foreign: Certificates


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a small base."""
    return small_project(tmp_path_factory.mktemp("remote"))


@pytest.fixture(scope="module")
def remote(agc: Agc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """Start the daemon."""
    folder = tmp_path_factory.mktemp("certificates")
    own, foreign = make_certificates(folder / "own"), make_certificates(folder / "foreign")
    with remote_daemon(agc, own) as address:
        given = agc.given(
            BUILDKIT_HOST=address,
            AGC_TLS_CA=str(own.ca),
            AGC_TLS_CERT=str(own.cert("client")),
            AGC_TLS_KEY=str(own.key("client")),
            AGC_TLS_SERVER_NAME="buildkit.example",
        )
        yield Remote(given, address, own, foreign)


def test_it_builds_the_digest_that_the_embedded_engine_builds(
    agc: Agc, remote: Remote, project: Path, tmp_path: Path
) -> None:
    """Where something is built is no part of it; the root is sent there, the image comes back."""
    here = agc("build", "small", "--json", "-o", f"oci:{tmp_path}/here", project=project)
    there = remote.agc("build", "small", "--json", "-o", f"oci:{tmp_path}/there", project=project)

    assert there.image["digest"] == here.image["digest"]
    assert not all(layer["cached"] for layer in there.image["platforms"][0]["layers"])


def test_settings_of_the_project_do_as_well_as_variables(remote: Remote, tmp_path: Path) -> None:
    """Paths are relative to the project; pruning speaks to the same daemon."""
    project = small_project(tmp_path / "project")
    make = {
        "ca.pem": remote.certificates.ca,
        **{f"c.{end}": remote.certificates.folder / f"client.{end}" for end in ("pem", "key")},
    }
    for name, path in make.items():
        (project / name).write_bytes(path.read_bytes())
    (project / "agc.toml").write_text(
        f'[engine]\nhost = "{remote.address}"\ntls-ca = "ca.pem"\ntls-cert = "c.pem"\ntls-key = "c.key"\n'
        'tls-server-name = "buildkit.example"\n'
    )
    plain = Agc(remote.agc.cache)

    found = plain("engine", "start", "--json", project=project)
    pruned = plain("engine", "prune", "--json", project=project)

    assert (found.code, found.json["kind"], found.json["address"]) == (0, "configured", remote.address)
    assert (pruned.code, "freedBytes" in pruned.json) == (0, True)


def test_a_foreign_client_is_refused_before_anything_is_built(remote: Remote, project: Path) -> None:
    """The message names the certificate that was shown, and what to set."""
    cert = remote.foreign.cert("client")
    foreign = remote.agc.given(AGC_TLS_CERT=str(cert), AGC_TLS_KEY=str(remote.foreign.key("client")))

    run = foreign("build", "small", "--json", "-o", "none", project=project)

    assert (run.code, run.error["code"]) == (6, "engine")
    assert run.error["message"] == f"the BuildKit at {remote.address} does not accept the certificate {cert}"
    assert "AGC_TLS_CERT" in run.error["remedy"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"AGC_TLS_CERT": None, "AGC_TLS_KEY": None}, "asks for a certificate, and none is set"),
        ({"AGC_TLS_SERVER_NAME": None}, "is not trusted: IP address mismatch"),
        ({"AGC_TLS_SERVER_NAME": "other.example"}, "is not trusted: Hostname mismatch"),
        ({"AGC_TLS_CA": "{foreign}/ca.pem"}, "is not trusted: unable to get local issuer certificate"),
        ({"AGC_TLS_KEY": "{foreign}/client.key"}, "are no pair: the key is of another certificate"),
        ({"AGC_TLS_KEY": "{foreign}/gone.key"}, "gone.key: No such file or directory"),
        ({f"AGC_TLS_{name}": None for name in ("CA", "CERT", "KEY", "SERVER_NAME")}, "or wants TLS"),
    ],
    ids=["no-certificate", "no-name", "other-name", "other-ca", "other-key", "no-file", "no-tls"],
)
def test_what_is_wrong_is_said(remote: Remote, project: Path, changed: dict[str, str | None], message: str) -> None:
    """Each with the setting to look at."""
    folder = remote.foreign.folder
    environment = {name: value and value.format(foreign=folder) for name, value in changed.items()}

    run = remote.agc.given(**environment)("engine", "start", "--json", project=project)

    assert (run.code, run.error["code"]) == (6, "engine")
    assert message in run.error["message"]
    assert "tls-" in run.error["remedy"]


def test_a_daemon_without_tls_is_not_spoken_to_in_tls(remote: Remote, project: Path) -> None:
    """Who set certificates means them."""
    with remote_daemon(Agc(remote.agc.cache)) as address:
        run = remote.agc.given(BUILDKIT_HOST=address)("engine", "start", "--json", project=project)

    assert run.error["message"] == f"{address} does not speak TLS, and tls-* is set"


def test_certificates_made_as_the_page_says_are_taken(agc: Agc, project: Path, tmp_path: Path) -> None:
    """Somebody who follows the how-to has a remote engine."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    page = (CHECKOUT / "docs" / "how-to" / "remote-engine.md").read_text()
    (commands,) = [text.partition("```")[0] for text in page.split("```sh\n")[1:] if text.startswith("openssl")]
    subprocess.run(["sh", "-euc", commands], cwd=tmp_path, check=True, capture_output=True)
    settings = next(text.partition("```")[0] for text in page.split("```toml\n")[1:] if "tls-key" in text)

    with remote_daemon(agc, Certificates(tmp_path)) as address:
        followed = small_project(tmp_path / "followed")
        written = settings.replace("tcp://buildkit.example:1234", address).replace("certs/", f"{tmp_path}/")
        (followed / "agc.toml").write_text(written)
        run = agc("build", "small", "--json", "-o", "none", project=followed)

    assert run.image["name"] == "small"
