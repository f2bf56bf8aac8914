"""`agc scan`, from the arguments to the exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.cli import main
from pipeline.errors import ExitCode
from tests.unit.verify.vulnerabilities.samples import LODASH, X_NET, cyclonedx, records, write_database

SBOM = "node-bun-claude.cdx.json"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a database whose records were written now; the project in the same folder has its cache there."""
    content = records()
    for items in content.values():
        items[0]["modified"] = datetime.now(UTC).isoformat()
    (tmp_path / "agc.toml").write_text('cache = "cache"\n')
    monkeypatch.chdir(tmp_path)
    return write_database(tmp_path / "osv", content)


def scan(folder: Path, *arguments: str, purl: str = LODASH) -> int:
    """Run the command on an SBOM of one package."""
    (folder / SBOM).write_bytes(cyclonedx(purl))
    return main(["scan", "--sbom", SBOM, *arguments])


def test_a_finding_is_shown_and_ends_with_the_gates_code(
    tmp_path: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table on standard output, the failure on standard error."""
    assert scan(tmp_path, "--db", "osv") == ExitCode.GATE

    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "node-bun-claude  1 packages, 1 findings"
    row = next(line for line in out.splitlines() if "CVE-2020-8203" in line)
    assert row.split()[:5] == ["blocks", "high", "7.5", "CVE-2020-8203", "pkg:npm/lodash"]
    assert "1 vulnerability that may not pass" in err


def test_what_may_pass_ends_well(tmp_path: Path, database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json`, one object."""
    assert scan(tmp_path, "--db", "osv", "--json", purl=X_NET) == ExitCode.OK

    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert image["passed"] is True
    assert image["image"] == "node-bun-claude"
    assert [item["outcome"] for item in image["findings"]] == ["noted"]


def test_a_failure_is_one_object_too(tmp_path: Path, database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine reads one line, and has the findings in it as well."""
    assert scan(tmp_path, "--db", "osv", "--json") == ExitCode.GATE

    (text,) = capsys.readouterr().out.splitlines()
    found = json.loads(text)
    assert found["error"]["code"] == "gate"
    assert [item["id"] for item in found["images"][0]["findings"]] == ["CVE-2020-8203"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--db", "osv", "--fixable-only"], ExitCode.OK),
        (["--db", "osv", "--severity", "critical"], ExitCode.OK),
        (["--db", "nowhere"], ExitCode.DATABASE),
        (["--db", "osv", "--severity", "awful"], ExitCode.USAGE),
        (["--db", "osv", "--scanner", "magic"], ExitCode.USAGE),
        (["--scanner", "osv"], ExitCode.DATABASE),
        (["--db", "osv", "a", "b"], ExitCode.USAGE),
    ],
)
def test_options_decide(tmp_path: Path, database: Path, arguments: list[str], code: ExitCode) -> None:
    """Each with its own exit code."""
    assert scan(tmp_path, *arguments) == code


def test_without_an_sbom_nothing_is_scanned(tmp_path: Path, database: Path) -> None:
    """It says what to type: an image that was never built here has none, and neither has nothing."""
    assert main(["-C", str(tmp_path), "scan", "node-bun-claude"]) == ExitCode.USAGE
    assert main(["-C", str(tmp_path), "scan"]) == ExitCode.USAGE
