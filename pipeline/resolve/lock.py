"""Read, check and write the lock.

Rules kept here:

- a lock file carries a checksum of itself: one that was edited by hand or merged badly is refused, because nobody
  verified what it now says;
- `inputs` is the digest of the part of a definition the pins answer: a definition that moved on makes the lock stale;
- files are written whole, under a temporary name, then renamed; only what changed is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.digest import Canonical, Digest, digest_json
from pipeline.errors import AgcError, ErrorGroup, Location, LockError
from pipeline.files import write_text
from pipeline.models.defined import Defined, Definitions
from pipeline.models.kinds import BaseSpec, CommonToolsSpec, RootSpec, ToolchainSpec
from pipeline.models.packages import ImageFiles, NpmArchive, Package, PypiPackage
from pipeline.resolve.pins import ComponentLock, PackagesLock, RootLock, SystemLock

Lock = TypeVar("Lock", bound=ComponentLock)


@dataclass(frozen=True, slots=True)
class Locks:
    """The locks of a project by component name."""

    roots: Mapping[str, RootLock] = field(default_factory=dict)
    toolchains: Mapping[str, PackagesLock] = field(default_factory=dict)
    bases: Mapping[str, SystemLock] = field(default_factory=dict)
    agents: Mapping[str, PackagesLock] = field(default_factory=dict)
    toolpacks: Mapping[str, PackagesLock] = field(default_factory=dict)

    def all(self) -> Iterator[ComponentLock]:
        """Yield every lock, in the order components depend on each other."""
        yield from self.roots.values()
        yield from self.toolchains.values()
        yield from self.bases.values()
        yield from self.agents.values()
        yield from self.toolpacks.values()

    def __post_init__(self) -> None:
        for folder, locks in _by_folder(self).items():
            object.__setattr__(self, folder, MappingProxyType(dict(locks)))

    def with_lock(self, lock: ComponentLock) -> Locks:
        """Return these locks with one added or replaced."""
        folder, _, name = lock.component.partition("/")
        return Locks(**{**_by_folder(self), folder: {**_by_folder(self)[folder], name: lock}})  # type: ignore[arg-type]

    def digest(self) -> Digest:
        """Return the digest of everything that is locked."""
        return digest_json([_content(lock) for lock in self.all()])


def _by_folder(locks: Locks) -> dict[str, Mapping[str, ComponentLock]]:
    return {
        "roots": locks.roots,
        "toolchains": locks.toolchains,
        "bases": locks.bases,
        "agents": locks.agents,
        "toolpacks": locks.toolpacks,
    }


def packages_inputs(packages: Iterable[Package]) -> Digest:
    """Return the digest of what decides which packages are locked."""
    return digest_json([_input(package) for package in packages])


def _input(package: Package) -> Canonical:
    match package:
        case NpmArchive():
            sources: list[Canonical] = [list(pair) for pair in sorted((package.platforms or {}).items())]
            asked: list[Canonical] = [package.npm, package.version, sources]
            return [*asked, list(package.skip_scripts)] if package.tree else asked
        case PypiPackage():
            return ["pypi", package.pypi, package.version, sorted(package.extras), package.python]
        case ImageFiles():
            return ["image", package.image, package.version_from]


def root_inputs(spec: RootSpec) -> Digest:
    """Return the digest of what decides what a root is."""
    return digest_json(spec.model_dump(mode="json"))


def system_packages(definitions: Definitions, spec: BaseSpec) -> tuple[str, ...]:
    """Return the Debian packages a base asks for, its own, its common tools' and its toolchains', sorted."""
    return asked_for(
        spec,
        (definitions.common_tools[name].model.spec for name in spec.common_tools),
        (definitions.toolchains[name].model.spec for name in spec.toolchains),
    )


def asked_for(
    base: BaseSpec, common_tools: Iterable[CommonToolsSpec], toolchains: Iterable[ToolchainSpec]
) -> tuple[str, ...]:
    """Return the Debian packages that a base, its common tools and its toolchains name, each once, sorted."""
    lists = (base.debian, *(spec.debian for spec in common_tools), *(spec.debian for spec in toolchains))
    return tuple(sorted(set(chain.from_iterable(lists))))


def tool_packages(common_tools: Iterable[CommonToolsSpec]) -> tuple[str, ...]:
    """Return the Debian packages that common tools name, each once, sorted."""
    return tuple(sorted(set(chain.from_iterable(spec.debian for spec in common_tools))))


def system_inputs(definitions: Definitions, spec: BaseSpec) -> Digest:
    """Return the digest of what decides which Debian packages a base gets."""
    tools = tool_packages(definitions.common_tools[name].model.spec for name in spec.common_tools)
    packages = list(system_packages(definitions, spec))
    return digest_json({"root": spec.root, "packages": packages, **({"tools": list(tools)} if tools else {})})


def read_locks(folders: Iterable[Path], definitions: Definitions) -> tuple[Locks, tuple[AgcError, ...]]:
    """Return the usable locks, later folders before earlier ones, and what is wrong with the others."""
    errors: list[AgcError] = []
    order = tuple(folders)

    def read(kind: type[Lock], folder: str, names: Iterable[str]) -> dict[str, Lock]:
        found = {}
        for name in names:
            path = next((base / folder / f"{name}.json" for base in reversed(order) if _has(base, folder, name)), None)
            if path is None:
                continue
            try:
                found[name] = _read(path, kind, f"{folder}/{name}")
            except LockError as error:
                errors.append(error)
        return found

    locks = Locks(
        read(RootLock, "roots", definitions.roots),
        read(PackagesLock, "toolchains", definitions.toolchains),
        read(SystemLock, "bases", definitions.bases),
        read(PackagesLock, "agents", definitions.agents),
        read(PackagesLock, "toolpacks", definitions.toolpacks),
    )
    return locks, tuple(errors)


def require(locks: Locks, definitions: Definitions, damage: Iterable[AgcError]) -> None:
    """Raise ErrorGroup with every component whose lock is damaged, missing or stale."""
    damaged = tuple(damage)
    files = tuple(error.location.file for error in damaged if error.location)
    # A damaged lock is not among `locks`; it is not missing for that.
    others = [error for error in stale(locks, definitions) if not _named(error, files)]
    if damaged or others:
        raise ErrorGroup((*damaged, *others))


def stale(locks: Locks, definitions: Definitions) -> tuple[LockError, ...]:
    """Return an error for every component whose lock is missing or answers an older definition."""
    wanted: tuple[tuple[str, Defined[Any], Digest], ...] = (
        *((f"roots/{it.name}", it, root_inputs(it.model.spec)) for it in definitions.roots.values()),
        *(
            (f"toolchains/{it.name}", it, packages_inputs(it.model.spec.packages))
            for it in definitions.toolchains.values()
        ),
        *((f"bases/{it.name}", it, system_inputs(definitions, it.model.spec)) for it in definitions.bases.values()),
        *((f"agents/{it.name}", it, packages_inputs(it.model.spec.packages)) for it in definitions.agents.values()),
        *(
            (f"toolpacks/{it.name}", it, packages_inputs(it.model.spec.packages))
            for it in definitions.toolpacks.values()
        ),
    )
    known = {lock.component: lock for lock in locks.all()}
    errors = []
    for component, defined, inputs in wanted:
        lock = known.get(component)
        if lock is None:
            errors.append(LockError(f"{component} is not locked", location=defined.at("spec"), remedy="agc lock"))
        elif lock.inputs != inputs or not _on_its_root(lock, locks, definitions):
            text = f"{component} changed since it was locked"
            errors.append(LockError(text, location=defined.at("spec"), remedy="agc lock"))
    return tuple(errors)


def _on_its_root(lock: ComponentLock, locks: Locks, definitions: Definitions) -> bool:
    """Tell whether the Debian packages of a base were resolved on every root that is locked now, and on no other."""
    if not isinstance(lock, SystemLock):
        return True
    root = locks.roots.get(definitions.bases[lock.component.partition("/")[2]].model.spec.root)
    if root is None:
        return True
    resolved = {(pin.source, pin.platform): pin.root for pin in lock.system}
    return resolved == dict(root.digests())


def _named(error: LockError, files: Iterable[str]) -> bool:
    component = error.message.partition(" ")[0]
    return any(file.endswith(f"/{component}.json") for file in files)


def _read(path: Path, kind: type[Lock], component: str) -> Lock:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise LockError(f"cannot be read: {reason}", location=Location(str(path)), remedy=_again(str(path))) from error
    lock = parse_lock(text, kind, str(path))
    if lock.component != component:
        text = f"is the lock of {lock.component}, not of {component}"
        raise LockError(text, location=Location(str(path)), remedy=_again(str(path)))
    return lock


def parse_lock(text: str, kind: type[Lock], shown: str) -> Lock:
    """Return the lock in `text`; raises LockError where it is malformed or its checksum does not fit."""
    place = Location(shown)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LockError(f"is no lock file: {error}", location=place, remedy=_again(shown)) from error
    if not isinstance(document, dict):
        raise LockError("is no lock file: it holds no object", location=place, remedy=_again(shown))
    checksum = document.pop("checksum", None)
    if checksum is None or checksum != _checksum(document):
        raise LockError(
            "integrity mismatch: the file is not what `agc lock` wrote (edited by hand, or merged)",
            location=place,
            remedy=_again(shown),
        )
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise LockError(text, location=place, remedy=_again(shown)) from error


def render_lock(lock: ComponentLock) -> str:
    """Return the text of a lock file."""
    content = _content(lock)
    document = {**content, "checksum": digest_json(content)}
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write_lock(lock: ComponentLock, folder: Path) -> bool:
    """Write a lock file below `folder` and tell whether it changed anything; raises OutputError."""
    path = folder / f"{lock.component}.json"
    text = render_lock(lock)
    if path.is_file() and path.read_bytes() == text.encode():
        return False
    write_text(path, text)
    return True


def _has(base: Path, folder: str, name: str) -> bool:
    return (base / folder / f"{name}.json").is_file()


def _again(shown: str) -> str:
    return f"agc lock --upgrade {Path(shown).stem}"


def _content(lock: ComponentLock) -> dict[str, Canonical]:
    content: dict[str, Canonical] = lock.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**content, "schema": lock.lock_schema}


def _checksum(content: Any) -> Digest | None:
    """Return the checksum of what a file holds; None for what this program never writes, a fraction for example."""
    try:
        return digest_json(content)
    except (TypeError, RecursionError, UnicodeEncodeError):
        return None
