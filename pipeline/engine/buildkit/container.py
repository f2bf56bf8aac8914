"""BuildKit in a container of Docker or Podman: one container, kept between builds, its cache in a volume.

Files reach the container by `cp`, not by bind mounts, so that a remote Docker works too. The container carries the
digest of its settings as a label and is made anew where they changed; the volume stays.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import anyio

from pipeline.digest import digest_file, digest_json
from pipeline.engine.buildkit.daemon_config import config_text, daemon_environment
from pipeline.engine.buildkit.programs import Notify, buildctl_target, exclusive, install
from pipeline.errors import EngineError
from pipeline.settings import Settings

NAME = "agc-buildkitd"
_VOLUME = "agc-buildkit"
_LABEL = "dev.agentcontainers.settings"
_CA = "/etc/agc-ca.pem"
_CONFIG = "/etc/agc-buildkitd.toml"
_ANSWER_SECONDS = 5
_PULL_SECONDS = 600
_START_SECONDS = 30


async def answers(program: str) -> bool:
    """Tell whether the daemon behind `docker` or `podman` answers."""
    try:
        with anyio.fail_after(_ANSWER_SECONDS):
            done = await anyio.run_process([program, "info", "--format={{json .}}"], check=False)
    except (TimeoutError, OSError):
        return False
    return done.returncode == 0


async def ensure_container(settings: Settings, program: str, notify: Notify) -> None:
    """Make the container run with these settings; raises EngineError with the program's words where it does not."""
    wanted = settings_digest(settings)
    async with exclusive(settings.cache / "engine" / "container.lock"):
        found = await _inspect(program)
        if found == (wanted, "true"):
            return
        try:
            if found and found[0] == wanted:
                await _run(program, "start", NAME)
            else:
                await _create(settings, program, wanted, notify)
            await _wait(program)
        except BaseException:
            # Half-made, it would pass for a good one the next time.
            with anyio.CancelScope(shield=True):
                await _call(program, "rm", "--force", NAME)
            raise


async def copy_buildctl(settings: Settings, program: str) -> Path:
    """Return the cached buildctl, taken from the container: it has the daemon's version."""
    target = buildctl_target(settings)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".buildctl-", dir=target.parent) as folder:
        copy = Path(folder) / "buildctl"
        await _run(program, "cp", f"{NAME}:/usr/bin/buildctl", str(copy))
        install(copy, target)
    return target


def settings_digest(settings: Settings) -> str:
    """Return a digest of all that the container was made from."""
    return digest_json(
        {
            "image": settings.engine.image,
            "environment": daemon_environment(settings),
            "ca": digest_file(settings.ca_bundle) if settings.ca_bundle else None,
            "config": config_text(settings),
        }
    )


def create_arguments(image: str, environment: Mapping[str, str], label: str) -> list[str]:
    """Return the arguments of `docker create`."""
    return [
        "create",
        "--privileged",
        f"--name={NAME}",
        "--network=host",
        f"--volume={_VOLUME}:/var/lib/buildkit",
        f"--label={_LABEL}={label}",
        *(f"--env={name}={value}" for name, value in environment.items()),
        image,
        "--allow-insecure-entitlement=network.host",
        f"--config={_CONFIG}",
    ]


def failure(said: str) -> str:
    """Return the line of what Docker or Podman said that has the cause: the first error, not the summary after it."""
    lines = said.strip().splitlines() or ["it said nothing"]
    return next((line for line in lines if line.startswith("Error")), lines[-1])


async def _create(settings: Settings, program: str, label: str, notify: Notify) -> None:
    image = settings.engine.image
    if (await _call(program, "image", "inspect", image)).returncode != 0:
        notify(f"pulling {image}")
        await _run(program, "pull", "--quiet", image, seconds=_PULL_SECONDS)
    await _call(program, "rm", "--force", NAME)
    environment = daemon_environment(settings)
    if settings.ca_bundle:
        environment["SSL_CERT_FILE"] = _CA
    await _run(program, *create_arguments(image, environment, label))
    if settings.ca_bundle:
        # The bundle of a distribution is often a link, and a link to nowhere inside the container.
        await _run(program, "cp", str(settings.ca_bundle.resolve()), f"{NAME}:{_CA}")
    with tempfile.TemporaryDirectory(prefix="agc-") as folder:
        config = Path(folder) / "buildkitd.toml"
        config.write_text(config_text(settings))
        await _run(program, "cp", str(config), f"{NAME}:{_CONFIG}")
    notify(f"starting BuildKit in container {NAME}")
    await _run(program, "start", NAME)


async def _wait(program: str) -> None:
    deadline = anyio.current_time() + _START_SECONDS
    while (await _call(program, "exec", NAME, "buildctl", "debug", "workers")).returncode != 0:
        if anyio.current_time() > deadline:
            done = await _call(program, "logs", "--tail=12", NAME)
            words = (done.stdout + done.stderr).decode(errors="replace").strip()
            raise EngineError(f"BuildKit does not start in container {NAME}:\n{words}", remedy=f"docker logs {NAME}")
        await anyio.sleep(0.2)


async def _inspect(program: str) -> tuple[str, str] | None:
    """Return the container's label and whether it runs; None where there is no such container."""
    template = '{{index .Config.Labels "' + _LABEL + '"}} {{.State.Running}}'
    done = await _call(program, "container", "inspect", f"--format={template}", NAME)
    label, _, state = done.stdout.decode(errors="replace").strip().rpartition(" ")
    return (label, state) if done.returncode == 0 else None


async def _call(program: str, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[bytes]:
    try:
        with anyio.fail_after(seconds):
            return await anyio.run_process([program, *arguments], check=False)
    except TimeoutError as error:
        raise EngineError(f"{Path(program).name} {arguments[0]} took longer than {seconds:.0f} s") from error


async def _run(program: str, *arguments: str, seconds: float = 60) -> None:
    done = await _call(program, *arguments, seconds=seconds)
    if done.returncode != 0:
        raise EngineError(
            f"{Path(program).name} {arguments[0]} failed: {failure(done.stderr.decode(errors='replace'))}"
        )
