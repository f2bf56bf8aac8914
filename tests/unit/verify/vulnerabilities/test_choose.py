"""Which scanner looks, and where its database is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.settings import ScannerName
from pipeline.verify.vulnerabilities.choose import choose_scanner
from pipeline.verify.vulnerabilities.grype import GrypeScanner
from pipeline.verify.vulnerabilities.trivy import TrivyScanner


@pytest.mark.parametrize(("name", "kind"), [("trivy", TrivyScanner), ("grype", GrypeScanner)])
def test_a_programs_database_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: ScannerName, kind: type[TrivyScanner | GrypeScanner]
) -> None:
    """It is started in one of its own, and people write paths from where they are."""
    (tmp_path / name).write_text("")
    (tmp_path / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    scanner = choose_scanner(name, Path("db"), tmp_path, {"PATH": str(tmp_path)})

    assert isinstance(scanner, kind)
    assert (scanner.path, scanner.cache) == (str(tmp_path / name), tmp_path / "db")
