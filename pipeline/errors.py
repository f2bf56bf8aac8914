"""Every failure this program reports, with its exit code and what the reader can do about it.

Rules kept here:

- an error says what failed, where (file, line, column or URL), and what to do next;
- the exit code belongs to the class, so scripts can tell "you wrote it wrong" from "the network is down";
- no message holds a secret: whoever builds a message passes names of secrets, never values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process exit status means. Documented in docs/reference/exit-codes.md."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    DEFINITION = 3
    LOCK = 4
    RESOLVE = 5
    ENGINE = 6
    BUILD = 7
    SMOKE = 8
    OUTPUT = 9
    INTEGRITY = 10
    CATALOG = 11
    REFUSED = 12
    VERIFY = 13
    GATE = 14
    DATABASE = 15
    SCANNER = 16
    SIGN = 17
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file a person wrote: lines and columns count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return `file:line:column`, the form that editors and terminals turn into a link."""
        return ":".join([self.file, *(str(part) for part in (self.line, self.column) if part)])


class AgcError(Exception):
    """Base of all reported failures: a message, an optional place and an optional remedy."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, *, location: Location | None = None, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.remedy = remedy

    def __str__(self) -> str:
        """Return one line: place, then message."""
        return f"{self.location}: {self.message}" if self.location else self.message


class UsageError(AgcError):
    """A command line that cannot be carried out."""

    exit_code = ExitCode.USAGE


class DefinitionError(AgcError):
    """A definition that is malformed, or that contradicts another."""

    exit_code = ExitCode.DEFINITION


class ErrorGroup(AgcError):  # noqa: N818  # it holds errors, and is none of its own
    """Several failures found in one go; the exit code is that of the first."""

    def __init__(self, errors: tuple[AgcError, ...]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = errors
        self.exit_code = errors[0].exit_code

    def __str__(self) -> str:
        """Return one line per failure."""
        return "\n".join(str(error) for error in self.errors)


class LockError(AgcError):
    """The lock is missing, older than the definitions it answers, or was changed by hand."""

    exit_code = ExitCode.LOCK


class ResolveError(AgcError):
    """A name could not be turned into a pin: no such package, no such version, no answer."""

    exit_code = ExitCode.RESOLVE


class EngineError(AgcError):
    """The build engine could not be found, started or reached."""

    exit_code = ExitCode.ENGINE


class EngineLostError(EngineError):
    """The engine answered, and does not any more."""


@dataclass(frozen=True, slots=True)
class FailedStep:
    """The step of a build that failed: its name, exit code where it ran a process, and its last output."""

    name: str
    exit_code: int | None = None
    log: tuple[str, ...] = ()


class BuildError(AgcError):
    """A step of a build failed; `step` has the last lines it printed."""

    exit_code = ExitCode.BUILD

    def __init__(
        self, message: str, *, step: FailedStep | None = None, location: Location | None = None, remedy: str = ""
    ) -> None:
        super().__init__(message, location=location, remedy=remedy)
        self.step = step


class BrokenFetchError(BuildError):
    """A server broke off while something was fetched; it may do better the next time."""


class SourceGoneError(BuildError):
    """A pinned file is no longer where the lock says it is (HTTP 404 or 410 for `url`)."""

    def __init__(self, url: str, *, location: Location | None = None, remedy: str = "") -> None:
        super().__init__(f"{url} is gone from the archive", location=location, remedy=remedy)
        self.url = url


class IntegrityError(BuildError):
    """Bytes that came back are not the bytes that were locked."""

    exit_code = ExitCode.INTEGRITY


class RefusedError(AgcError):
    """Something that could be done and may not: lock a release nobody looked at, or publish against a licence."""

    exit_code = ExitCode.REFUSED


class SmokeError(AgcError):
    """An image was built, but one of its smoke tests failed."""

    exit_code = ExitCode.SMOKE


class OutputError(AgcError):
    """The result could not be written: no space, no permission, registry or daemon refused it."""

    exit_code = ExitCode.OUTPUT


class VerifyError(AgcError):
    """Nobody who is trusted vouches for an image, or what they vouch for is not what a policy asks."""

    exit_code = ExitCode.VERIFY


class SignError(AgcError):
    """Nothing could be signed: the key cannot be used, nobody says who we are, or a signing service fails."""

    exit_code = ExitCode.SIGN


class CatalogError(AgcError):
    """The record of what was published cannot be read: damaged, or written by a newer program."""

    exit_code = ExitCode.CATALOG


class VulnerableError(AgcError):
    """An image has vulnerabilities that the policy does not let pass."""

    exit_code = ExitCode.GATE


class DatabaseError(AgcError):
    """What is known of vulnerabilities is missing, damaged, too old, or says nothing of something in the image."""

    exit_code = ExitCode.DATABASE


class ScannerError(AgcError):
    """A vulnerability scanner could not be run, failed, or gave an answer that cannot be read."""

    exit_code = ExitCode.SCANNER
