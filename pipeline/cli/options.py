"""Arguments and options that several commands share, and how their text becomes values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.app import complete_image
from pipeline.engine.api import Compression
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
ImageName = Annotated[str, typer.Argument(metavar="IMAGE", autocompletion=complete_image)]
PlatformName = Annotated[
    str | None, typer.Option("--platform", metavar="OS/ARCH", help="Which platform (this machine's by default).")
]
Compressed = Annotated[Compression, typer.Option("--compression", help="How layers are compressed.")]
To = Annotated[
    list[str] | None,
    typer.Option("--to", metavar="REGISTRY/NAMESPACE", help="Where to; may be given several times."),
]
Sign = Annotated[
    str | None,
    typer.Option("--sign", metavar="HOW", help="keyless, key:ADDRESS or none, not as agc.toml says."),
]
TrustConfig = Annotated[
    Path | None, typer.Option("--trust-config", metavar="FILE", help="Services and keys of a private Sigstore.")
]
NoGate = Annotated[
    str,
    typer.Option("--no-gate", metavar="REASON", help="Publish without a scan, and record why.", show_default=False),
]
ComposeFiles = Annotated[
    list[Path] | None,
    typer.Option("--file", "-f", metavar="FILE", help="A Compose file on top of the stack's own.", show_default=False),
]
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


def platform_of(text: str | None) -> Platform:
    """Return the one platform `text` names, this machine's where there is none; raises UsageError."""
    return parse_platform(text) if text else host_platform()


def destinations(to: list[str] | None) -> tuple[str, ...]:
    """Return the places to publish to, each once; raises UsageError where none was named, or one is none."""
    from pipeline.stages.destinations import parse_destination  # only who publishes has use for it

    if not to:
        raise UsageError("no registry was named", remedy="add --to REGISTRY/NAMESPACE, as in --to ghcr.io/me")
    return tuple(dict.fromkeys(parse_destination(place) for place in to))
