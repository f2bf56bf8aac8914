"""`agc verify`: whether an image of a registry is what it should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from pipeline import flow
from pipeline.cli.app import Session, run_command, session_of
from pipeline.cli.output import Line, Span, line, plain, table
from pipeline.cli.progress import progress
from pipeline.errors import ExitCode, UsageError
from pipeline.stages.verifying import VerifyRequest
from pipeline.supply.check.policy import TrustedSigner
from pipeline.supply.check.result import Check, Outcome, Verification

_STATES = {
    Outcome.PASSED: Span("passed", "green"),
    Outcome.FAILED: Span("failed", "bold red"),
    Outcome.NOT_ASKED: Span("not asked", "dim"),
}


def _file(name: str, words: str) -> typer.models.OptionInfo:
    found: typer.models.OptionInfo = typer.Option(
        name, metavar="FILE", help=words, exists=True, dir_okay=False, show_default=False
    )
    return found


def command(
    context: typer.Context,
    image: Annotated[str, typer.Argument(metavar="REGISTRY/NAME[:TAG][@DIGEST]", show_default=False)],
    policy: Annotated[
        Path | None, _file("--policy", "Whose word counts and what must be said: kind VerifyPolicy.")
    ] = None,
    key: Annotated[Path | None, _file("--key", "Public key in PEM that must have signed.")] = None,
    identity: Annotated[
        str, typer.Option("--identity", help="Identity that must have signed, whole.", show_default=False)
    ] = "",
    repository: Annotated[
        str, typer.Option("--repository", help="Repository whose job must have signed.", show_default=False)
    ] = "",
    issuer: Annotated[
        str, typer.Option("--issuer", help="Who vouches for the identity (https://…).", show_default=False)
    ] = "",
    trust_config: Annotated[Path | None, _file("--trust-config", "A private Sigstore's services and keys.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask nothing of Sigstore; keys need nothing of it anyway.")
    ] = False,
    no_content: Annotated[
        bool, typer.Option("--no-content", help="Leave the layers unread; whoever pulls the image checks them.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build again from the recorded commit and compare digests.")
    ] = False,
) -> None:
    """Check who signed an image, what they say of it, and that it is what they said. Exit code 13 if it is not.

    The signature must be of the image itself, on its index and on every platform, by somebody who is named here.
    """
    session = session_of(context)
    request = VerifyRequest(
        image,
        policy,
        _signer(key, issuer, identity, repository),
        trust_config,
        offline=offline,
        content=not no_content,
    )

    async def work(session: Session) -> Verification:
        verified = await flow.verify(session.project, request)
        if not (rebuild and verified.result.verified):
            return verified.result
        with progress(session.output) as reporter:
            return await flow.rebuild(session.project, session.engine, verified, reporter)

    result = run_command(context, work)
    session.output.result(result.as_json(), lambda: lines_of(result))
    if not result.verified:
        raise typer.Exit(ExitCode.VERIFY)


def _signer(key: Path | None, issuer: str, identity: str, repository: str) -> TrustedSigner | None:
    if not (key or issuer or identity or repository):
        return None
    given = {"key": key and str(key), "issuer": issuer, "identity": identity, "repository": repository}
    try:
        return TrustedSigner.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        raise UsageError(
            "this names nobody", remedy="give --key FILE, or --issuer with --identity or --repository"
        ) from error


def lines_of(result: Verification) -> Iterator[Line]:
    """Yield what was checked, part by part, and what it comes to."""
    yield line(Span(plain(result.reference), "bold"), "  ", Span(result.digest, "dim"))
    for part, checks in groupby(sorted(result.checks, key=lambda check: _place(check, result)), lambda one: one.part):
        yield line()
        yield line("  ", Span(plain(part), "cyan"), "  ", Span(result.platforms.get(part, ""), "dim"))
        yield from table([_row(check) for check in checks], indent=4)
    yield line()
    yield _verdict(result.failed, verified=result.verified)


def _place(check: Check, result: Verification) -> int:
    order = ["index", *result.platforms]
    return order.index(check.part) if check.part in order else len(order)


def _row(check: Check) -> tuple[Span, ...]:
    return _STATES[check.outcome], Span(check.name), Span(plain(check.found))


def _verdict(failures: Sequence[Check], *, verified: bool) -> Line:
    if verified:
        return line(Span("verified", "bold green"))
    return line(Span("not verified", "bold red"), f": {len(failures)} of the checks failed; do not run this image")
