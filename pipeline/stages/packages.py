"""Lock the packages of a component: choose versions, find their files, look into those that need it."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.compose.image import compose
from pipeline.errors import Location, ResolveError
from pipeline.graph import State, layout
from pipeline.models.defined import Defined, Program
from pipeline.models.kinds import Toolchain
from pipeline.models.packages import ImageFiles, NpmArchive, Package, PypiPackage
from pipeline.platform import host_platform
from pipeline.resolve.archives import pin_archives
from pipeline.resolve.capabilities import provided
from pipeline.resolve.lock import packages_inputs
from pipeline.resolve.npm import Candidate, Chosen, choose
from pipeline.resolve.oci import image_environment, resolve_image
from pipeline.resolve.pins import ArchivePin, ImageFilesPin, NpmPin, PackagePin, PackagesLock, PypiPin, TreePin
from pipeline.resolve.plan import plan_images
from pipeline.resolve.pypi import resolve_pypi
from pipeline.resolve.tree import Branch, resolve_tree
from pipeline.settings import NPM_REGISTRY, PYPI_FILES
from pipeline.stages.project import Project
from pipeline.stages.roots import lay_roots, lies_here, make_root
from pipeline.stages.workbench import Workbench


async def lock_packages(
    component: str, defined: Defined[Toolchain] | Program, project: Project, bench: Workbench
) -> PackagesLock:
    """Return the lock of a toolchain, agent or toolpack; raises ResolveError, IntegrityError."""
    packages = defined.model.spec.packages
    pins = [
        await _pin(package, project, bench, defined.at("spec", "packages", index, package.key))
        for index, package in enumerate(packages)
    ]
    return PackagesLock(component=component, inputs=packages_inputs(packages), packages=tuple(pins))


async def _pin(package: Package, project: Project, bench: Workbench, location: Location) -> PackagePin:
    match package:
        case NpmArchive():
            return await _npm(package, project, bench, location)
        case PypiPackage():
            return await _pypi(package, project, bench, location)
        case ImageFiles():
            return await _image(package, project, bench, location)


async def _npm(package: NpmArchive, project: Project, bench: Workbench, location: Location) -> NpmPin:
    one = await choose(package, bench.fetch_npm, location)
    tree = await _tree(package, one.version, project, bench, location) if package.tree else None
    wanted = {branch.archive for branch in tree} if tree is not None else set(one.archives.values())
    tools = await _tools(project, bench, location)
    return _npm_pin(one, tree, await pin_archives(wanted, tools, host_platform(), bench.solve_files, location))


async def _pypi(package: PypiPackage, project: Project, bench: Workbench, location: Location) -> PypiPin:
    # An index that is mirrored may name its own files or the public ones.
    files = tuple(dict.fromkeys((bench.settings.mirrored(PYPI_FILES), PYPI_FILES)))
    with bench.reporter.stage("resolve"):
        return await resolve_pypi(package, _platforms(project), bench.compile_python, files, location)


async def _image(package: ImageFiles, project: Project, bench: Workbench, location: Location) -> ImageFilesPin:
    ref = bench.settings.mirrored(package.image)
    try:
        async with bench.http_client() as client:
            found = await resolve_image(ref, _platforms(project), client)
            variables = await image_environment(ref, next(iter(found.platforms.values())), client)
    except ResolveError as error:
        error.location = location
        error.remedy = f"if this machine cannot reach it, give a mirror of {package.name} in agc.toml, under [mirrors]"
        raise
    version = variables.get(package.version_from)
    if not version:
        has = ", ".join(sorted(variables)) or "none"
        text = f"{package.image} does not say its version in {package.version_from}; its variables: {has}"
        raise ResolveError(text, location=location, remedy="name another under `versionFrom`")
    return ImageFilesPin(image=package.name, version=version, index=found.index)


def _platforms(project: Project) -> list[str]:
    return sorted({name for root in project.definitions.roots.values() for name in root.model.spec.platforms})


def _npm_pin(one: Chosen, tree: tuple[Branch, ...] | None, pins: Mapping[Candidate, ArchivePin]) -> NpmPin:
    if tree is None:
        archives = {platform: pins[item] for platform, item in one.archives.items()}
        return NpmPin(npm=one.npm, version=one.version, archives=archives)
    branches = (TreePin(path=item.path, archive=pins[item.archive], platforms=item.platforms) for item in tree)
    return NpmPin(npm=one.npm, version=one.version, tree=tuple(branches))


async def _tree(
    package: NpmArchive, version: str, project: Project, bench: Workbench, location: Location
) -> tuple[Branch, ...]:
    """Resolve a tree with the npm of the first base that has one; which decides nothing that is built."""
    host = host_platform()
    for base in project.definitions.bases.values():
        if "npm" in provided(base, project.definitions, project.locks):
            (plan,) = plan_images((base.name,), (host,), project.definitions, project.locks, "bootstrap")
            (laid,) = await lay_roots((plan,), project.locks.roots, bench, locked=False)
            registry = bench.settings.mirrored(NPM_REGISTRY)
            tools = compose(laid).rootfs
            return await resolve_tree(
                package, version, tools, registry, _platforms(project), host, bench.solve_files, location
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
