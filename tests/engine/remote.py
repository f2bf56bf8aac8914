"""BuildKit daemons on ports of loopback, empty as on a new machine, with TLS and without."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from pipeline.engine.buildkit.process import unmount_below
from tests.engine.support import Agc, end, free_port, wait_for


@dataclass(frozen=True, slots=True)
class Certificates:
    """A CA, a server's certificate and a client's, as PEM files in `folder`."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The CA's certificate."""
        return self.folder / "ca.pem"

    def cert(self, who: str) -> Path:
        """Return the certificate of `who`."""
        return self.folder / f"{who}.pem"

    def key(self, who: str) -> Path:
        """Return the key of `who`."""
        return self.folder / f"{who}.key"


def make_certificates(folder: Path) -> Certificates:
    """Write a new CA and what it signs into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    made, authority = Certificates(folder), trustme.CA()
    authority.cert_pem.write_to_path(str(made.ca))
    for who, name in (("server", "buildkit.example"), ("client", "client.example")):
        issued = authority.issue_cert(name)
        issued.cert_chain_pems[0].write_to_path(str(made.cert(who)))
        issued.private_key_pem.write_to_path(str(made.key(who)))
    return made


@contextmanager
def remote_daemon(agc: Agc, certificates: Certificates | None = None) -> Iterator[str]:
    """Start an empty daemon with the programs of `agc`, which wants certificates if it has some; yield its address."""
    (buildkitd,) = agc.cache.glob("engine/*/bin/buildkitd")
    address = f"tcp://127.0.0.1:{free_port()}"
    options = ["--oci-worker=true", "--containerd-worker=false", "--allow-insecure-entitlement=network.host"]
    if certificates:
        options += [f"--tlscacert={certificates.ca}"]
        options += [f"--tlscert={certificates.cert('server')}", f"--tlskey={certificates.key('server')}"]
    with tempfile.TemporaryDirectory(prefix="agc-b-") as name, Path(name, "log").open("w") as log:
        folder = Path(name)
        (folder / "tmp").mkdir()
        command = [str(buildkitd), f"--root={folder}/root", f"--addr={address}", *options, "--config=/dev/null"]
        environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
        daemon = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            running = lambda: daemon.poll() is not None or "running server on" in Path(log.name).read_text()  # noqa: E731
            wait_for("buildkitd", running)
            assert daemon.poll() is None, Path(log.name).read_text()
            yield address
        finally:
            end(daemon)
            unmount_below(folder)
