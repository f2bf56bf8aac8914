"""The kinds of value a definition may hold, each with the grammar it must keep.

Everything that ends up in an argument list, a path or an image config is checked here once, so that later stages can
trust it: no control characters, no relative paths, no text that looks like a credential.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import nodesemver
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WrapSerializer

from pipeline.errors import UsageError
from pipeline.platform import parse_platform

Key = TypeVar("Key")
Value = TypeVar("Value")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SPACE_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_CREDENTIAL = re.compile(
    r"(sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|AKIA[0-9A-Z]{16}|xox[abpr]-[\w-]{10,}"
    r"|hf_[A-Za-z0-9]{20,}|AIza[\w-]{30,}|-----BEGIN [A-Z ]*PRIVATE KEY-----)"
)


class Model(BaseModel):
    """Base of everything read from YAML: frozen, no unknown keys, camelCase in files."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: re.sub(r"_(\w)", lambda match: match[1].upper(), name),
        validate_by_name=False,
        # Schemas are built when first needed: a start that reads no YAML pays for none of them.
        defer_build=True,
    )


def _plain(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    if _CREDENTIAL.search(text):
        raise ValueError("this looks like a credential; name the secret under `secrets` instead of writing its value")
    return text


def without_credentials(text: str) -> str:
    """Return `text` with everything that looks like a credential struck out."""
    return _CREDENTIAL.sub("(hidden)", text)


def _absolute(text: str) -> str:
    if not text.startswith("/") or (text != "/" and not _is_plain_path(text[1:])):
        raise ValueError("must be an absolute path without spaces, `.`, `..`, `//` or a slash at the end")
    return text


def _relative(text: str) -> str:
    if text and not _is_plain_path(text):
        raise ValueError("must be a path below the component's folder, without spaces, `.`, `..` or `//`")
    return text


def _inside_the_project(text: str) -> str:
    if text.startswith("/") or not text or (text != "." and not _is_plain_path(text)):
        raise ValueError("must be a folder inside the project, as `workspace`, without `..`, `//` or spaces")
    return text


def _is_plain_path(text: str) -> bool:
    return not _SPACE_OR_CONTROL.search(text) and not {"", ".", ".."}.intersection(text.split("/"))


def _of_something(text: str) -> str:
    if not text:
        raise ValueError("must name a file")
    return text


def _not_of_the_system(text: str) -> str:
    if text in _SYSTEM_FOLDERS:
        raise ValueError(f"{text} belongs to the system and cannot be given to the user")
    return text


def _version_range(text: str) -> str:
    if text == "latest":
        return text
    try:
        nodesemver.make_range(text, loose=False)
    except ValueError as error:
        raise ValueError("is no version range; write `latest`, `2.1.330`, `^2`, or `>=24.16 <25 || >=26.1`") from error
    return text


def _specifiers(text: str) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # only PyPI packages need it
    from packaging.version import InvalidVersion, Version

    if text == "latest":
        return text
    try:
        return str(Version(text)) and text
    except InvalidVersion:
        pass
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError("is no version; write `latest`, `0.42.0`, or specifiers such as `>=0.42,<1`") from error
    return text


def _tag_pattern(text: str) -> str:
    unknown = set(re.findall(r"\{([^}]*)\}", text)) - TAG_FIELDS
    filled = re.sub(r"\{[^}]*\}", "0", text)
    if unknown or not re.fullmatch(r"\w[\w.-]{0,127}", filled, re.ASCII):
        known = ", ".join(f"`{{{name}}}`" for name in sorted(TAG_FIELDS))
        raise ValueError(f"is no tag: letters, digits, `_`, `.`, `-`, and of fields {known}")
    return text


def _known_platform(text: str) -> str:
    try:
        return str(parse_platform(text))
    except UsageError as error:
        raise ValueError(f"{error.message}; {error.remedy}") from error


def _requirement(text: str) -> str:
    _, _, wanted = text.partition(" ")
    if wanted.strip() == "latest":
        raise ValueError("needs a range, as in `node >=22`, or nothing after the name")
    if wanted.strip():
        _version_range(wanted.strip())
    return text


def _text_from_scalar(value: Any) -> Any:
    """Refuse `PORT: 8080` with what to write; what was written is gone by now (`1.10` has become 1.1)."""
    if isinstance(value, (bool, int, float)):
        # pydantic reports a ValueError with its place; a TypeError would end the program.
        raise ValueError("must be text; put it in quotes")  # noqa: TRY004
    return value


def _freeze(value: Mapping[Key, Value]) -> Mapping[Key, Value]:
    # Sorted, so that nothing that goes over it depends on the order keys were written in.
    return MappingProxyType({key: value[key] for key in sorted(value)})  # type: ignore[type-var]


def _unique(items: tuple[Value, ...]) -> tuple[Value, ...]:
    names = [getattr(item, "name", item) for item in items]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{twice!r} is there twice")
    return items


_SYSTEM_FOLDERS = frozenset(
    f"/{name}"
    for name in (
        *("", "bin", "boot", "dev", "etc", "home", "lib", "lib64", "opt", "proc", "root", "run", "sbin", "sys", "tmp"),
        *("usr", "usr/bin", "usr/lib", "usr/local", "usr/local/bin", "usr/sbin", "var"),
    )
)
_NAME = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
_BINARY = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
_DEBIAN_PACKAGE = r"^[a-z0-9][a-z0-9+.-]+$"
_NPM_PACKAGE = r"^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$"
_PYPI_PACKAGE = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
_PYTHON = r"^3\.\d{1,2}$"
_REQUIREMENT = r"^[a-z0-9][a-z0-9+.-]*( .+)?$"
_HOST = r"^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$"
_URL = r"^https?://[^\s\"'<>]+$"
MEMORY = r"^[1-9][0-9]{0,5}[mg]$"
"""The form of an amount of memory."""
VULNERABILITY = r"^[A-Z][A-Za-z0-9]*(-[A-Za-z0-9:]+)+$"
IMAGE_PATTERN = r"^[a-z0-9*?-]{1,80}$"
_IMAGE = r"^[a-z0-9.-]+(:\d+)?/[a-z0-9._/-]+:[A-Za-z0-9._-]+$"
TAG_FIELDS = frozenset({"commit", "date", "major", "minor", "version"})
"""What a tag policy may fill in."""
EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        _NAME: "`node-bun`: small letters, digits and dashes, 40 at most",
        _ENV_NAME: "`ANTHROPIC_API_KEY`",
        _BINARY: "`claude`",
        _DEBIAN_PACKAGE: "`ca-certificates`",
        _NPM_PACKAGE: "`npm` or `@scope/package`",
        _PYPI_PACKAGE: "`headroom-ai`: small letters, digits and dashes",
        _PYTHON: "`3.13`",
        _REQUIREMENT: "`git` or `node >=22`",
        _HOST: "`api.example.com` or `*.example.com`",
        _URL: "`https://example.com/path`",
        MEMORY: "`512m` or `4g`",
        VULNERABILITY: "`CVE-2026-12345`",
        IMAGE_PATTERN: "`node-bun-*`",
        _IMAGE: "`docker.io/library/debian:trixie-slim`",
    }
)
"""Every pattern a text must have, with what to write, for messages."""

Unique = AfterValidator(_unique)
"""Refuses a tuple that has an item, or two items of one name, twice."""
Name = Annotated[str, StringConstraints(pattern=_NAME)]
Names = Annotated[tuple[Name, ...], Unique]
Text = Annotated[str, BeforeValidator(_text_from_scalar), AfterValidator(_plain)]
AbsolutePath = Annotated[str, StringConstraints(max_length=255), AfterValidator(_plain), AfterValidator(_absolute)]
OwnedPath = Annotated[AbsolutePath, AfterValidator(_not_of_the_system)]
"""A folder that is given to the image's user."""
RelativePath = Annotated[str, StringConstraints(max_length=255), AfterValidator(_plain), AfterValidator(_relative)]
FilePath = Annotated[RelativePath, AfterValidator(_of_something)]
ProjectPath = Annotated[
    str, StringConstraints(max_length=255), AfterValidator(_plain), AfterValidator(_inside_the_project)
]
"""A folder of the project, `.` for the project itself."""
EnvName = Annotated[str, StringConstraints(pattern=_ENV_NAME, max_length=128), AfterValidator(_plain)]
BinaryName = Annotated[str, StringConstraints(pattern=_BINARY, max_length=64)]
DebianPackage = Annotated[str, StringConstraints(pattern=_DEBIAN_PACKAGE, max_length=100)]
NpmPackage = Annotated[str, StringConstraints(pattern=_NPM_PACKAGE, max_length=214)]
PypiPackageName = Annotated[str, StringConstraints(pattern=_PYPI_PACKAGE, max_length=100)]
PythonVersion = Annotated[str, BeforeValidator(_text_from_scalar), StringConstraints(pattern=_PYTHON)]
Specifiers = Annotated[str, BeforeValidator(_text_from_scalar), AfterValidator(_specifiers)]
TagPattern = Annotated[Text, AfterValidator(_tag_pattern)]
VersionRange = Annotated[str, BeforeValidator(_text_from_scalar), AfterValidator(_version_range)]
PlatformName = Annotated[str, AfterValidator(_known_platform)]
Requirement = Annotated[str, StringConstraints(pattern=_REQUIREMENT, max_length=200), AfterValidator(_requirement)]
Host = Annotated[str, StringConstraints(pattern=_HOST, max_length=253)]
Url = Annotated[str, StringConstraints(pattern=_URL, max_length=500), AfterValidator(_plain)]
ImageRef = Annotated[str, StringConstraints(pattern=_IMAGE, max_length=255)]
FrozenMap = Annotated[
    Mapping[Key, Value],
    AfterValidator(_freeze),
    WrapSerializer(lambda value, serialize: serialize(dict(value))),
]
"""A mapping nobody can change after it was read."""
Environment = FrozenMap[EnvName, Text]


def empty_environment() -> Mapping[str, str]:
    """Return a frozen map with nothing in it."""
    return MappingProxyType({})


Seconds = Annotated[int, Field(ge=1, le=3600, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Days = Annotated[float, Field(ge=0, le=365, strict=True, allow_inf_nan=False)]
