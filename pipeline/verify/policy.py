"""Checks of what a project asks for, beside those that its definitions could not even break.

Much is refused where definitions are read: a uid or gid of 0, a home in /root, text that has the form of a credential,
any key there is not, and so `privileged` and paths of the host. The lock refuses what has no pin. What is left is
here. A check is let pass by a `Policy` definition that names the definition and says why.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.compose.image import Composition
from pipeline.errors import AgcError, DefinitionError, ErrorGroup, Location, LockError
from pipeline.graph.ops import Http, Image
from pipeline.graph.state import walk
from pipeline.models.choices import suggest
from pipeline.models.defined import Defined, Definitions, Program
from pipeline.models.exceptions import Check
from pipeline.models.kinds import Base

_SYSTEM = ("/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/usr", "/var/lib/docker", "/var/run")
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)(_|$)", re.IGNORECASE)
_LOGIN = re.compile(r"^[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]+@", re.IGNORECASE)
_SHORTEST_SECRET = 16
_LEAST_ENTROPY = 3.3  # bits in a character; English words have less, hexadecimal digits up to 4, base64 up to 6


@dataclass(frozen=True, slots=True)
class Breach:
    """A check that a definition does not pass."""

    check: Check
    defined: Defined[Any]
    message: str
    location: Location
    remedy: str

    @property
    def kind(self) -> str:
        """The kind of the definition."""
        return type(self.defined.model).__name__


def check_policy(definitions: Definitions) -> None:
    """Raise ErrorGroup with every check that is not passed and not let pass, and every allowance that is of no use."""
    breaches = tuple(_breaches(definitions))
    used: set[Location] = set()
    errors: list[AgcError] = []
    allowed = dict(_allowed(definitions))
    for breach in breaches:
        place = allowed.get((breach.check, breach.kind, breach.defined.name))
        if place:
            used.add(place)
            continue
        remedy = f"{breach.remedy}; or let it pass, with a reason, in a Policy (check: {breach.check})"
        errors.append(DefinitionError(breach.message, location=breach.location, remedy=remedy))
    errors.extend(_useless(allowed, used, definitions))
    if errors:
        raise ErrorGroup(tuple(sorted(errors, key=_order)))


def check_image(composition: Composition) -> None:
    """Raise ErrorGroup where an image that is about to be made runs as root or has an input without a digest."""
    errors: list[AgcError] = []
    plan = composition.plan
    user = str(composition.document["config"].get("User", ""))
    if user.partition(":")[0] in {"", "0", "root"}:
        errors.append(DefinitionError(f"{plan.name} would run as root", location=plan.base.at("spec", "user")))
    for state in walk(composition.rootfs):
        unpinned = (isinstance(state.op, Http) and state.op.checksum is None and state.op.url) or (
            isinstance(state.op, Image) and "@sha256:" not in state.op.ref and state.op.ref
        )
        if unpinned:
            text = f"{plan.name} would be made of {unpinned}, whose content nobody has pinned"
            errors.append(LockError(text, location=state.location, remedy="agc lock"))
    if errors:
        raise ErrorGroup(tuple(errors))


def _allowed(definitions: Definitions) -> Iterator[tuple[tuple[str, str, str], Location]]:
    for policy in definitions.policies.values():
        for index, item in enumerate(policy.model.spec.allow):
            yield (item.check, item.kind, item.name), policy.at("spec", "allow", index, "check")


def _useless(
    allowed: Mapping[tuple[str, str, str], Location], used: set[Location], definitions: Definitions
) -> Iterator[DefinitionError]:
    """Yield allowances for what is not there or not needed: such a one would let pass what comes later, unseen."""
    known: Mapping[str, Iterable[str]] = {
        "Base": definitions.bases.keys() - definitions.combos.keys(),
        "Combo": definitions.combos.keys(),
        "CommonTools": definitions.common_tools.keys(),
        "Toolchain": definitions.toolchains.keys(),
        "Agent": definitions.agents.keys(),
        "Toolpack": definitions.toolpacks.keys(),
    }
    for (check, kind, name), place in allowed.items():
        if name not in known[kind]:
            remedy = suggest(name, known[kind])
            yield DefinitionError(f"there is no {kind} named `{name}`", location=place, remedy=remedy)
        elif place not in used:
            text = f"{kind} `{name}` passes the check `{check}` by itself"
            yield DefinitionError(text, location=place, remedy="take this out")


def _breaches(definitions: Definitions) -> Iterator[Breach]:
    for base in definitions.bases.values():
        own = definitions.combos.get(base.name, base)
        # What it inherits is the business of whoever wrote it.
        file = own.at("metadata", "name").file
        yield from (breach for breach in _of_base(base, own) if breach.location.file == file)
    for tools in definitions.common_tools.values():
        yield from _tests(tools)
    for toolchain in definitions.toolchains.values():
        yield from _secrets(toolchain, toolchain.model.spec.env, ("spec", "env"))
        yield from _tests(toolchain)
    programs: tuple[Program, ...] = (*definitions.agents.values(), *definitions.toolpacks.values())
    for program in programs:
        yield from _of_program(program)
    for toolpack in definitions.toolpacks.values():
        if embedded := toolpack.model.spec.embedded:
            yield from _secrets(toolpack, embedded.env, ("spec", "embedded", "env"))


def _of_base(base: Defined[Base], own: Defined[Any]) -> Iterator[Breach]:
    spec = base.model.spec
    if spec.user.name == "root":
        place = base.at("spec", "user", "name")
        yield Breach("root-user", own, "images must not run as a user called `root`", place, "call it `dev`")
    for name, value in spec.env.items():
        if why := _secret(name, value):
            yield Breach("secret-in-env", own, f"`{name}` {why}", base.at("spec", "env", name), _NO_SECRET)
    yield from (replace(breach, defined=own) for breach in _tests(base))


def _of_program(program: Program) -> Iterator[Breach]:
    spec = program.model.spec
    yield from _secrets(program, spec.env, ("spec", "env"))
    yield from _tests(program)
    for secret in spec.secrets:
        if spec.env.get(secret.name):
            text = f"`{secret.name}` is one of the secrets it wants, and has a value here"
            yield Breach("secret-in-env", program, text, program.at("spec", "env", secret.name), _NO_SECRET)
    for index, volume in enumerate(spec.volumes):
        if any(volume.path == folder or volume.path.startswith(f"{folder}/") for folder in _SYSTEM):
            text = f"a volume on {volume.path} would put what the host has in the place of the system's own"
            place = program.at("spec", "volumes", index, "path")
            yield Breach("system-mount", program, text, place, "use a folder of the user's, or below /workspace")
    if not _is_licence(spec.licence.name):
        text = f"`{spec.licence.name}` is no licence that anybody could look up"
        place = program.at("spec", "licence", "name")
        yield Breach("licence", program, text, place, "write an SPDX expression, or `LicenseRef-…` with its `url`")
    elif spec.licence.name.startswith("LicenseRef-") and not spec.licence.url:
        text = f"`{spec.licence.name}` does not say where its text is"
        yield Breach("licence", program, text, program.at("spec", "licence", "name"), "add `url`")
    if not spec.egress:
        text = f"{program.name} does not say which hosts it must reach"
        yield Breach("egress", program, text, program.at("spec"), "list them under `egress`")


_NO_SECRET = "name it under `secrets`; whoever runs the container gives the value"  # noqa: S105 (no secret is here)


def _secrets(defined: Defined[Any], env: Mapping[str, str], path: tuple[str | int, ...]) -> Iterator[Breach]:
    for name, value in env.items():
        if why := _secret(name, value):
            yield Breach("secret-in-env", defined, f"`{name}` {why}", defined.at(*path, name), _NO_SECRET)


def _tests(defined: Defined[Any]) -> Iterator[Breach]:
    for index, test in enumerate(defined.model.spec.smoke):
        yield from _secrets(defined, test.env, ("spec", "smoke", index, "env"))


def _secret(name: str, value: str) -> str:
    """Return why a variable looks like it held a secret, "" where it does not; never any of the value itself."""
    if _LOGIN.match(value):
        return "is an address with a password in it"
    plain = len(value) >= _SHORTEST_SECRET and not re.search(r"[\s/]", value) and "://" not in value
    if plain and _SECRET_NAME.search(name) and re.search(r"\d", value) and _entropy(value) >= _LEAST_ENTROPY:
        return "is called like a secret and has a value like one"
    return ""


def _entropy(text: str) -> float:
    """Return Shannon's entropy of the characters of `text`, in bits per character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _is_licence(name: str) -> bool:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        canonicalize_license_expression(name)
    except InvalidLicenseExpression:
        return False
    return True


def _order(error: AgcError) -> tuple[str, int, int]:
    place = error.location or Location("")
    return (place.file, place.line, place.column)
