"""Arguments and options that several commands share, and how their text becomes values."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.app import complete_image
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


def platforms(text: str | None) -> tuple[Platform, ...]:
    """Return the platforms `text` names, each once, this machine's where there is none; raises UsageError."""
    if not text:
        return (host_platform(),)
    return tuple(dict.fromkeys(parse_platform(part) for part in text.split(",")))
