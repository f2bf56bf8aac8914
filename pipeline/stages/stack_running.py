"""Stacks started and stopped with Docker Compose: its own command, on generated files.

Rules kept here:

- Compose does the work and speaks for itself; nothing it prints is taken away;
- what must be there before it starts (the workspace, a file for each secret) is made; nothing that is there is
  changed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.errors import DefinitionError, Location, OutputError, UsageError
from pipeline.files import write_bytes
from pipeline.models.choices import pick
from pipeline.resolve.stack_plan import StackPlan
from pipeline.stages.project import Project

FOLDER = "deploy/compose"
"""Where stacks are, below the project."""
_NEEDED = "install Docker's Compose plugin, version 2: https://docs.docker.com/compose/install/"
_TOKEN_BYTES = 32


def start_stack(
    project: Project, name: str, flags: Sequence[str], *, profiles: Sequence[str] = (), files: Sequence[Path] = ()
) -> None:
    """Start a stack in the background and wait until it is healthy; `flags` go to `docker compose up`.

    `files` are Compose files that lie on top of the generated one.

    Raises UsageError for an unknown stack or profile, OutputError where Docker or Compose is missing or failed.
    """
    stack = find_stack(project, name)
    for profile in profiles:
        if profile not in {*stack.profiles, "*"}:
            known = ", ".join(stack.profiles)
            remedy = f"known: {known}" if known else "the stack has none"
            raise UsageError(f"stack {name} has no profile named {profile!r}", remedy=remedy)
    command = _compose(project.folder, name, profiles, files)
    prepare(project.folder, stack)
    _run([*command, "up", "--detach", "--wait", *flags], _shown(project.folder, name))


def stop_stack(
    project: Project, name: str, flags: Sequence[str], *, files: Sequence[Path] = (), volumes: bool = False
) -> None:
    """Stop a stack, whatever profiles it was started with, and remove its containers and networks.

    With `volumes`, these go too. `flags` go to `docker compose down`. Raises as `start_stack` does.
    """
    find_stack(project, name)
    command = _compose(project.folder, name, ("*",), files)
    gone = ["--volumes"] if volumes else []
    _run([*command, "down", "--remove-orphans", *gone, *flags], _shown(project.folder, name))


def find_stack(project: Project, name: str) -> StackPlan:
    """Return a stack; raises UsageError with near matches, and ErrorGroup where something is wrong with it."""
    pick(project.definitions.stacks, name, "stack")
    (stack,) = project.stacks(name)
    return stack


def prepare(project: Path, stack: StackPlan) -> None:
    """Make the workspace and a file for each secret, where they are not there yet.

    A secret is empty, or random where any text does. Raises OutputError where that is not possible.
    """
    folder = project / FOLDER / stack.name
    shared = [service for service in stack.services if service.service.workspace]
    if shared and not _chosen(folder, os.environ):
        _make_workspace(project / stack.workspace, shared[0].user.uid, shared[0].user.gid)
    for secret in stack.secrets:
        path = folder / "secrets" / secret.name
        if not path.exists():
            # Others of the machine are kept out by the folder; the containers' user may be none of ours.
            write_bytes(path, f"{secrets.token_hex(_TOKEN_BYTES)}\n".encode() if secret.generate else b"", mode=0o644)
    if stack.secrets:
        with suppress(OSError):  # of somebody else, who has seen to it
            (folder / "secrets").chmod(0o700)


def _chosen(folder: Path, environment: Mapping[str, str]) -> bool:
    """Tell whether somebody named another workspace."""
    if environment.get("WORKSPACE"):
        return True
    try:
        lines = (folder / ".env").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.strip().removeprefix("export ").startswith("WORKSPACE=") for line in lines)


def _make_workspace(path: Path, uid: int, gid: int) -> None:
    if path.exists():
        return
    try:
        path.mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(path, uid, gid)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}", remedy="make the folder, or set WORKSPACE") from error


def _compose(folder: Path, name: str, profiles: Sequence[str], files: Sequence[Path]) -> list[str]:
    """Return the command for a stack, up to what Compose is to do."""
    file = folder / FOLDER / name / "compose.yaml"
    if not file.is_file():
        place = Location(str(file))
        raise DefinitionError("is not there", location=place, remedy="agc generate --only compose")
    options = [part for one in (file, *files) for part in ("--file", str(one))]
    options += [part for profile in profiles for part in ("--profile", profile)]
    return [*compose_client(), *options, "--project-name", name]


def compose_client() -> tuple[str, ...]:
    """Return what runs Compose 2 here; raises OutputError where nothing does."""
    if shutil.which("docker") and _version(("docker", "compose")):
        return ("docker", "compose")
    if shutil.which("docker-compose"):
        version = _version(("docker-compose",))
        if version and not version.startswith("1."):
            return ("docker-compose",)
        raise OutputError(f"docker-compose is version {version or 'unknown'}, which is too old", remedy=_NEEDED)
    missing = "Docker Compose" if shutil.which("docker") else "docker"
    raise OutputError(f"{missing} is not installed", remedy=_NEEDED)


def _version(command: Sequence[str]) -> str:
    done = subprocess.run([*command, "version", "--short"], check=False, capture_output=True, text=True)
    return done.stdout.strip().removeprefix("v") if done.returncode == 0 else ""


def _run(command: Sequence[str], shown: str) -> None:
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        raise OutputError(f"docker compose ended with exit status {code}", remedy=f"{shown} logs")


def _shown(folder: Path, name: str) -> str:
    """Return the command that a person types."""
    file = folder / FOLDER / name / "compose.yaml"
    near = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return f"docker compose -f {near}"
