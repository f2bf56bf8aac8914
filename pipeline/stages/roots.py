"""Put the roots of a build in place, and what to do where the Debian archive has moved on since the lock was made.

The archive keeps only the newest version of a package. A bootstrapped root that comes out other than locked, or a
locked package file that is gone, is an error with `--locked`; without it the newer versions are used for this machine's
builds, kept in the cache and never written to the lock, and every such build says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from pipeline.compose.layers import EPOCH
from pipeline.digest import Digest, digest_json, hex_of
from pipeline.engine.bootstrap import BootstrapRequest, bootstrap
from pipeline.errors import EngineError, LockError
from pipeline.files import write_text
from pipeline.graph import State, image, layout
from pipeline.models.defined import Defined
from pipeline.models.kinds import Root, RootSpec
from pipeline.platform import Platform, is_native
from pipeline.resolve.lock import tool_packages
from pipeline.resolve.pins import BootstrapPin, RootLock, SystemPin
from pipeline.resolve.plan import ImagePlan
from pipeline.stages.workbench import Workbench

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Moved:
    """One package whose version is no longer the locked one."""

    name: str
    locked: str
    now: str

    def __str__(self) -> str:
        """Return `name old → new`."""
        return f"{self.name} {self.locked or '(none)'} → {self.now or '(none)'}"


async def make_root(root: Defined[Root], platform: Platform, bench: Workbench) -> BootstrapPin:
    """Bootstrap a root for `platform` and return its pin; raises EngineError, at once where emulation is missing."""
    if not is_native(platform) and not (_BINFMT / f"qemu-{platform.machine}").exists():
        raise EngineError(
            f"{root.name} for {platform} needs emulation, which this machine has not",
            location=root.at("spec", "platforms"),
            remedy="agc doctor --fix",
        )
    spec = root.model.spec
    request = BootstrapRequest(
        suite=spec.suite,
        variant=spec.bootstrap.variant,
        include=spec.bootstrap.include,
        archive=spec.archive,
        security=spec.security,
        mirrored=archive_mirrors(spec, bench),
        epoch=EPOCH,
    )
    made = bench.bootstrapped.get((request, platform))
    if made is None:
        bench.reporter.notify(f"bootstrapping {root.name} for {platform} from the Debian archive")
        proxies = bench.settings.proxy.as_environment()
        made = await bootstrap(request, platform, bench.roots, environment=proxies)
        bench.bootstrapped[request, platform] = made
    bench.layouts[made.digest] = bench.roots / hex_of(made.digest)
    bench.made.add(made.digest)
    return BootstrapPin(digest=made.digest, packages=made.packages)


def archive_mirrors(spec: RootSpec, bench: Workbench) -> tuple[str, str]:
    """Return where this machine asks for the root's archive and its security archive."""
    return bench.settings.mirrored(spec.archive), bench.settings.mirrored(spec.security)


async def lay_roots(
    plans: Sequence[ImagePlan], locks: Mapping[str, RootLock], bench: Workbench, *, locked: bool
) -> tuple[ImagePlan, ...]:
    """Return the plans as they can be built here, with all their roots in `bench.layouts`.

    Raises LockError with `locked` where a root or its packages are no longer what the lock says.
    """
    laid = []
    for plan in plans:
        plan = await _lay(plan, locks[plan.root.defined.name], bench, locked=locked)  # noqa: PLW2901  # its successor
        for role, helper in _helpers(plan).items():
            (ready,) = await lay_roots((helper,), locks, bench, locked=locked)
            plan = _with_helper(plan, role, ready)  # noqa: PLW2901  # its successor
        laid.append(plan if locked else _with_recorded_packages(plan, bench))
    return tuple(laid)


def lies_here(pin: BootstrapPin, bench: Workbench) -> bool:
    """Tell whether a locked root is on this machine, and note where."""
    folder = bench.roots / hex_of(pin.digest)
    if folder.is_dir():
        bench.layouts.setdefault(pin.digest, folder)
    return pin.digest in bench.layouts


async def freshen(plan: ImagePlan, gone: str, bench: Workbench) -> ImagePlan:
    """Return `plan` with its Debian packages resolved again because `gone` left the archive; says what moved.

    They are those of a helper, where `gone` is one of these and none of the image's own.
    """
    for role, helper in _helpers(plan).items():
        if not _has_file(plan, gone) and _has_file(helper, gone):
            return _with_helper(plan, role, await freshen(helper, gone, bench))
    from pipeline.resolve.debian import resolve_packages  # no build needs it whose packages are all there

    found = await resolve_packages(
        root_state(plan),
        plan.root.defined.model.spec,
        plan.asked_for,
        tool_packages(item.model.spec for item in plan.common_tools),
        archive_mirrors(plan.root.defined.model.spec, bench),
        plan.platform,
        bench.solve_files,
        plan.base.at("spec"),
    )
    changed = {"packages": found.packages, "tools": found.tools, "root": plan.root.digest}
    fresh = replace(plan, system=plan.system.model_copy(update=changed))
    write_text(_packages_record(plan, bench), json.dumps(fresh.system.model_dump(mode="json")))
    bench.reporter.notify(_warning(f"base {plan.base.name} ({gone})", moved_packages(plan.system, fresh.system)))
    return fresh


def root_state(plan: ImagePlan) -> State:
    """Return the state of a plan's root, for resolving in it."""
    return image(plan.root.ref) if plan.root.source == "image" else layout(plan.root.digest, plan.root.defined.name)


def moved_packages(locked: SystemPin, now: SystemPin) -> tuple[Moved, ...]:
    """Return every package whose version differs between two resolutions."""
    return _moved({pin.name: pin.version for pin in locked.packages}, {pin.name: pin.version for pin in now.packages})


async def _lay(plan: ImagePlan, lock: RootLock, bench: Workbench, *, locked: bool) -> ImagePlan:
    root = plan.root
    if root.source == "image" or root.digest in bench.layouts:
        return plan
    folder = bench.roots / hex_of(root.digest)
    if folder.is_dir():
        bench.layouts[root.digest] = folder
        return plan
    known = lock.bootstrap[str(plan.platform)]
    now = None if locked else _recorded_root(root.digest, bench)
    if now is None:
        now = await make_root(root.defined, plan.platform, bench)
        if now.digest == root.digest:
            return plan
    moved = _moved(known.packages, now.packages)
    if locked:
        raise LockError(
            f"{_summary(moved) or 'the bootstrapped root is not the locked one, byte for byte'}",
            location=root.defined.at("spec", "bootstrap"),
            remedy=f"agc lock --upgrade {root.defined.name}, or build without --locked",
        )
    bench.layouts[now.digest] = bench.roots / hex_of(now.digest)
    write_text(_root_record(root.digest, bench), json.dumps(now.model_dump(mode="json")))
    bench.reporter.notify(_warning(f"root {root.defined.name}", moved))
    plan = replace(plan, root=replace(root, digest=now.digest, packages=now.packages))
    # Packages were resolved against the locked root and may want versions the new one has not.
    if _packages_record(plan, bench).is_file():
        return _with_recorded_packages(plan, bench)
    return await freshen(plan, f"root {root.defined.name} moved", bench)


def _with_recorded_packages(plan: ImagePlan, bench: Workbench) -> ImagePlan:
    """Return `plan` with packages an earlier build had to resolve again, where there was one."""
    path = _packages_record(plan, bench)
    if not path.is_file():
        return plan
    try:
        fresh = replace(plan, system=SystemPin.model_validate_json(path.read_bytes()))
    except (ValidationError, ValueError):
        path.unlink(missing_ok=True)
        return plan
    if moved := moved_packages(plan.system, fresh.system):
        bench.reporter.notify(_warning(f"base {plan.base.name}", moved))
    return fresh


def _helpers(plan: ImagePlan) -> Mapping[str, ImagePlan]:
    found = {"mock": plan.mock, "builder": plan.builder}
    return {role: helper for role, helper in found.items() if helper}


def _with_helper(plan: ImagePlan, role: str, helper: ImagePlan) -> ImagePlan:
    return replace(plan, mock=helper) if role == "mock" else replace(plan, builder=helper)


def _has_file(plan: ImagePlan, name: str) -> bool:
    return any(pin.path.endswith(f"/{name}") for pin in plan.system.packages)


def _moved(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Moved, ...]:
    return tuple(
        Moved(name, before.get(name, ""), after.get(name, ""))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _summary(moved: Sequence[Moved]) -> str:
    shown = ", ".join(str(item) for item in moved[:_SHOWN])
    more = f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
    return f"the archive has moved: {shown}{more}" if moved else ""


def _warning(what: str, moved: Sequence[Moved]) -> str:
    words = _summary(moved) or "the same versions gave other bytes (another mmdebstrap?)"
    return f"warning: {what} is not what is locked, for this machine's builds alone; {words}. Refresh with: agc lock"


def _root_record(locked: Digest, bench: Workbench) -> Path:
    return bench.settings.cache / "moved" / f"root-{hex_of(locked)}.json"


def _packages_record(plan: ImagePlan, bench: Workbench) -> Path:
    key = digest_json([plan.root.digest, plan.asked_for, [pin.sha256 for pin in plan.system.packages]])
    return bench.settings.cache / "moved" / f"packages-{hex_of(key)}.json"


def _recorded_root(locked: Digest, bench: Workbench) -> BootstrapPin | None:
    path = _root_record(locked, bench)
    try:
        pin = BootstrapPin.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return pin if (bench.roots / hex_of(pin.digest)).is_dir() else None
