"""The project as it was at a commit, in a temporary git worktree, to build from it again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from pipeline.digest import Digest
from pipeline.errors import UsageError
from pipeline.supply.check.result import Check, failed, passed


@asynccontextmanager
async def checked_out(project: Path, commit: str) -> AsyncIterator[Path]:
    """Yield the project's folder at `commit`, beside the checkout, which stays as it is; raises UsageError."""
    below = (await _git(project, "rev-parse", "--show-prefix")).strip()
    try:
        await _git(project, "cat-file", "-e", f"{commit}^{{commit}}")
    except UsageError as error:
        raise UsageError(f"the commit {commit} is not in this checkout", remedy=f"git fetch origin {commit}") from error
    with tempfile.TemporaryDirectory(prefix="agc-rebuild-") as folder:
        tree = Path(folder) / "tree"
        await _git(project, "worktree", "add", "--detach", "--quiet", str(tree), commit)
        try:
            yield tree / below
        finally:
            with anyio.CancelScope(shield=True):
                await _git(project, "worktree", "remove", "--force", str(tree))


def compared(built: Mapping[str, Digest], published: Mapping[str, Digest], commit: str) -> tuple[Check, ...]:
    """Return whether what was built again is what was published, platform by platform."""
    return tuple(
        passed("rebuild", name, f"{commit[:12]} gives the same digest")
        if built.get(name) == digest
        else failed("rebuild", name, f"{commit[:12]} gives {built.get(name, 'nothing')}")
        for name, digest in published.items()
    )


async def _git(folder: Path, *arguments: str) -> str:
    # What a person or a hook has set for another repository must not lead us there.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = await anyio.run_process(
            ["git", "-C", str(folder), *arguments], check=False, env={**environment, "LC_ALL": "C"}
        )
    except OSError as error:
        raise UsageError("git is not installed", remedy="install git, or leave --rebuild out") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(
            f"git {arguments[0]}: {words[-1] if words else done.returncode}", remedy="run it in the project"
        )
    return done.stdout.decode(errors="replace")
