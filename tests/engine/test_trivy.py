"""Trivy itself on bills of materials of ours, with a small database written by the library that it reads it with.

Trivy takes Go ten to fifteen minutes on two cores, so it is made where AGC_TEST_TOOLS=1 says so; then it is kept.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from pipeline.digest import Digest, digest_file
from pipeline.errors import DatabaseError, ScannerError
from pipeline.platform import Platform
from pipeline.supply.sbom.cyclonedx import cyclonedx
from pipeline.supply.sbom.inventory import Component, Distribution, Inventory, Package
from pipeline.supply.sbom.spdx import spdx
from pipeline.verify.vulnerabilities.finding import ScanResult, Severity
from pipeline.verify.vulnerabilities.judge import GatePolicy, Outcome, judge
from pipeline.verify.vulnerabilities.trivy import TrivyScanner
from tests.engine.trivy import RECORDS, trivy, write_database

pytestmark = pytest.mark.timeout(3600)

UPDATED = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
INVENTORY = Inventory(
    image="node-bun-claude",
    platform=Platform("linux", "amd64"),
    manifest=Digest("sha256:" + "a" * 64),
    distribution=Distribution("debian", "13"),
    components=(Component("agents/claude", "2.1.330"),),
    packages=tuple(
        sorted(
            replace(package, component="agents/claude")
            for package in (
                Package("deb", "zlib1g", "1:1.3.dfsg+really1.3.1-1", "amd64", source="zlib"),
                Package("deb", "libssl3t64", "3.5.1-1+b1", "amd64", source="openssl=3.5.1-1"),
                Package("npm", "lodash", "4.17.20", paths=("opt/a/lodash",)),
                Package("npm", "@scope/tool", "0.9.0"),
                Package("pypi", "Django", "4.2.1"),
                Package("golang", "golang.org/x/net", "v0.17.0"),
                Package("nuget", "Microsoft.NETCore.App", "10.0.1"),
                Package("cargo", "time", "0.1.44"),
                Package("generic", "claude", "2.1.330", checksums=(("sha256", "b" * 64),)),
            )
        )
    ),
)
FOUND = {
    ("CVE-2026-1001", "zlib1g", Severity.HIGH, "7.5", ("1:1.3.dfsg+really1.3.1-1+deb13u1",)),
    ("CVE-2026-1002", "libssl3t64", Severity.LOW, "9.8", ()),
    ("CVE-2020-8203", "lodash", Severity.HIGH, "7.4", ("4.17.21",)),
    ("GHSA-tool-tool-tool", "%40scope/tool", Severity.UNKNOWN, "", ("1.0.0",)),
    ("CVE-2026-2001", "django", Severity.CRITICAL, "9.3", ("4.2.2",)),
    ("CVE-2023-44487", "golang.org/x/net", Severity.MEDIUM, "5.3", ("0.18.0",)),
    ("CVE-2026-3001", "Microsoft.NETCore.App", Severity.HIGH, "8.1", ("10.0.2",)),
    ("CVE-2020-26235", "time", Severity.MEDIUM, "6.2", ("0.2.23",)),
}


@pytest.fixture(scope="module")
def program() -> Path:
    """Return Trivy."""
    return trivy()


@pytest.fixture
def cache(tmp_path: Path, program: Path) -> Path:
    """Return a cache folder of Trivy's with the small database; `program` comes first, for it may skip the test."""
    write_database(tmp_path / "cache", UPDATED)
    return tmp_path / "cache"


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    """Return a bill of materials of ours."""
    path = tmp_path / "bill.json"
    path.write_bytes(cyclonedx(INVENTORY, "1.2.3"))
    return path


def scan(program: Path | str, cache: Path, sbom: Path) -> ScanResult:
    """Let Trivy look at a bill of materials."""
    return anyio.run(functools.partial(TrivyScanner(str(program), cache).scan, sbom))


def found(result: ScanResult) -> set[tuple[str, str, Severity, str, tuple[str, ...]]]:
    """Return what was found, with the names of packages as their package URLs have them."""
    names = {item.purl: re.sub(r"^pkg:\w+/(debian/)?|@.*$", "", item.purl) for item in result.findings}
    return {(item.id, names[item.purl], item.severity, item.score, item.fixed) for item in result.findings}


@pytest.mark.parametrize(
    ("form", "unknown"),
    [(cyclonedx, ["pkg:generic/claude"]), (spdx, ["pkg:generic/claude", "pkg:oci/node-bun-claude"])],
)
def test_trivy_finds_what_its_database_has(
    tmp_path: Path, program: Path, cache: Path, form: Callable[[Inventory, str], bytes], unknown: list[str]
) -> None:
    """Debian's packages by their sources, all others by their names; a vendor's own binary is in no database."""
    (tmp_path / "bill.json").write_bytes(form(INVENTORY, "1.2.3"))
    result = scan(program, cache, tmp_path / "bill.json")

    assert found(result) == FOUND
    assert (result.scanner, result.components) == ("trivy", 8 + len(unknown))
    assert (result.database.name, result.database.built) == ("trivy-db", UPDATED)
    assert result.database.digest == digest_file(cache / "db" / "trivy.db")
    assert result.sbom == digest_file(tmp_path / "bill.json")
    assert [purl.partition("@")[0] for purl in result.uncovered] == unknown
    own = {package.purl(INVENTORY.distribution).to_string() for package in INVENTORY.packages}
    assert {item.purl for item in result.findings} < own
    (zlib,) = (item for item in result.findings if item.id == "CVE-2026-1001")
    assert zlib.aliases == ("DSA-6001-1",)


STATUS = """\
Package: libssl3t64
Status: install ok installed
Maintainer: Nobody <nobody@example.com>
Architecture: amd64
Source: openssl (3.5.1-1)
Version: 3.5.1-1+b1

Package: zlib1g
Status: install ok installed
Maintainer: Nobody <nobody@example.com>
Architecture: amd64
Source: zlib
Version: 1:1.3.dfsg+really1.3.1-1
"""


@pytest.mark.parametrize("form", ["cyclonedx", "spdx-json"])
def test_a_bill_of_materials_of_trivys_own_is_read_too(tmp_path: Path, program: Path, cache: Path, form: str) -> None:
    """It tells sources and epochs in a way of its own."""
    root = tmp_path / "root"
    for path, content in (("etc/debian_version", "13.1\n"), ("var/lib/dpkg/status", STATUS)):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text(content)
    environment = {"HOME": str(tmp_path), "TRIVY_SKIP_VERSION_CHECK": "true", "TRIVY_DISABLE_TELEMETRY": "true"}
    command = [
        program,
        "rootfs",
        "--quiet",
        "--offline-scan",
        "--format",
        form,
        "--output",
        tmp_path / "own.json",
        root,
    ]
    subprocess.run([str(word) for word in command], env=environment, check=True, timeout=120)
    result = scan(program, cache, tmp_path / "own.json")

    assert found(result) == {item for item in FOUND if item[1] in {"libssl3t64", "zlib1g"}}
    assert {item.version for item in result.findings} == {"1:1.3.dfsg+really1.3.1-1", "3.5.1-1+b1"}


@pytest.mark.parametrize("form", [cyclonedx, spdx])
def test_people_who_hand_our_bill_of_materials_to_trivy_find_the_same(
    tmp_path: Path, program: Path, cache: Path, form: Callable[[Inventory, str], bytes]
) -> None:
    """It tells the system, and what Debian's packages were made from, in the way that Trivy reads."""
    (tmp_path / "bill.json").write_bytes(form(INVENTORY, "1.2.3"))
    environment = {"HOME": str(tmp_path), "TRIVY_SKIP_VERSION_CHECK": "true", "TRIVY_DISABLE_TELEMETRY": "true"}
    command = [str(program), "sbom", "--format", "json", "--quiet", "--skip-db-update", "--offline-scan"]
    command += ["--cache-dir", str(cache), str(tmp_path / "bill.json")]
    done = subprocess.run(command, env=environment, check=True, timeout=120, stdout=subprocess.PIPE)
    results = json.loads(done.stdout)["Results"]

    assert {one["VulnerabilityID"] for result in results for one in result.get("Vulnerabilities", ())} == {
        item[0] for item in FOUND
    }


def test_trivys_findings_are_judged_by_us(program: Path, cache: Path, bill: Path) -> None:
    """What nobody rated counts, and its database is as old as the policy says."""
    result = scan(program, cache, bill)
    verdict = judge("image", result, GatePolicy(), {}, UPDATED + timedelta(days=4))

    assert {item.finding.id for item in verdict.judged if item.outcome is Outcome.BLOCKS} == {
        "CVE-2026-1001",
        "CVE-2020-8203",
        "GHSA-tool-tool-tool",
        "CVE-2026-2001",
        "CVE-2026-3001",
    }
    with pytest.raises(DatabaseError, match="trivy-db is 400 days old"):
        judge("image", result, GatePolicy(), {}, UPDATED + timedelta(days=400))


@pytest.mark.parametrize("missing", ["trivy.db", "metadata.json", "."])
def test_trivy_without_a_database_is_no_pass(program: Path, cache: Path, bill: Path, missing: str) -> None:
    """Nor with half of one."""
    path = cache / "db" / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DatabaseError, match="no database in"):
        scan(program, cache, bill)


def test_trivy_with_the_database_of_another_schema_is_no_pass(program: Path, cache: Path, bill: Path) -> None:
    """Trivy says which it wants."""
    file = cache / "db" / "metadata.json"
    file.write_text(file.read_text().replace('"Version": 2', '"Version": 1'))
    with pytest.raises(ScannerError, match="old DB schema"):
        scan(program, cache, bill)


def test_trivy_with_a_damaged_database_is_no_pass(program: Path, cache: Path, bill: Path) -> None:
    """Cut off, or no database at all; and it is left where it is, for Trivy itself would delete it."""
    file = cache / "db" / "trivy.db"
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"a database", b"", bytes(len(whole))):
        file.write_bytes(damaged)
        with pytest.raises(DatabaseError, match="no sound database"):
            scan(program, cache, bill)

        assert file.read_bytes() == damaged


def test_trivy_that_meets_a_damaged_page_is_no_pass(program: Path, cache: Path, bill: Path) -> None:
    """Whichever page with advisories it is, zeros in its place end Trivy, and what it said first is told."""
    file = cache / "db" / "trivy.db"
    whole = file.read_bytes()
    size = int.from_bytes(whole[24:28], "little")
    starts = range(2 * size, len(whole), size)
    damaged = [start for start in starts if re.search(b"(CVE|GHSA)-", whole[start : start + size])]
    assert len(damaged) > 5
    for start in damaged:
        file.write_bytes(whole[:start] + bytes(size) + whole[start + size :])
        with pytest.raises(ScannerError, match="exit status 2: panic: "):
            scan(program, cache, bill)


def test_trivys_database_that_knows_nothing_of_a_kind_is_no_pass(tmp_path: Path, program: Path, bill: Path) -> None:
    """Trivy itself finds nothing then, and says nothing."""
    for kind in ("debian 13", "npm::"):
        cache = tmp_path / kind.strip(":")
        write_database(cache, UPDATED, [item for item in RECORDS if not item["path"][0].startswith(kind)])
        with pytest.raises(DatabaseError, match=f"knows nothing of {kind.strip(':')}"):
            scan(program, cache, bill)


def test_trivy_is_told_nothing_by_a_persons_own_settings(
    tmp_path: Path, program: Path, cache: Path, bill: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables, configuration and lists of what to ignore, at home and in the working folder, hide nothing."""
    (tmp_path / ".trivyignore").write_text("CVE-2020-8203\nCVE-2026-1001\n")
    (tmp_path / "trivy.yaml").write_text("severity: [CRITICAL]\nserver: {addr: 'http://127.0.0.1:9'}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name, value in {"SEVERITY": "CRITICAL", "IGNORE_UNFIXED": "true", "SERVER": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(f"TRIVY_{name}", value)

    assert found(scan(program, cache, bill)) == FOUND


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
def test_trivy_asks_no_network_and_writes_nothing(tmp_path: Path, program: Path, cache: Path, bill: Path) -> None:
    """Not one connection is tried, to any address, and the cache is what it was."""
    if subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode:
        pytest.skip("strace may not trace here")
    traced = tmp_path / "trivy"
    calls = tmp_path / "calls"
    traced.write_text(f'#!/bin/sh\nexec strace -f -A -e trace=socket,connect,sendto -o {calls} {program} "$@"\n')
    traced.chmod(0o755)
    before = sorted(cache.rglob("*"))

    assert found(scan(traced, cache, bill)) == FOUND
    assert sorted(cache.rglob("*")) == before
    said = calls.read_text()
    assert said.count("exited with 0") > 2
    assert "AF_INET" not in said
