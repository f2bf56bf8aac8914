"""Where a built image goes: an OCI layout, a Docker daemon, a registry, or nowhere."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import anyio

from pipeline.digest import Digest
from pipeline.engine.docker_archive import write_docker_archive
from pipeline.errors import OutputError, UsageError
from pipeline.platform import Platform
from pipeline.stages.workbench import Workbench

_FORMS = "oci:DIR, docker, push:REGISTRY/NAMESPACE or none"


class OutputKind(StrEnum):
    """The kinds of place."""

    OCI = "oci"
    DOCKER = "docker"
    PUSH = "push"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Output:
    """A place; `target` is the folder or the registry namespace."""

    kind: OutputKind
    target: str = ""

    def layout(self, cache: Path) -> Path:
        """Return the layout every build writes: the one asked for, or one of our own."""
        return Path(self.target).absolute() if self.kind is OutputKind.OCI else cache / "images"


def parse_output(text: str) -> Output:
    """Return the output `text` names; raises UsageError with the forms there are."""
    kind, _, target = text.partition(":")
    match kind:
        case "oci" if target:
            return Output(OutputKind.OCI, target)
        case "push" if target.strip("/"):
            return Output(OutputKind.PUSH, target.strip("/"))
        case "docker" | "none" if not target:
            return Output(OutputKind(kind))
    raise UsageError(f"unknown output {text!r}", remedy=f"use {_FORMS}")


def check_output(output: Output, platforms: tuple[Platform, ...]) -> None:
    """Raise, before anything is built, where the output cannot work."""
    if output.kind is OutputKind.DOCKER:
        if len(platforms) > 1:
            raise UsageError("docker holds one platform of an image", remedy="give one --platform, or use oci:DIR")
        if shutil.which("docker") is None:
            raise OutputError("docker is not installed", remedy="use --output oci:DIR")


async def deliver(output: Output, name: str, manifest: Digest, bench: Workbench) -> None:
    """Hand the image `manifest`, which lies in the layout, to a daemon on this machine, where that is wanted."""
    if output.kind is OutputKind.DOCKER:
        await _load(name, output.layout(bench.settings.cache), manifest, bench)


def destination(output: Output, name: str) -> tuple[str, ...]:
    """Return where an image went, line by line."""
    match output.kind:
        case OutputKind.OCI:
            return (f"OCI layout {output.target}, as {name}",)
        case OutputKind.DOCKER:
            return (f"docker image {name}:latest",)
        case OutputKind.PUSH:
            return (f"{output.target}/{name}:latest",)
        case OutputKind.NONE:
            return ()


def run_command(output: Output, name: str, digest: str, secrets: tuple[str, ...]) -> str:
    """Return the command that runs the image from where it went."""
    environment = "".join(f" -e {secret}" for secret in secrets[:1])
    options = f'docker run --rm -it{environment} -v "$PWD":/workspace'
    match output.kind:
        case OutputKind.DOCKER:
            return f"{options} {name}"
        case OutputKind.PUSH:
            return f"{options} {output.target}/{name}@{digest}"
        case OutputKind.OCI:
            # Not `skopeo copy oci:… docker-daemon:…`: before 1.14 it cannot read zstd (containers/image#1260).
            return f"agc build {name} -o docker && {options} {name}"
        case OutputKind.NONE:
            return ""


async def _load(name: str, layout: Path, manifest: Digest, bench: Workbench) -> None:
    """Stream the image out of the layout into `docker load`, whichever engine built it."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stdin, os.fdopen(writer, "wb") as pipe:

        def write() -> None:
            # Docker that ended early says why; that its pipe is closed does not.
            with contextlib.suppress(BrokenPipeError), pipe:
                write_docker_archive(pipe, layout, manifest, f"{name}:latest")

        async with await anyio.open_process(["docker", "load", "--quiet"], stdin=stdin) as docker:
            stdin.close()
            with bench.reporter.stage("docker load"):
                # Abandoned, it ends by itself: Docker is ended, which closes the other end.
                await anyio.to_thread.run_sync(write, abandon_on_cancel=True)
                words = b"".join([chunk async for chunk in docker.stderr]) if docker.stderr else b""
                if await docker.wait() != 0:
                    reason = words.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
                    raise OutputError(f"docker load failed: {reason[0]}", remedy="docker info")
