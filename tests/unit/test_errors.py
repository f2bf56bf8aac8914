"""What errors look like, and what exit code they bring."""

from __future__ import annotations

import pytest

from pipeline import errors
from pipeline.errors import (
    AgcError,
    BuildError,
    DefinitionError,
    EngineError,
    ErrorGroup,
    ExitCode,
    IntegrityError,
    Location,
    LockError,
    SourceGoneError,
)


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (Location("a.yaml"), "a.yaml"),
        (Location("a.yaml", 3), "a.yaml:3"),
        (Location("a.yaml", 3, 7), "a.yaml:3:7"),
    ],
    ids=["file", "line", "column"],
)
def test_a_place_is_written_as_editors_link_it(location: Location, text: str) -> None:
    """Parts that are not known are left out."""
    assert str(location) == text


def test_an_error_starts_with_its_place() -> None:
    """One line: place, then message; without a place the message alone."""
    assert str(DefinitionError("unknown key", location=Location("a.yaml", 3))) == "a.yaml:3: unknown key"
    assert str(DefinitionError("unknown key")) == "unknown key"


def test_every_reported_failure_has_an_exit_code_of_its_own() -> None:
    """Scripts tell failures apart, and none passes for success, a crash or Ctrl-C."""
    classes = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, AgcError) and each not in {AgcError, ErrorGroup}
    ]
    # Those of a failed build are all one, and so are those of an engine.
    kinds = [each for each in classes if not {BuildError, EngineError}.intersection(each.__bases__)]
    codes = {each.exit_code for each in kinds}

    assert len(codes) == len(kinds)
    assert not codes & {ExitCode.OK, ExitCode.INTERNAL, ExitCode.INTERRUPTED}


def test_a_group_ends_the_program_as_its_first_error_does() -> None:
    """The group shows one line per error and takes the exit code of the first."""
    group = ErrorGroup((LockError("stale"), DefinitionError("bad", location=Location("b.yaml", 1))))

    assert group.exit_code is ExitCode.LOCK
    assert str(group) == "stale\nb.yaml:1: bad"
    assert AgcError.exit_code is ExitCode.INTERNAL


def test_a_source_that_is_gone_is_a_build_error_that_names_its_url() -> None:
    """Whoever renews pins needs to know which."""
    error = SourceGoneError("https://example.org/x")

    assert isinstance(error, BuildError)
    assert error.url in str(error)
    assert IntegrityError.exit_code is not error.exit_code
