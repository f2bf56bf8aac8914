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
        use_attribute_docstrings=False,
        # Schemas are built when first needed: a start that reads no YAML pays for none of them.
        defer_build=True,
    )


def _plain(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("control characters are not allowed")
    if _CREDENTIAL.search(text):
        raise ValueError("this looks like a credential; name the secret under `secrets` instead of writing its value")
    return text


def _absolute(text: str) -> str:
    if not text.startswith("/") or ".." in text.split("/") or "//" in text or (text != "/" and text.endswith("/")):
        raise ValueError("must be an absolute path without `..`, `//` or a slash at the end")
    return text


def _relative(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/") or "//" in text or text.endswith("/"):
        raise ValueError("must be a path below the component's folder, without `..`")
    return text


def _version_range(text: str) -> str:
    if text == "latest":
        return text
    try:
        nodesemver.make_range(text, loose=False)
    except ValueError as error:
        raise ValueError("is no version range; write `latest`, `2.1.330`, `^2`, or `>=24.16 <25 || >=26.1`") from error
    return text


def _known_platform(text: str) -> str:
    try:
        return str(parse_platform(text))
    except UsageError as error:
        raise ValueError(f"{error.message}; {error.remedy}") from error


def _requirement(text: str) -> str:
    _, _, wanted = text.partition(" ")
    if wanted.strip():
        _version_range(wanted.strip())
    return text


def _text_from_scalar(value: Any) -> Any:
    """Let `timeout: 5` stay a number error but `PORT: 8080` in env say what to write."""
    if isinstance(value, (bool, int, float)):
        # pydantic reports a ValueError with its place; a TypeError would end the program.
        raise ValueError(f'must be text; put it in quotes: "{str(value).lower()}"')  # noqa: TRY004
    return value


def _freeze(value: Mapping[Key, Value]) -> Mapping[Key, Value]:
    return MappingProxyType(dict(value))


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Text = Annotated[str, BeforeValidator(_text_from_scalar), AfterValidator(_plain)]
AbsolutePath = Annotated[str, StringConstraints(max_length=255), AfterValidator(_plain), AfterValidator(_absolute)]
RelativePath = Annotated[str, StringConstraints(max_length=255), AfterValidator(_plain), AfterValidator(_relative)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
BinaryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=64)]
DebianPackage = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$", max_length=100)]
NpmPackage = Annotated[
    str, StringConstraints(pattern=r"^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$", max_length=214)
]
VersionRange = Annotated[str, AfterValidator(_version_range)]
PlatformName = Annotated[str, AfterValidator(_known_platform)]
Requirement = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]*( .+)?$", max_length=200), AfterValidator(_requirement)
]
Host = Annotated[
    str, StringConstraints(pattern=r"^(\*\.)?([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$", max_length=253)
]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s\"'<>]+$", max_length=500)]
ImageRef = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9.-]+(:\d+)?/[a-z0-9._/-]+:[A-Za-z0-9._-]+$", max_length=255)
]
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


Seconds = Annotated[int, Field(ge=1, le=3600)]
