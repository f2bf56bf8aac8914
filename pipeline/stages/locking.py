"""Resolve what is missing or stale in the lock, and what the person asked to move; leave all other pins alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.errors import AgcError, EngineError, ErrorGroup, ResolveError, UsageError
from pipeline.graph import State, image, layout
from pipeline.models.choices import suggest
from pipeline.models.defined import Defined, Program
from pipeline.models.kinds import Base, Root, Toolchain
from pipeline.platform import Platform, parse_platform
from pipeline.resolve.debian import resolve_packages
from pipeline.resolve.lock import (
    Locks,
    root_inputs,
    stale,
    system_inputs,
    system_packages,
    tool_packages,
    write_lock,
)
from pipeline.resolve.oci import resolve_image
from pipeline.resolve.pins import (
    BootstrapPin,
    ComponentLock,
    ImagePin,
    RootLock,
    SystemLock,
    SystemPin,
)
from pipeline.stages.packages import lock_packages
from pipeline.stages.project import Project
from pipeline.stages.roots import archive_mirrors, lies_here, make_root
from pipeline.stages.upgrade import LockChange, LockRequest, LockResult, PackageReport, describe
from pipeline.stages.workbench import Workbench

EVERYTHING = "all"


@dataclass(frozen=True, slots=True)
class _Resolved:
    """The new lock of a component, and what became of its packages."""

    lock: ComponentLock
    packages: tuple[PackageReport, ...] = ()


async def update_locks(project: Project, request: LockRequest, bench: Workbench) -> LockResult:
    """Bring the lock up to date, write it, and return what changed.

    Every component is tried, and what failed stands in the result: the others were written.
    """
    names = _components(project, request.upgrade)
    locks = project.locks
    errors: list[AgcError] = []
    changes: list[LockChange] = []
    packages: list[PackageReport] = []
    for component in _in_order(project):
        needed = {error.message.split(" ", 1)[0] for error in stale(locks, project.definitions)}
        incomplete = _incomplete(locks, component)
        if component not in names and component not in needed and not incomplete:
            continue
        keep = component not in names and component not in needed
        try:
            resolved = await _resolve(replace(project, locks=locks), component, bench, request, keep=keep)
        except ErrorGroup as error:
            errors.extend(error.errors)
            continue
        except AgcError as error:
            errors.append(error)
            continue
        before, lock = {known.component: known for known in locks.all()}.get(component), resolved.lock
        packages.extend(resolved.packages)
        locks = locks.with_lock(lock)
        # What is as it was stays where it was: a project need not keep a copy of a pin this package ships.
        if before != lock and write_lock(lock, project.lock_folder):
            changes.append(LockChange(component, describe(before), describe(lock)))
    return LockResult(tuple(changes), tuple(packages), tuple(errors))


def _components(project: Project, upgrade: Iterable[str]) -> set[str]:
    known = list(_in_order(project))
    names: set[str] = set()
    for name in upgrade:
        found = {item for item in known if name in {item, item.partition("/")[2], EVERYTHING}}
        if not found:
            short = [item.partition("/")[2] for item in known]
            raise UsageError(f"there is nothing named {name!r} to upgrade", remedy=suggest(name, short))
        names |= found
    return names


def _in_order(project: Project) -> Iterator[str]:
    definitions = project.definitions
    yield from (f"roots/{name}" for name in definitions.roots)
    yield from (f"toolchains/{name}" for name in definitions.toolchains)
    yield from (f"bases/{name}" for name in definitions.bases)
    yield from (f"agents/{name}" for name in definitions.agents)
    yield from (f"toolpacks/{name}" for name in definitions.toolpacks)


def _incomplete(locks: Locks, component: str) -> bool:
    """Tell whether a root lacks a source that might be reachable now."""
    folder, _, name = component.partition("/")
    return folder == "roots" and name in locks.roots and locks.roots[name].image is None


async def _resolve(
    project: Project, component: str, bench: Workbench, request: LockRequest, *, keep: bool
) -> _Resolved:
    folder, _, name = component.partition("/")
    definitions = project.definitions
    match folder:
        case "roots":
            return _Resolved(await _root(definitions.roots[name], project, bench, keep=keep))
        case "bases":
            return _Resolved(await _base(definitions.bases[name], project, bench))
        case "toolchains":
            made: Defined[Toolchain] | Program = definitions.toolchains[name]
            locked = project.locks.toolchains.get(name)
        case "agents":
            made, locked = definitions.agents[name], project.locks.agents.get(name)
        case _:
            made, locked = definitions.toolpacks[name], project.locks.toolpacks.get(name)
    return _Resolved(*await lock_packages(made, locked, project, bench, request))


async def _root(root: Defined[Root], project: Project, bench: Workbench, *, keep: bool) -> RootLock:
    spec = root.model.spec
    old = project.locks.roots.get(root.name)
    current = old if old and old.inputs == root_inputs(spec) else None
    pinned: dict[str, BootstrapPin] = dict(current.bootstrap) if current else {}
    for name in () if keep else spec.platforms:
        try:
            pinned[name] = await make_root(root, parse_platform(name), bench)
        except EngineError as error:
            bench.reporter.notify(f"warning: {root.name} for {name} was not bootstrapped: {error.message}")
    found = await _image(root, bench) or (current.image if current else None)
    if not pinned and found is None:
        raise ResolveError(
            f"root {root.name} could be had from neither of its sources", location=root.at("spec"), remedy="agc doctor"
        )
    return RootLock(component=f"roots/{root.name}", inputs=root_inputs(spec), image=found, bootstrap=pinned)


async def _image(root: Defined[Root], bench: Workbench) -> ImagePin | None:
    spec = root.model.spec
    try:
        async with bench.http_client() as client:
            found = await resolve_image(bench.settings.mirrored(spec.image), spec.platforms, client)
            return found.model_copy(update={"ref": spec.image})
    except ResolveError as error:
        bench.reporter.notify(f"note: {error.message}; the root is locked from the Debian archive alone")
        return None


async def _base(base: Defined[Base], project: Project, bench: Workbench) -> SystemLock:
    spec = base.model.spec
    root = project.definitions.roots[spec.root]
    lock = project.locks.roots.get(root.name)
    if lock is None:
        raise ResolveError(f"base {base.name} waits for its root {root.name}", location=base.at("spec", "root"))
    names = system_packages(project.definitions, spec)
    tools = tool_packages(project.definitions.common_tools[name].model.spec for name in spec.common_tools)
    pins = []
    async for source, platform, state in _roots_of(root, lock, bench):
        found = await resolve_packages(
            state,
            root.model.spec,
            names,
            tools,
            archive_mirrors(root.model.spec, bench),
            platform,
            bench.solve_files,
            base.at("spec"),
        )
        digest = lock.digest(source, str(platform))
        pins.append(
            SystemPin(source=source, platform=str(platform), root=digest, packages=found.packages, tools=found.tools)
        )
    inputs = system_inputs(project.definitions, spec)
    return SystemLock(component=f"bases/{base.name}", inputs=inputs, system=tuple(pins))


async def _roots_of(
    root: Defined[Root], lock: RootLock, bench: Workbench
) -> AsyncIterator[tuple[Literal["image", "bootstrap"], Platform, State]]:
    """Yield every locked source and platform of a root, with the state to resolve in."""
    if lock.image:
        repository = root.model.spec.image.rpartition(":")[0]
        for name, digest in sorted(lock.image.platforms.items()):
            yield "image", parse_platform(name), image(f"{repository}@{digest}")
    for name, pin in sorted(lock.bootstrap.items()):
        if not lies_here(pin, bench):
            made = await make_root(root, parse_platform(name), bench)
            if made.digest != pin.digest:
                raise ResolveError(
                    f"the archive no longer gives root {root.name} for {name} as it is locked",
                    location=root.at("spec"),
                    remedy=f"agc lock --upgrade {root.name}",
                )
        yield "bootstrap", parse_platform(name), layout(pin.digest, root.name)
