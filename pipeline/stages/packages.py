"""Lock the packages of a component: settle which release of each is taken, and pin what it consists of."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pipeline.compose.image import compose
from pipeline.errors import Location, ResolveError
from pipeline.graph import State, layout
from pipeline.models.defined import Defined, Program
from pipeline.models.kinds import FOLDERS, Toolchain
from pipeline.models.packages import ImageFiles, NpmArchive, PypiPackage
from pipeline.platform import host_platform
from pipeline.resolve.archives import pin_archives
from pipeline.resolve.capabilities import provided
from pipeline.resolve.cooldown import Caution, Decision
from pipeline.resolve.lock import packages_inputs
from pipeline.resolve.npm import Candidate
from pipeline.resolve.pins import ArchivePin, NpmPin, PackagePin, PackagesLock, TreePin
from pipeline.resolve.plan import plan_images
from pipeline.resolve.tree import Branch, resolve_tree
from pipeline.settings import NPM_REGISTRY
from pipeline.stages.project import Project
from pipeline.stages.roots import lay_roots, lies_here, make_root
from pipeline.stages.settling import Place, Settled, settle
from pipeline.stages.settling_files import settle_image, settle_pypi
from pipeline.stages.upgrade import LockRequest, PackageReport, report_packages
from pipeline.stages.workbench import Workbench


async def lock_packages(
    defined: Defined[Toolchain] | Program,
    old: PackagesLock | None,
    project: Project,
    bench: Workbench,
    request: LockRequest,
) -> tuple[PackagesLock, tuple[PackageReport, ...]]:
    """Return the lock of a toolchain, agent or toolpack whose lock is `old`, and what became of each package.

    Raises ResolveError, RefusedError, IntegrityError.
    """
    component = f"{FOLDERS[defined.model.kind]}/{defined.name}"
    packages, location = defined.model.spec.packages, defined.at("spec", "packages")
    inputs, caution = packages_inputs(packages), request.caution(defined.model.spec.cool_down)
    current = old is not None and old.inputs == inputs
    pins: list[PackagePin] = []
    decisions: dict[str, Decision] = {}
    found: tuple[Decision, PackagePin]
    for index, package in enumerate(packages):
        at = defined.at("spec", "packages", index, package.key)
        known = old.find(package.name) if old else None
        match package:
            case NpmArchive():
                pin = known if isinstance(known, NpmPin) else None
                found = await _npm(package, Place(component, at, pin, current), caution, project, bench)
            case PypiPackage():
                found = await settle_pypi(package, Place(component, at, known, current), caution, project, bench)
            case ImageFiles():
                found = await settle_image(package, Place(component, at, known, current), caution, project, bench)
        decisions[package.name], settled = found
        pins.append(settled)
    lock = PackagesLock(component=component, inputs=inputs, packages=tuple(pins))
    tools, host = partial(_tools, project, bench, location), host_platform()
    return lock, await report_packages(old, lock, decisions, caution, tools, host, bench.solve_files, location)


async def _npm(
    package: NpmArchive, place: Place[NpmPin], caution: Caution, project: Project, bench: Workbench
) -> tuple[Decision, NpmPin]:
    one = await settle(package, place, caution, bench, partial(_tree, package, project, bench, place.location))
    if one.kept:
        return one.decision, one.kept
    tools = await _tools(project, bench, place.location)
    pins = await pin_archives(one.candidates, tools, host_platform(), bench.solve_files, place.location)
    return one.decision, _npm_pin(one, pins)


def _npm_pin(one: Settled, pins: Mapping[Candidate, ArchivePin]) -> NpmPin:
    chosen = one.chosen
    if not one.tree:
        archives = {platform: pins[item] for platform, item in chosen.archives.items()}
        return NpmPin(npm=chosen.npm, version=chosen.version, archives=archives)
    branches = (TreePin(path=item.path, archive=pins[item.archive], platforms=item.platforms) for item in one.tree)
    return NpmPin(npm=chosen.npm, version=chosen.version, tree=tuple(branches))


async def _tree(
    package: NpmArchive, project: Project, bench: Workbench, location: Location, version: str, caution: Caution
) -> tuple[Branch, ...]:
    """Resolve a tree with the npm of the first base that has one; which decides nothing that is built."""
    host, platforms = host_platform(), project.platforms
    for base in project.definitions.bases.values():
        if "npm" in provided(base, project.definitions, project.locks) and base.name in project.locks.bases:
            (plan,) = plan_images((base.name,), (host,), project.definitions, project.locks, "bootstrap")
            (laid,) = await lay_roots((plan,), project.locks.roots, bench, locked=False)
            registry, tools = bench.settings.mirrored(NPM_REGISTRY), compose(laid).rootfs
            solve, fetch = bench.solve_files, bench.fetch_npm
            return await resolve_tree(
                package, version, tools, registry, platforms, host, solve, location, caution, fetch
            )
    raise ResolveError("no base has npm, by which trees are resolved", location=location, remedy="define one with node")


async def _tools(project: Project, bench: Workbench, location: Location) -> State:
    """Return a root with coreutils for this machine, any will do: its versions decide nothing."""
    host = host_platform()
    for name, lock in project.locks.roots.items():
        pin = lock.bootstrap.get(str(host))
        if pin and lies_here(pin, bench):
            return layout(pin.digest, name)
    for root in project.definitions.roots.values():
        made = await make_root(root, host, bench)
        return layout(made.digest, root.name)
    raise ResolveError("no root is defined to check archives in", location=location)
