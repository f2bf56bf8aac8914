"""Registry credentials: from the environment, else from where Docker keeps them, and the helper programs it names.

Format: docker/cli `config.json` (`auths`, `credsStore`, `credHelpers`); helpers speak the docker-credential-helpers
protocol, host on standard input, JSON on standard output. Variables are named after the registry: see `variables`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from pipeline.errors import OutputError

IDENTITY = "<token>"
"""The user name that says the secret is an identity token, to be exchanged by OAuth 2 (docker-credential-helpers)."""
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its secret, which no representation shows."""

    username: str
    secret: str = field(repr=False)


def variables(registry: str) -> tuple[str, str]:
    """Return the names of the variables with user name and password of a registry (AGC_REGISTRY_GHCR_IO_USERNAME)."""
    host = re.sub(r"[^A-Z0-9]+", "_", registry.upper())
    return f"AGC_REGISTRY_{host}_USERNAME", f"AGC_REGISTRY_{host}_PASSWORD"


async def find_credentials(registry: str, environment: Mapping[str, str]) -> Credentials | None:
    """Return the credentials for `registry` (host and port), or None where there are none.

    Raises OutputError where the file or a helper is broken; no message holds what was in it.
    """
    username, password = (environment.get(name, "") for name in variables(registry))
    if bool(username) != bool(password):
        raise OutputError(f"of {' and '.join(variables(registry))} one is not set", remedy="set both or neither")
    if username:
        return Credentials(username, password)
    folder = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME", "/")) / ".docker")
    path = folder / "config.json"
    document = _read(path)
    keys = (_DOCKER_HUB_KEY,) if registry == "docker.io" else (registry, f"https://{registry}")
    helpers = _table(document, "credHelpers")
    helper = next((helpers[key] for key in keys if key in helpers), document.get("credsStore"))
    if helper:
        return await _ask(str(helper), keys[0])
    auths = _table(document, "auths")
    entry: Mapping[str, Any] = next((auths[key] for key in keys if isinstance(auths.get(key), dict)), {})
    if token := entry.get("identitytoken"):
        return Credentials(IDENTITY, str(token))
    return _decode(str(entry["auth"]), path) if entry.get("auth") else None


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read: {type(error).__name__}", remedy="docker login") from error
    return document if isinstance(document, dict) else {}


def _table(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


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
