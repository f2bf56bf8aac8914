"""The layer of a component: its packages below `/opt/<component>`, and the commands it gives.

A toolchain's commands lie in its own `bin`, which the base links where people find them, or nobody does where a program
brings it. A program's are linked in /usr/local/bin; one that brings toolchains is started with these at the head of its
PATH, wherever it is put, so that its layer is the same on every base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.compose.layers import BINARIES, EPOCH, Layer, skeleton
from pipeline.compose.packages import contents
from pipeline.graph import Copy, State, scratch
from pipeline.graph.ops import FileAction
from pipeline.models.defined import Defined, Program
from pipeline.models.kinds import Toolchain
from pipeline.models.packages import Package
from pipeline.models.parts import User
from pipeline.platform import Platform
from pipeline.resolve.pins import PackagesLock

_WITH_TOOLCHAINS = """\
#!/bin/sh
PATH="{folders}:$PATH" exec {file} "$@"
"""


def toolchain_layer(
    toolchain: Defined[Toolchain], lock: PackagesLock, platform: Platform, builder: State | None
) -> Layer:
    """Return the layer of a toolchain, the same on PATH and off it.

    `builder` installs wheels. Raises LockError where a package is not locked for `platform`.
    """
    links = {command: file for command, file in toolchain_commands(toolchain).items() if command != file}
    return _layer(f"toolchains/{toolchain.name}", toolchain, lock, platform, builder, links, {}, None)


def program_layer(
    component: str, program: Program, lock: PackagesLock, platform: Platform, builder: State | None, user: User
) -> Layer:
    """Return the layer of an agent or toolpack, with the folders of its volumes, which are `user`'s.

    `builder` installs wheels. Raises LockError where a package is not locked for `platform`.
    """
    commands = program_commands(component, program)
    if not program.model.spec.brings:
        return _layer(component, program, lock, platform, builder, commands, {}, user)
    folders = ":".join(f"/opt/toolchains/{name}/bin" for name in program.model.spec.brings)
    scripts = {path: _WITH_TOOLCHAINS.format(folders=folders, file=file) for path, file in commands.items()}
    return _layer(component, program, lock, platform, builder, {}, scripts, user)


def toolchain_commands(toolchain: Defined[Toolchain]) -> Mapping[str, str]:
    """Return the paths of a toolchain's commands, each with the file it runs."""
    prefix = f"/opt/toolchains/{toolchain.name}"
    return {f"{prefix}/bin/{name}": file for name, file in _binaries(prefix, toolchain.model.spec.packages)}


def program_commands(component: str, program: Program) -> Mapping[str, str]:
    """Return the paths of a program's commands, each with the file it runs."""
    prefix = f"/opt/{component}"
    return {f"{BINARIES}/{name}": file for name, file in _binaries(prefix, program.model.spec.packages)}


def _binaries(prefix: str, packages: tuple[Package, ...]) -> Iterator[tuple[str, str]]:
    for package in packages:
        for name, file in package.binaries.items():
            yield name, "/".join(part for part in (prefix, package.folder, file) if part)


def _layer(
    component: str,
    defined: Defined[Toolchain] | Program,
    lock: PackagesLock,
    platform: Platform,
    builder: State | None,
    links: Mapping[str, str],
    scripts: Mapping[str, str],
    user: User | None,
) -> Layer:
    actions: list[FileAction] = []
    folders = {path.rpartition("/")[0] for path in (*links, *scripts)}
    for index, package in enumerate(defined.model.spec.packages):
        location = defined.at("spec", "packages", index, package.key)
        found = contents(component, package, lock.pin(package.name), platform, builder, location)
        actions.extend(found.actions)
        folders |= found.folders
    volumes = () if isinstance(defined.model, Toolchain) else defined.model.spec.volumes
    frame = skeleton(folders, links, scripts, volumes, user).named(f"{component}: folders and commands")
    actions.append(Copy(frame, "/", "/", None, EPOCH))
    location = defined.at("spec", "packages", 0, defined.model.spec.packages[0].key)
    return Layer(component, lock.version, scratch().files(*actions).named(component, location))
