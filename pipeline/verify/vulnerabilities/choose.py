"""Which scanner looks: the one that was asked for, else the first there is of OSV's data, Trivy and Grype."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import DatabaseError
from pipeline.settings import ScannerName
from pipeline.verify.vulnerabilities.finding import Scanner
from pipeline.verify.vulnerabilities.grype import GrypeScanner
from pipeline.verify.vulnerabilities.osv import OsvScanner
from pipeline.verify.vulnerabilities.process import program_path
from pipeline.verify.vulnerabilities.trivy import TrivyScanner

REMEDY = (
    "set `osv` in the [gate] table of agc.toml to a copy of OSV's data, or install trivy or grype with its database;\n"
    "docs/how-to/gate.md says how"
)


def choose_scanner(name: ScannerName, database: Path | None, cache: Path, environment: Mapping[str, str]) -> Scanner:
    """Return the scanner called `name`; `database` is OSV's folder or a program's own, where one is given.

    Raises DatabaseError where nothing can look, or OSV's data is nowhere; ScannerError where a program is not there.
    """
    path = environment.get("PATH")
    if name == "auto":
        name = _first(database, path)
    if name == "osv":
        if database is None:
            raise DatabaseError("no OSV database is configured", remedy=REMEDY)
        return OsvScanner(database, cache / "gate")
    program = program_path(name, path)
    # A program is started in a folder of its own, where a relative path would lead nowhere.
    if name == "trivy":
        return TrivyScanner(program, (database or _folder(environment, "TRIVY_CACHE_DIR", "trivy")).absolute())
    return GrypeScanner(program, (database or _folder(environment, "GRYPE_DB_CACHE_DIR", "grype/db")).absolute())


def _first(database: Path | None, path: str | None) -> ScannerName:
    if database is not None:
        return "osv"
    if shutil.which("trivy", path=path):
        return "trivy"
    if shutil.which("grype", path=path):
        return "grype"
    raise DatabaseError("nothing is there to look for vulnerabilities with", remedy=REMEDY)


def _folder(environment: Mapping[str, str], variable: str, name: str) -> Path:
    """Return where a program keeps its database, as it would find that itself (XDG)."""
    if own := environment.get(variable):
        return Path(own)
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME") or "/root") / ".cache")
    return Path(base) / name
