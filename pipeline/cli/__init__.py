"""The command `agc`: parse, call the pipeline, render. Only this package prints or exits.

Every way a command can end becomes an exit status here, in `main`.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from pipeline.errors import AgcError, ErrorGroup, ExitCode, OutputError, UsageError

if TYPE_CHECKING:
    from typer import TyperException

    from pipeline.cli.app import Entry, Session

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_OBJECTS_UNTIL_COLLECTION = 500_000


class _StoppedError(AgcError):
    """Somebody asked us to stop."""

    exit_code = ExitCode.INTERRUPTED


def main(arguments: Sequence[str] | None = None, table: Mapping[str, Entry] | None = None) -> int:
    """Run `agc` with `arguments` (those of the process if None) and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # httpx imports a command line of its own where its parts happen to be installed: a quarter of its 160 ms.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is how an import is told to fail
    # Pydantic looks through all that is installed for plugins, of which none is ours.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    with _rare_collections(), _sigterm_as_interrupt(), _output_that_takes_anything():
        return _run(arguments, table)


def _run(arguments: Sequence[str], table: Mapping[str, Entry] | None) -> int:
    import typer  # 100 ms; importing this package must stay cheap

    from pipeline.cli.app import COMMANDS, Invocation, Session, command_line
    from pipeline.cli.output import Output

    invocation = Invocation(Session(output=Output(json=_asks_for_json(arguments))))
    try:
        command_line(COMMANDS if table is None else table).run(arguments, invocation)
        sys.stdout.flush()
    except typer.Exit as end:
        return end.exit_code
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:  # noqa: BLE001 (the last stop of every failure)
        return _fail(error, invocation.session)
    return ExitCode.OK


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Look for `--json` before anything is parsed, since what fails may be the parsing."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in own


def _fail(error: BaseException, session: Session) -> int:
    from pipeline.cli.failure import report  # the good way does not pay for it

    leaves = tuple(_leaves(error))
    try:
        if any(isinstance(leaf, BrokenPipeError) for leaf in leaves):
            raise BrokenPipeError  # noqa: TRY301 (nobody reads us: the same end as below)
        if os.environ.get("AGC_DEBUG", "0") != "0":
            traceback.print_exception(error)
        return report(_as_ours(leaves), session.output, session.project)
    except (BrokenPipeError, OutputError):
        _forget_output()
        return ExitCode.OUTPUT


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error


def _as_ours(leaves: tuple[BaseException, ...]) -> AgcError:
    from typer import TyperException  # loaded by now

    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return _StoppedError("interrupted, nothing was written")
    ours = tuple(leaf for leaf in leaves if isinstance(leaf, AgcError))
    foreign = [leaf for leaf in leaves if not isinstance(leaf, AgcError)]
    if not foreign:
        return ours[0] if len(ours) == 1 else ErrorGroup(ours)
    if isinstance(foreign[0], TyperException):
        return _usage(foreign[0])
    if isinstance(foreign[0], OSError) and foreign[0].errno in _NO_ROOM:
        return OutputError(f"cannot write {foreign[0].filename or 'the output'}: {foreign[0].strerror}")
    words = traceback.format_exception_only(foreign[0])[-1].strip()
    return AgcError(
        f"this is a fault of agc itself: {words}", remedy="set AGC_DEBUG=1 and run it again for a traceback"
    )


def _usage(error: TyperException) -> UsageError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "agc"
    words = error.format_message().replace("Value error, ", "").strip()  # pydantic's, which typer passes on
    return UsageError(words, remedy=f"{command} --help")


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage seldom: imports make many objects that all stay, and looking through them wastes 80 ms."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_UNTIL_COLLECTION, *before[1:])
    try:
        yield
    finally:
        gc.freeze()  # or setting the threshold back would start the very collection this avoids
        gc.set_threshold(*before)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end us as Ctrl-C does, so that what is under way is undone."""
    before = signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    if callable(signal.getsignal(signal.SIGINT)):
        signal.raise_signal(signal.SIGINT)  # an event loop has its own handler there, which cancels its task
    else:
        raise KeyboardInterrupt


@contextmanager
def _output_that_takes_anything() -> Iterator[None]:
    """Keep a name that the terminal cannot spell from ending the program."""
    if not isinstance(sys.stdout, io.TextIOWrapper):
        yield
        return
    before = sys.stdout.errors
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.reconfigure(errors=before)


def _forget_output() -> None:
    """Point standard output at nothing, or Python would try to flush it once more and complain."""
    with suppress(OSError, ValueError):
        output = sys.stdout.fileno()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, output)
        os.close(nothing)
