"""Scanners as programs: small scripts in the place of one that misbehaves."""

from __future__ import annotations

import functools
import json
import random
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from pipeline.errors import DatabaseError, ScannerError
from pipeline.verify.vulnerabilities import process
from pipeline.verify.vulnerabilities.trivy import TrivyScanner
from pipeline.verify.vulnerabilities.versions import compare
from tests.unit.verify.vulnerabilities.bolt_file import write_bolt
from tests.unit.verify.vulnerabilities.samples import LODASH, ZLIB, cyclonedx
from tests.unit.verify.vulnerabilities.test_programs import TRIVY

T = TypeVar("T")


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function to its end."""
    return anyio.run(work)


def sbom(folder: Path, *purls: str, form: Callable[..., bytes] = cyclonedx) -> Path:
    """Return an SBOM of some packages."""
    path = folder / "sbom.json"
    path.write_bytes(form(*purls))
    return path


VERSION = json.dumps({"Version": "0.69.3", "VulnerabilityDB": {"Version": 2, "UpdatedAt": "2026-11-20T06:00:00Z"}})


def stand_in(folder: Path, scan: str, version: str = VERSION) -> TrivyScanner:
    """Return an adapter on a script in the place of Trivy; `scan` is what it does when it is to look at an SBOM."""
    (folder / "version.json").write_text(version)
    (folder / "report.json").write_text(json.dumps(TRIVY))
    write_bolt(folder / "cache" / "db" / "trivy.db", ["debian 13", "npm::somebody's"])
    program = folder / "trivy"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = version ]; then cat {folder}/version.json; exit; fi\n'
        f'cd {folder} && {{ env; echo ARGUMENTS "$@"; }} > seen\n{scan}\n'
    )
    program.chmod(0o755)
    return TrivyScanner(str(program), folder / "cache")


def looked(folder: Path, scanner: TrivyScanner) -> object:
    """Let it look at a small SBOM."""
    return run(functools.partial(scanner.scan, sbom(folder, LODASH, ZLIB)))


def test_a_scanner_sees_no_secret_and_asks_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither tokens nor proxies nor the person's own configuration reach it, and it is told to stay offline."""
    secret = "canary-3f9d2c"  # noqa: S105 (that is the point)
    for name in ("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "https_proxy", "TRIVY_PASSWORD", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, secret)
    result = looked(tmp_path, stand_in(tmp_path, "cat report.json"))
    seen = (tmp_path / "seen").read_text()

    assert len(result.findings) == 2  # type: ignore[attr-defined]
    assert secret not in seen
    assert f"HOME={Path.home()}\n" not in seen
    assert "--skip-db-update" in seen
    assert "--offline-scan" in seen


@pytest.mark.parametrize(
    ("scan", "words"),
    [
        ("echo 'FATAL no such thing' >&2; exit 1", "exit status 1: FATAL no such thing"),
        ("kill -9 $$", "signal 9"),
        ("{ echo 'panic: page 4'; yes at | head -c 9000; } >&2; exit 2", r"status 2: panic: page 4$"),
        ("echo nonsense", "cannot be read"),
        ("true", "cannot be read"),
        ("head -c 100 report.json", "cannot be read"),
        ("yes '[' | head -c 300000", "cannot be read"),
    ],
)
def test_a_scanner_that_fails_is_no_pass(tmp_path: Path, scan: str, words: str) -> None:
    """Whether it says so or not."""
    with pytest.raises(ScannerError, match=words):
        looked(tmp_path, stand_in(tmp_path, scan))


def test_a_scanner_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a time that is long for one that works."""
    monkeypatch.setattr(process, "TIMEOUT", 0.5)
    with pytest.raises(ScannerError, match="was not done after"):
        looked(tmp_path, stand_in(tmp_path, "exec sleep 60"))


def test_trivy_must_say_that_it_looked_at_every_package(tmp_path: Path) -> None:
    """What it leaves out it does not tell."""
    report = {**TRIVY, "Results": TRIVY["Results"][1:]}
    scanner = stand_in(tmp_path, "cat report.json")
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(ScannerError, match="did not look at 1 of 2 packages, such as pkg:deb/debian/zlib1g"):
        looked(tmp_path, scanner)


def test_trivys_database_must_know_of_every_kind_of_package(tmp_path: Path) -> None:
    """For Trivy, where nothing is known there is nothing wrong."""
    scanner = stand_in(tmp_path, "cat report.json")
    write_bolt(tmp_path / "cache" / "db" / "trivy.db", ["debian 12", "npm::somebody's"])
    with pytest.raises(DatabaseError, match=r"knows nothing of debian 13$"):
        looked(tmp_path, scanner)


@pytest.mark.parametrize(
    ("version", "error"),
    [
        ('{"Version": "0.69.3"}', DatabaseError),
        ('{"Version": "0.69.3", "VulnerabilityDB": {"UpdatedAt": "some day"}}', ScannerError),
        ("", ScannerError),
    ],
)
def test_trivy_must_say_how_old_its_database_is(tmp_path: Path, version: str, error: type[Exception]) -> None:
    """One of unknown age is none."""
    with pytest.raises(error):
        looked(tmp_path, stand_in(tmp_path, "cat report.json", version))


def test_a_program_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    """By its path."""
    scanner = stand_in(tmp_path, "cat report.json")
    (tmp_path / "trivy").chmod(0o644)
    with pytest.raises(ScannerError, match="trivy: "):
        looked(tmp_path, scanner)


@pytest.mark.skipif(not shutil.which("dpkg"), reason="no dpkg here")
def test_debian_versions_follow_each_other_as_dpkg_says() -> None:
    """Random versions, and such that differ in little."""
    chance = random.Random(20261121)  # noqa: S311 (versions, no secrets)

    def version() -> str:
        text = f"{chance.randint(0, 12)}" + "".join(chance.choice("0129azA.+~") for _ in range(chance.randint(0, 6)))
        if chance.random() < 0.4:
            text += "-" + "".join(chance.choice("0129azA.+~") for _ in range(chance.randint(1, 4)))
        return f"{chance.randint(0, 2)}:{text}" if chance.random() < 0.2 else text

    def by_dpkg(first: str, second: str) -> int:
        for relation, answer in (("lt", -1), ("eq", 0)):
            if subprocess.run(["dpkg", "--compare-versions", first, relation, second], check=False).returncode == 0:
                return answer
        return 1

    for _ in range(400):
        first = version()
        second = version() if chance.random() < 0.5 else first + chance.choice(["", "~", "0", "+b1", ".0", "-1", "-0"])

        assert compare("Debian", first, second) == by_dpkg(first, second), (first, second)
