"""What an embedded BuildKit daemon is started with: socket path, buildkitd.toml, environment, and their fingerprint.

All pure but for the fingerprint, which looks at size and date of the program and the CA bundle.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from pipeline.digest import digest_bytes, digest_json, hex_of
from pipeline.engine.buildkit.programs import Programs
from pipeline.settings import BUILDKIT_VERSION, Settings

_LONGEST_SOCKET_PATH = 107  # sun_path is 108 bytes, one of them the closing NUL
_REGISTRY = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+|[\w.-]+:\d+)")


def socket_path(run: Path, uid: int) -> Path:
    """Return where the socket goes: into `run`, or into a short folder where that path is too long for the kernel."""
    path = run / "buildkitd.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    short = hex_of(digest_bytes(os.fsencode(run)))[:12]
    return Path(f"/tmp/agc-{uid}-{short}") / path.name  # noqa: S108  # made with mode 0700 and its owner checked


def registry_mirrors(settings: Settings) -> dict[str, str]:
    """Return the mirrors of image registries: host name to what stands in for it, without a scheme."""
    return {
        prefix: mirror.rpartition("://")[2].rstrip("/")
        for prefix, mirror in settings.mirrors.items()
        if _REGISTRY.fullmatch(prefix)
    }


def config_text(settings: Settings) -> str:
    """Return the buildkitd.toml for `settings`; a mirror written with http:// is spoken to without TLS."""
    size = settings.engine.cache_gigabytes * 10**9
    lines = [
        "[system]",
        '  platformsCacheMaxAge = "1m"',  # qemu may be registered while the daemon runs
        "[worker.oci]",
        "  gc = true",
        f'  maxUsedSpace = "{size}"',
        f'  reservedSpace = "{size // 4}"',
        '  minFreeSpace = "5%"',
    ]
    mirrors = registry_mirrors(settings)
    plain = {mirrors[host].partition("/")[0] for host in mirrors if settings.mirrors[host].startswith("http://")}
    for host in sorted({*mirrors, *plain}):
        lines.append(f"[registry.{json.dumps(host)}]")
        lines += [f"  mirrors = [{json.dumps(mirrors[host])}]"] if host in mirrors else []
        lines += ["  http = true"] if host in plain else []
    return "\n".join(lines) + "\n"


def daemon_environment(settings: Settings) -> dict[str, str]:
    """Return what the settings add to a daemon's environment: proxies and the CA bundle."""
    bundle = {"SSL_CERT_FILE": str(settings.ca_bundle)} if settings.ca_bundle else {}
    return {**settings.proxy.as_environment(), **bundle}


def fingerprint(settings: Settings, programs: Programs) -> str:
    """Return a digest of all that a running daemon cannot take up without a restart."""
    return digest_json(
        {
            "expected": BUILDKIT_VERSION,
            "program": _identity(programs.buildkitd),
            "environment": daemon_environment(settings),
            "ca": _identity(settings.ca_bundle) if settings.ca_bundle else None,
            "config": config_text(settings),
        }
    )


def _identity(path: Path) -> list[str | int]:
    try:
        found = path.stat()
    except OSError:
        return [str(path)]
    return [str(path), found.st_size, found.st_mtime_ns]
