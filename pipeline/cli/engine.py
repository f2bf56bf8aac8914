"""`agc engine`: the daemon that builds."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.app import Session, run_command, session_of
from pipeline.cli.output import Line, human_size, line, table
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from pipeline.engine.buildkit.daemon import DaemonStatus

_ARCHIVES = "dagger"
_FOUND_AGAIN = ("images", "results", "sbom")

command = typer.Typer(help="Show, start, stop or prune the build engine.", invoke_without_command=True)


@command.callback()
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@command.command()
def status(context: typer.Context) -> None:
    """Show the embedded daemon: whether it runs, where, and how much disk it holds."""
    from pipeline.engine.buildkit import daemon

    session = session_of(context)
    settings = _settings(session)
    found = daemon.status(settings)
    data: dict[str, Any] = {"running": bool(found and found.running), "configured": settings.engine.host or None}
    if found:
        data |= {
            "address": found.address,
            "pid": found.pid,
            "version": found.version,
            "started": found.started.isoformat(),
            "root": str(found.root),
            "diskBytes": found.disk_bytes,
        }
    session.output.result(data, lambda: _status_lines(found, settings))


@command.command()
def start(context: typer.Context) -> None:
    """Find or start an engine, as a build would, and say which."""
    from pipeline.engine.buildkit.locate import connect

    async def work(session: Session) -> dict[str, str]:
        located = await connect(_settings(session), session.output.note)
        return {"kind": str(located.kind), "address": located.engine.address, "detail": located.detail}

    found = run_command(context, work)
    session_of(context).output.result(found, lambda: [line(f"{found['kind']}: {found['detail']}")])


@command.command()
def stop(context: typer.Context) -> None:
    """Stop the embedded daemon; what it has built stays on disk."""
    from pipeline.engine.buildkit import daemon

    async def work(session: Session) -> bool:
        return await daemon.stop(_settings(session))

    stopped = run_command(context, work)
    words = "stopped" if stopped else "was not running"
    session_of(context).output.result({"stopped": stopped}, lambda: [line(words)])


@command.command()
def prune(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also what the next build could use.")] = False,
) -> None:
    """Delete build cache. Locked roots stay: the archive may not give them a second time."""
    from pipeline.engine.choose import prune_engine

    async def work(session: Session) -> int:
        settings = _settings(session).on_engine(session.engine)
        freed = await prune_engine(settings, session.output.note, everything=everything)
        # The archives that Dagger is given are made of the roots again in a second.
        folders = (_ARCHIVES, *(_FOUND_AGAIN if everything else ()))
        return freed + sum(_remove(settings.cache / folder) for folder in folders)

    freed = run_command(context, work)
    session_of(context).output.result({"freedBytes": freed}, lambda: [line(f"freed {human_size(freed)}")])


def _remove(folder: Path) -> int:
    """Delete a folder and return the bytes that were in it; what others have deleted meanwhile is passed over."""
    size = 0
    for file in folder.rglob("*") if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            size += file.stat().st_size if file.is_file() else 0
    shutil.rmtree(folder, ignore_errors=True)
    return size


def _settings(session: Session) -> Settings:
    return load_settings(session.project, os.environ)


def _status_lines(found: DaemonStatus | None, settings: Settings) -> list[Line]:
    configured = [line(f"configured: {settings.engine.host}")] if settings.engine.host else []
    if found is None or not found.running:
        return configured or [line("no embedded daemon runs; the next build starts one")]
    rows = [
        ("running", f"pid {found.pid}, {found.version}, since {found.started:%Y-%m-%d %H:%M}"),
        ("address", found.address),
        ("state", f"{found.root} ({human_size(found.disk_bytes)})"),
    ]
    return [*configured, *table(rows)]
