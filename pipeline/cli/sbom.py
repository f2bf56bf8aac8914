"""`agc sbom`: what is in a built image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from pipeline import flow
from pipeline.cli.app import session_of
from pipeline.cli.options import ImageName, PlatformName, platform_of
from pipeline.cli.output import Line, human_size, line
from pipeline.digest import digest_bytes
from pipeline.files import write_bytes
from pipeline.stages.bills import Bill, BillFormat


def command(
    context: typer.Context,
    image: ImageName,
    platform: PlatformName = None,
    form: Annotated[BillFormat, typer.Option("--format", help="SPDX 2.3 or CycloneDX 1.6.")] = BillFormat.SPDX,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it there instead of to standard output."),
    ] = None,
    layout: Annotated[
        Path | None,
        typer.Option(
            "--layout", metavar="DIR", help="OCI layout that has the image (./out, or where builds leave it)."
        ),
    ] = None,
) -> None:
    """Show every package of a built image, with version, licence and checksum. Builds nothing."""
    session = session_of(context)
    project = flow.open_project(session.project)
    wanted = platform_of(platform)
    bill = flow.sbom(project, image, wanted, form, layout)
    data = bill.as_json()
    if output:
        write_bytes(output, bill.document)
        data |= {"file": str(output), "documentDigest": digest_bytes(bill.document)}
    elif session.output.json:
        data |= {"document": json.loads(bill.document)}
    session.output.result(data, lambda: _lines(bill, output))


def _lines(bill: Bill, output: Path | None) -> Iterator[Line]:
    if output is None:
        yield line(bill.document.decode())
    else:
        size = human_size(len(bill.document))
        yield line(f"{output}: {bill.packages} packages of {bill.image} for {bill.platform}, {size}")
