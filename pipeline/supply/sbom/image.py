"""Put together what is in an image: what its files say, layer on layer, and what the lock knows of it.

Rules kept here:

- what is in the image decides; a package of the lock that describes itself nowhere in it is listed as the lock has it;
- a package belongs to the component whose layer brings it, so that a component's part is the same in all images;
- everything is sorted: the same image gives the same inventory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline.compose.image import Composition
from pipeline.digest import Digest
from pipeline.engine.layout import Manifest, read_manifest
from pipeline.errors import IntegrityError
from pipeline.resolve.plan import ImagePlan
from pipeline.supply.sbom.described import OS_RELEASE, STATUS
from pipeline.supply.sbom.facts import FileFact, Found, LayerFacts, layered
from pipeline.supply.sbom.inventory import Component, Distribution, Inventory, Package
from pipeline.supply.sbom.layer import layer_facts
from pipeline.supply.sbom.licences import expression
from pipeline.supply.sbom.pinned import Pinned, commands, package_key, parts, pinned

_PROGRAM = 1 << 20
"""Programs of components smaller than this, in bytes, are told by the package they are in."""

_Key = tuple[str, str, str, str]


def image_sbom(layout: Path, manifest: Digest, composition: Composition, cache: Path) -> Inventory:
    """Return what is in the image `manifest` of `layout`, which was made from `composition`.

    Each layer is read once; what was read is kept below `cache`. Raises IntegrityError where a blob is absent or
    damaged, or the image is not that of the composition.
    """
    described = read_manifest(layout, manifest)
    owners = _owners(described, composition)
    facts = tuple(layer_facts(layout, layer.digest, cache) for layer in described.layers)
    return inventory(composition, described, owners, facts)


def inventory(
    composition: Composition, manifest: Manifest, owners: Sequence[str], facts: Sequence[LayerFacts]
) -> Inventory:
    """Return what is in an image: `owners` says of which component each of its blobs is, `facts` what is in it."""
    plan = composition.plan
    left = layered(facts)
    packages = [*_debian(left, facts, owners), *_described(left, owners), *_programs(plan, left, owners)]
    known = {pin.key: pin for pin in pinned(plan)}
    merged = _with_lock(_joined(packages), known)
    return Inventory(
        plan.name,
        plan.platform,
        manifest.descriptor.digest,
        _distribution(left),
        tuple(sorted(_components(composition, manifest, owners))),
        tuple(sorted(merged, key=lambda one: (one.kind, one.name, one.version, one.component, one.architecture))),
    )


def _owners(manifest: Manifest, composition: Composition) -> tuple[str, ...]:
    """Return the component of each blob: a root may have several, anything else has one."""
    names = tuple(layer.component for layer in composition.layers)
    more = len(manifest.layers) - len(names)
    if more < 0 or not names:
        raise IntegrityError(
            f"{composition.plan.name} has {len(manifest.layers)} layers where {len(names)} were composed",
            remedy=f"agc build {composition.plan.name}",
        )
    return (*[names[0]] * more, *names)


def _distribution(left: Mapping[str, tuple[int, FileFact]]) -> Distribution:
    _, fact = left.get(OS_RELEASE, (0, None))
    release = next(iter(fact.packages), None) if fact else None
    return Distribution(release.name, release.version) if release else Distribution()


def _debian(
    left: Mapping[str, tuple[int, FileFact]], facts: Sequence[LayerFacts], owners: Sequence[str]
) -> Iterator[Package]:
    """Yield what dpkg has installed; each belongs to the lowest layer whose status has it."""
    first: dict[Found, str] = {}
    for owner, layer in zip(owners, facts, strict=True):
        for fact in (fact for fact in layer.files if fact.path == STATUS):
            for found in fact.packages:
                first.setdefault(found, owner)
    _, status = left.get(STATUS, (0, FileFact(path=STATUS)))
    for found in status.packages:
        yield Package(
            found.kind,
            found.name,
            found.version,
            architecture=found.architecture,
            component=first[found],
            licence=_copyright(found.name, left),
            source=found.source,
            paths=(STATUS,),
        )


def _copyright(name: str, left: Mapping[str, tuple[int, FileFact]]) -> str:
    """Return the licences in a package's copyright file; its folder, or the file, may be a link to another's."""
    for _ in range(4):
        _, folder = left.get(f"usr/share/doc/{name}", (0, None))
        _, file = left.get(f"usr/share/doc/{name}/copyright", (0, None))
        link = (folder.link if folder else "") or (f"{PurePosixPath(file.link).parent}" if file and file.link else "")
        if not link:
            return expression(file.licence) if file else ""
        name = PurePosixPath(link).name
    return ""


def _described(left: Mapping[str, tuple[int, FileFact]], owners: Sequence[str]) -> Iterator[Package]:
    """Yield the packages of npm and Python, and the modules that programs were linked from."""
    for path, (number, fact) in left.items():
        if path not in {STATUS, OS_RELEASE}:
            for found in (each for each in fact.packages if each.name.strip("/")):
                checksums = (("h1", found.checksum),) if found.checksum else ()
                yield Package(
                    found.kind,
                    found.name,
                    found.version,
                    component=owners[number],
                    licence=expression(found.licence),
                    checksums=checksums,
                    paths=(path,),
                )


def _programs(plan: ImagePlan, left: Mapping[str, tuple[int, FileFact]], owners: Sequence[str]) -> Iterator[Package]:
    """Yield the native programs of components, each by its hash: its command's name, or that of its file."""
    # A file with several names goes by the first.
    named = {command.path: command for command in reversed(tuple(commands(plan)))}
    made = {command.component for command in named.values()}
    licences = {lock.component: program.model.spec.licence.name for program, lock in plan.programs}
    for path, (number, fact) in left.items():
        command = named.get(path)
        if fact.sha256 and owners[number] in made and (command or fact.size >= _PROGRAM):
            yield Package(
                "generic",
                command.name if command else PurePosixPath(path).name,
                command.version if command else _version_around(path, left),
                component=owners[number],
                licence=expression(licences.get(owners[number], "")) if command else "",
                checksums=(("sha256", fact.sha256),),
                paths=(path,),
            )


def _version_around(path: str, left: Mapping[str, tuple[int, FileFact]]) -> str:
    """Return the version of the npm package that a file lies in, "" where it lies in none."""
    for folder in PurePosixPath(path).parents:
        _, fact = left.get(str(folder / "package.json"), (0, None))
        if fact and fact.packages:
            return fact.packages[0].version
    return ""


def _key(package: Package) -> _Key:
    return package_key(package.component, package.kind, package.name, package.version)


def _joined(packages: Sequence[Package]) -> dict[tuple[_Key, str, str], Package]:
    """Return packages that are there several times in one component as one, with all their paths."""
    joined: dict[tuple[_Key, str, str], Package] = {}
    for package in packages:
        file = package.checksums[0][1] if package.kind == "generic" else ""
        key = (_key(package), package.architecture, file)
        before = joined.get(key, package)
        paths = tuple(sorted({*before.paths, *package.paths}))
        joined[key] = replace(before, licence=before.licence or package.licence, paths=paths)
    return joined


def _with_lock(packages: Mapping[tuple[_Key, str, str], Package], known: Mapping[_Key, Pinned]) -> Iterator[Package]:
    there: set[_Key] = set()
    for (key, _, _), package in packages.items():
        there.add(key)
        pin = known.get(key)
        yield replace(package, checksums=pin.checksums, location=pin.location, locked=True) if pin else package
    for key, pin in known.items():
        if key not in there:
            yield Package(
                pin.kind,
                pin.name,
                pin.version,
                architecture=pin.architecture,
                component=pin.component,
                checksums=pin.checksums,
                location=pin.location,
                locked=True,
            )


def _components(composition: Composition, manifest: Manifest, owners: Sequence[str]) -> Iterator[Component]:
    plan = composition.plan
    licences = {lock.component: program.model.spec.licence.name for program, lock in plan.programs}
    homepages = {name: defined.model.metadata.homepage for name, defined, _ in parts(plan)}
    for layer in composition.layers:
        blobs = (blob.digest for blob, owner in zip(manifest.layers, owners, strict=True) if owner == layer.component)
        yield Component(
            layer.component,
            layer.version or layer.pin,
            expression(licences.get(layer.component, "")),
            homepages.get(layer.component, ""),
            tuple(blobs),
        )
