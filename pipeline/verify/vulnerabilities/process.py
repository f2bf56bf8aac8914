"""Runs a scanner so that it sees nothing but what it is to look at.

Its environment holds no variable of ours but PATH, its home and its working folder are empty ones, and so no token, no
configuration file and no proxy reaches it. What it prints is bounded in time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio
from pydantic import BaseModel, ValidationError

from pipeline.errors import ScannerError

Answer = TypeVar("Answer", bound=BaseModel)

TIMEOUT = 600.0
ANSWER_LIMIT = 512 << 20
_WORDS = 600
_CRASH = re.compile(r"^(?:panic|fatal error): .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Program:
    """A scanner's program: what people call it, where it is, and the variables that tell it what not to do."""

    name: str
    path: str
    variables: Mapping[str, str]

    async def run(self, *arguments: str, check: bool = True) -> bytes:
        """Return what it prints; raises ScannerError where it cannot be run, takes too long or fails."""
        with tempfile.TemporaryDirectory(prefix=f"agc-{self.name}-") as folder:
            environment = {
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": folder,
                "TMPDIR": folder,
                "LANG": "C.UTF-8",
                **self.variables,
            }
            done = await self._wait((self.path, *arguments), folder, environment)
        if check and done.returncode:
            said = _last_words(done.stderr.decode(errors="replace"))
            how = f"exit status {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
            raise ScannerError(f"{self.name} failed with {how}: {said or 'it said nothing'}", remedy=self._remedy)
        if len(done.stdout) > ANSWER_LIMIT:
            raise ScannerError(f"{self.name} printed more than 512 MiB", remedy=self._remedy)
        return done.stdout

    async def ask(self, answer: type[Answer], *arguments: str, check: bool = True) -> Answer:
        """Return its JSON answer as a value; raises ScannerError where it is not of that form."""
        data = await self.run(*arguments, check=check)
        try:
            return answer.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "as a whole"
            text = f"{self.name} {arguments[0]} gave an answer that cannot be read: {where}: {first['msg']}"
            raise ScannerError(text, remedy=self._remedy) from error

    @property
    def _remedy(self) -> str:
        return f"run `{self.name} --version` by hand, or choose another scanner with --scanner"

    async def _wait(
        self, command: Sequence[str], folder: str, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            with anyio.fail_after(TIMEOUT):
                return await anyio.run_process(
                    command, check=False, cwd=folder, env=environment, stdin=subprocess.DEVNULL
                )
        except TimeoutError as error:
            text = f"{self.name} was not done after {TIMEOUT:.0f} seconds"
            raise ScannerError(text, remedy=self._remedy) from error
        except OSError as error:
            raise ScannerError(f"{self.path}: {error.strerror}", remedy=self._remedy) from error


def _last_words(text: str) -> str:
    """Return the end of what a program said; of one in Go that crashed, the beginning of that, which says why."""
    if crash := _CRASH.search(text):
        return " ".join(crash[0].split())[:_WORDS]
    return " ".join(text.split())[-_WORDS:]


def program_path(name: str, path: str | None) -> str:
    """Return where on the search path `path` a program is; raises ScannerError where it is not."""
    found = shutil.which(name, path=path)
    if not found:
        raise ScannerError(f"{name} is not on PATH", remedy=f"install {name}, or choose another scanner with --scanner")
    return str(Path(found).absolute())


def absolute(path: Path) -> str:
    """Return a path as a program in another folder finds it."""
    return str(path.absolute())
