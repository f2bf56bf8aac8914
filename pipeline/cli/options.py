"""Arguments and options that several commands share, and how their text becomes values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.app import complete_image
from pipeline.errors import UsageError
from pipeline.platform import Platform, host_platform, parse_platform

ImageNames = Annotated[
    list[str] | None, typer.Argument(metavar="IMAGE", autocompletion=complete_image, show_default=False)
]
PlatformNames = Annotated[
    str | None,
    typer.Option(
        "--platform",
        metavar="OS/ARCH[,…]",
        help="Platforms to build for (this machine's by default).",
        show_default=False,
    ),
]
Locked = Annotated[
    bool, typer.Option("--locked", help="Fail where anything is missing from the lock or has moved (for CI).")
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="REGISTRY/NAMESPACE",
        help="Compare with what a registry has, instead of registry/catalog.json.",
        show_default=False,
    ),
]
All = Annotated[bool, typer.Option("--all", help="All images of the project.")]
JunitFile = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write the smoke tests' results as JUnit XML.")
]


def named(images: list[str] | None, *, everything: bool = False) -> list[str]:
    """Return the images a command was given, none for all of the project; raises UsageError where it was not said."""
    if everything and images:
        raise UsageError("--all leaves nothing to name", remedy="give images, or --all")
    if not (images or everything):
        raise UsageError("no image was named", remedy="agc plan lists them; --all takes all")
    return images or []


def platforms(text: str | None) -> tuple[Platform, ...]:
    """Return the platforms `text` names, each once, this machine's where there is none; raises UsageError."""
    if not text:
        return (host_platform(),)
    return tuple(dict.fromkeys(parse_platform(part) for part in text.split(",")))
