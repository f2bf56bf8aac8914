"""Programs of others that some tests use, from PATH or made of their modules: what cannot be had skips the test."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs
import pytest

_TOOLS = Path(platformdirs.user_cache_dir("agc-tools"))


def go_tool(name: str, module: str, *, says: str = "", asked_for: str = "") -> Path:
    """Return a program written in Go: that of PATH, or what Go makes of `module`, kept between runs.

    One on PATH is taken only where its `version` `says` so. `asked_for` names the variable of the environment without
    which it is not made, for what Go takes minutes for.
    """
    kept = _TOOLS / "bin" / name
    if (found := shutil.which(name)) and says in _version(found, says):
        return Path(found)
    if kept.exists():
        return kept
    _require_go(name, asked_for)
    folder = kept.with_name(f".{name}")
    environment = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"}
    command = ["go", "install", "-trimpath", module]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1800, env=environment)
    if done.returncode != 0:
        pytest.skip(f"{name} cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    (made,) = folder.iterdir()  # Go names it after the last folder of its module
    made.replace(kept)
    return kept


def go_build(
    name: str,
    package: str,
    module: str,
    *,
    source: Path | None = None,
    flags: str = "",
    asked_for: str = "",
    **more: str,
) -> Path:
    """Return what Go makes of a package, in a module of its own that has `module` for its go.mod, kept between runs.

    That is for what `go install` does not make as its authors do: with `flags` for the linker, `more` variables of the
    environment, or out of a file of ours, `source`. `asked_for` is as for `go_tool`.
    """
    content = module + package + flags + (source.read_text(encoding="utf-8") if source else "")
    kept = _TOOLS / "bin" / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    if kept.exists():
        return kept
    _require_go(name, asked_for)
    with tempfile.TemporaryDirectory(prefix="agc-go-") as folder:
        Path(folder, "go.mod").write_text(module, encoding="utf-8")
        if source:
            shutil.copy(source, Path(folder, "main.go"))
        command = ["go", "build", "-mod=mod", "-trimpath", f"-ldflags=-s -w {flags}", "-o", "made", package]
        environment = {**os.environ, "CGO_ENABLED": "0", **more}
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=3600, env=environment, cwd=folder
        )
        if done.returncode != 0:
            pytest.skip(f"{name} cannot be had: {done.stderr.strip().splitlines()[-1:]}")
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder, "made"), kept.with_suffix(".new"))
        kept.with_suffix(".new").replace(kept)
    return kept


def _require_go(name: str, asked_for: str) -> None:
    if asked_for and not os.environ.get(asked_for):
        pytest.skip(f"{name} takes Go minutes to make; {asked_for}=1 lets it")
    if shutil.which("go") is None:
        pytest.skip(f"neither {name} nor Go is installed")


def _version(program: str, wanted: str) -> str:
    if not wanted:
        return ""
    return subprocess.run([program, "version"], check=False, capture_output=True, text=True, timeout=60).stdout


def npm_tool(package: str, program: str) -> tuple[str, ...]:
    """Return the command of an npm package at a version, `@scope/name@1.2.3`, kept between runs."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js with npm is not installed")
    folder = _TOOLS / "npm" / package.strip("@").replace("/", "-")
    if not (folder / "node_modules").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", package]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600, cwd=folder)
        if done.returncode != 0:
            pytest.skip(f"{package} cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    return ("node", str(folder / "node_modules" / program))


def python_packages(name: str, pins: tuple[str, ...]) -> Path:
    """Return a folder with exactly these packages of PyPI, `name==1.2.3`, for PYTHONPATH; kept between runs.

    What they need besides is what the project needs too.
    """
    wanted = hashlib.sha256("\n".join([sys.version, *pins]).encode()).hexdigest()
    folder = _TOOLS / "python" / f"{name}-{wanted[:12]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder.parent) as made:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            command += ["--only-binary=:all:", f"--target={made}/new", *pins]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
            if done.returncode != 0:
                pytest.skip(f"{name} cannot be had: {done.stderr.strip().splitlines()[-1:]}")
            Path(made, "new").replace(folder)
    return folder


def kubernetes_schemas(version: str) -> Path:
    """Return the folder with the strict JSON Schemas of a version of Kubernetes, `1.34.0`, a file for each kind.

    They come out of a Python package, of which nothing else is used.
    """
    package = "kubernetes_validate-1.37.0-py3-none-any.whl"
    folder = _TOOLS / "kubernetes"
    name = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict/"
    if (folder / name / "_definitions.json").exists():
        return folder / name
    if not (folder / package).exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", f"--dest={folder}", "kubernetes-validate==1.37.0"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            pytest.skip(f"the schemas of Kubernetes cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    with zipfile.ZipFile(folder / package) as archive:
        wanted = [member for member in archive.namelist() if member.startswith(name)]
        (folder / name).mkdir(parents=True, exist_ok=True)
        # What everything else refers to comes last: it says that all is there.
        for member in sorted(wanted, key=lambda member: member.endswith("/_definitions.json")):
            document = json.loads(archive.read(member))
            document.pop("$id", None)  # an address on the network, which references would be relative to
            (folder / member).write_text(
                json.dumps(document).replace('"/api/_definitions.json#', '"_definitions.json#')
            )
    return folder / name
