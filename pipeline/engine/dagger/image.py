"""An image's config as calls, for those who go on with a container: what Dagger cannot say of it is left out.

That is `StopSignal`, `Volumes` and the dates. Our own exports lose none of it: they write the config themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagger

_NANOSECONDS = 1_000_000_000


def configured(container: dagger.Container, config: Mapping[str, Any]) -> dagger.Container:
    """Return `container` with the OCI config `config` (the member of that name of an image's config document)."""
    for entry in config.get("Env", ()):
        name, _, value = entry.partition("=")
        container = container.with_env_variable(name, value)
    for name, value in sorted(config.get("Labels", {}).items()):
        container = container.with_label(name, value)
    for port in sorted(config.get("ExposedPorts", {})):
        number, _, protocol = port.partition("/")
        container = container.with_exposed_port(
            int(number), protocol=dagger.NetworkProtocol[protocol.upper() or "TCP"], experimental_skip_healthcheck=True
        )
    if health := config.get("Healthcheck"):
        container = _with_health(container, health["Test"], health)
    # The entrypoint goes first: Dagger forgets the command when it is set.
    container = container.with_entrypoint(list(config.get("Entrypoint", ())))
    container = container.with_default_args(list(config.get("Cmd", ())))
    container = container.with_workdir(config.get("WorkingDir", "/"))
    return container.with_user(config.get("User", ""))


def _with_health(container: dagger.Container, test: Sequence[str], times: Mapping[str, int]) -> dagger.Container:
    kind, *command = test
    return container.with_docker_healthcheck(
        command,
        shell=kind == "CMD-SHELL",
        interval=_duration(times["Interval"]),
        timeout=_duration(times["Timeout"]),
        start_period=_duration(times["StartPeriod"]),
        retries=times["Retries"],
    )


def _duration(nanoseconds: int) -> str:
    return f"{nanoseconds // _NANOSECONDS}s"
