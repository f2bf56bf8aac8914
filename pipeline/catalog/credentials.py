"""Registry credentials from where Docker keeps them: `config.json`, and the helper programs it names.

Format: docker/cli `config.json` (`auths`, `credsStore`, `credHelpers`); helpers speak the docker-credential-helpers
protocol, host on standard input, JSON on standard output.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from pipeline.errors import OutputError

_DOCKER_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its secret, which no representation shows."""

    username: str
    secret: str = field(repr=False)


async def find_credentials(registry: str, environment: Mapping[str, str]) -> Credentials | None:
    """Return the credentials for `registry` (host and port), or None where there are none.

    Raises OutputError where the file or a helper is broken; no message holds what was in it.
    """
    folder = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME", "/")) / ".docker")
    document = _read(folder / "config.json")
    keys = (_DOCKER_HUB_KEY,) if registry == "docker.io" else (registry, f"https://{registry}")
    helpers = document.get("credHelpers", {})
    helper = next((helpers[key] for key in keys if key in helpers), document.get("credsStore"))
    if helper:
        return await _ask(str(helper), keys[0])
    auths = document.get("auths", {})
    entry = next((auths[key] for key in keys if key in auths), {})
    return _decode(str(entry["auth"]), folder / "config.json") if entry.get("auth") else None


def _read(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read: {type(error).__name__}", remedy="docker login") from error
    return document if isinstance(document, dict) else {}


def _decode(text: str, path: Path) -> Credentials:
    try:
        username, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise OutputError(f"{path} holds a malformed `auth`", remedy="docker login") from error
    return Credentials(username, secret)


async def _ask(helper: str, key: str) -> Credentials | None:
    program = f"docker-credential-{helper}"
    try:
        done = await anyio.run_process([program, "get"], input=key.encode(), check=False)
    except OSError as error:
        raise OutputError(f"{program}: {error.strerror}", remedy="install it, or docker login") from error
    if done.returncode != 0:
        return None
    try:
        answer = json.loads(done.stdout)
        return Credentials(str(answer["Username"]), str(answer["Secret"]))
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{program} did not answer as a credential helper does") from error
